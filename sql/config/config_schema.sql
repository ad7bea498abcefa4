-- What may a config say?
-- Generated from notifier/config/models.py by "make schema"; do not edit.
create or replace function scooters_ops.config_schema()
returns jsonb
language sql immutable parallel safe
return jsonb $schema${
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "$defs": {
    "AttributeZone": {
      "additionalProperties": false,
      "description": "A time zone that each mission's attribute says.",
      "properties": {
        "attribute": {
          "maxLength": 100,
          "minLength": 1,
          "title": "Attribute",
          "type": "string"
        }
      },
      "required": [
        "attribute"
      ],
      "title": "AttributeZone",
      "type": "object"
    },
    "Calendar": {
      "additionalProperties": false,
      "description": "One of calendars: times of a week, by the clock on the wall, which `at` in a match names.",
      "properties": {
        "from": {
          "description": "A time from 00:00 to 23:59.",
          "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$",
          "title": "From",
          "type": "string"
        },
        "to": {
          "description": "A time from 00:00 to 24:00; it may be before `from`, then it is one of the next day.",
          "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$",
          "title": "To",
          "type": "string"
        },
        "days": {
          "anyOf": [
            {
              "items": {
                "enum": [
                  "mon",
                  "tue",
                  "wed",
                  "thu",
                  "fri",
                  "sat",
                  "sun"
                ],
                "type": "string"
              },
              "minItems": 1,
              "type": "array"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "description": "The days on which it begins; null: every day.",
          "title": "Days"
        },
        "time_zone": {
          "anyOf": [
            {
              "description": "A time zone such as Europe/Moscow, or UTC.",
              "maxLength": 100,
              "pattern": "^(UTC|[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z0-9_+-]*)+)$",
              "type": "string"
            },
            {
              "$ref": "#/$defs/AttributeZone"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "description": "Whose clock; null: that of notifier.time_zone.",
          "title": "Time Zone"
        }
      },
      "required": [
        "from",
        "to"
      ],
      "title": "Calendar",
      "type": "object"
    },
    "Channels": {
      "additionalProperties": false,
      "properties": {
        "telegram": {
          "anyOf": [
            {
              "$ref": "#/$defs/TelegramSettings"
            },
            {
              "type": "null"
            }
          ],
          "default": null
        },
        "st": {
          "anyOf": [
            {
              "$ref": "#/$defs/TrackerSettings"
            },
            {
              "type": "null"
            }
          ],
          "default": null
        }
      },
      "title": "Channels",
      "type": "object"
    },
    "Detection": {
      "additionalProperties": false,
      "description": "detection: when passes run, and which intervals they report as too long.",
      "properties": {
        "enabled": {
          "title": "Enabled",
          "type": "boolean"
        },
        "schedule": {
          "description": "'1 second' to '59 seconds', or a cron schedule such as * * * * *",
          "pattern": "^([1-9]|[1-5][0-9]) seconds?$|^(\\*|([0-5]?[0-9])(-([0-5]?[0-9]))?)(/[1-9][0-9]?)?(,(\\*|([0-5]?[0-9])(-([0-5]?[0-9]))?)(/[1-9][0-9]?)?)* +(\\*|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[1-9][0-9]?)?(,(\\*|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[1-9][0-9]?)?)* +(\\*|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[1-9][0-9]?)?(,(\\*|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[1-9][0-9]?)?)* +(\\*|(0?[1-9]|1[0-2]|[A-Za-z]{3})(-(0?[1-9]|1[0-2]|[A-Za-z]{3}))?)(/[1-9][0-9]?)?(,(\\*|(0?[1-9]|1[0-2]|[A-Za-z]{3})(-(0?[1-9]|1[0-2]|[A-Za-z]{3}))?)(/[1-9][0-9]?)?)* +(\\*|([0-7]|[A-Za-z]{3})(-([0-7]|[A-Za-z]{3}))?)(/[1-9][0-9]?)?(,(\\*|([0-7]|[A-Za-z]{3})(-([0-7]|[A-Za-z]{3}))?)(/[1-9][0-9]?)?)*$",
          "title": "Schedule",
          "type": "string"
        },
        "notify_within_seconds": {
          "anyOf": [
            {
              "maximum": 31622400,
              "minimum": 0,
              "type": "number"
            },
            {
              "type": "null"
            }
          ],
          "title": "Notify Within Seconds"
        },
        "timeouts": {
          "$ref": "#/$defs/Timeouts"
        },
        "job_eta_seconds": {
          "additionalProperties": {
            "maximum": 31622400,
            "minimum": 0,
            "type": "number"
          },
          "title": "Job Eta Seconds",
          "type": "object"
        },
        "default_job_eta_seconds": {
          "maximum": 31622400,
          "minimum": 0,
          "title": "Default Job Eta Seconds",
          "type": "number"
        },
        "batch_size": {
          "default": 5000,
          "description": "The most missions that one pass evaluates before it commits.",
          "maximum": 1000000,
          "minimum": 1,
          "title": "Batch Size",
          "type": "integer"
        },
        "stalled_after_seconds": {
          "default": 180,
          "description": "After this long without a pass, detection counts as stopped.",
          "exclusiveMinimum": 0,
          "maximum": 31622400,
          "title": "Stalled After Seconds",
          "type": "number"
        },
        "overrides": {
          "default": [],
          "description": "Other limits for some missions: the first whose match holds when an interval starts decides.",
          "items": {
            "$ref": "#/$defs/Override"
          },
          "maxItems": 1000,
          "title": "Overrides",
          "type": "array"
        },
        "silent_input_after_seconds": {
          "anyOf": [
            {
              "exclusiveMinimum": 0,
              "maximum": 31622400,
              "type": "number"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "description": "If missions are active and no event of anybody has come for this long, the mission service needs a person; null: never.",
          "title": "Silent Input After Seconds"
        }
      },
      "required": [
        "enabled",
        "schedule",
        "notify_within_seconds",
        "timeouts",
        "job_eta_seconds",
        "default_job_eta_seconds"
      ],
      "title": "Detection",
      "type": "object"
    },
    "Http": {
      "additionalProperties": false,
      "description": "http: settings of `notifier run --listen` and `notifier serve`.",
      "properties": {
        "token_env": {
          "default": "SCOOTERS_OPS_HTTP_TOKEN",
          "description": "Name of the secret that the mission service sends.",
          "maxLength": 128,
          "pattern": "^([A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]{0,39}|[A-Za-z_]+[0-9]*)$",
          "title": "Token Env",
          "type": "string"
        },
        "public_url": {
          "anyOf": [
            {
              "description": "An http:// or https:// URL in ASCII: a host, an optional port and path.",
              "maxLength": 2048,
              "pattern": "^https?://((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}|\\[(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}(:[0-9A-Fa-f]{1,4}){1,1}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|([0-9A-Fa-f]{1,4}:){1,1}(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))\\]|(([A-Za-z]([A-Za-z0-9_-](-?[A-Za-z0-9_][A-Za-z0-9_-]*|-)?)?|[0-9_-][A-Za-z0-9_-]*)\\.([A-Za-z0-9_-]+\\.)*[0-9_-]*[A-Za-z][A-Za-z0-9_-]*|[A-Za-z]([A-Za-z0-9_-](-?[A-Za-z0-9_][A-Za-z0-9_-]*|-)?)?|[0-9_-]+[A-Za-z][A-Za-z0-9_-]*)\\.?)(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[A-Za-z0-9._~%/-]*)?$",
              "type": "string"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "description": "Where people reach the board: messages and tickets link to it; null: no links.",
          "title": "Public Url"
        }
      },
      "title": "Http",
      "type": "object"
    },
    "Level": {
      "additionalProperties": false,
      "description": "One level of escalate: who is told too if nobody acknowledges, and when.",
      "not": {
        "required": [
          "after_seconds",
          "at_factor"
        ]
      },
      "properties": {
        "after_seconds": {
          "anyOf": [
            {
              "exclusiveMinimum": 0,
              "maximum": 31622400,
              "type": "number"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "description": "Counted from the notification.",
          "title": "After Seconds"
        },
        "at_factor": {
          "anyOf": [
            {
              "exclusiveMinimum": 0,
              "maximum": 1000,
              "type": "number"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "description": "When the interval has lasted its eta times this.",
          "title": "At Factor"
        },
        "recipients": {
          "items": {
            "discriminator": {
              "mapping": {
                "st": "#/$defs/TrackerRecipient",
                "telegram": "#/$defs/TelegramRecipient"
              },
              "propertyName": "type"
            },
            "oneOf": [
              {
                "$ref": "#/$defs/TelegramRecipient"
              },
              {
                "$ref": "#/$defs/TrackerRecipient"
              }
            ]
          },
          "minItems": 1,
          "title": "Recipients",
          "type": "array"
        }
      },
      "required": [
        "recipients"
      ],
      "title": "Level",
      "type": "object"
    },
    "Limits": {
      "additionalProperties": false,
      "description": "How many messages all notifiers together may send to a channel. An empty list: no limit.",
      "properties": {
        "per_channel": {
          "default": [],
          "description": "For the channel as a whole.",
          "items": {
            "$ref": "#/$defs/Rate"
          },
          "title": "Per Channel",
          "type": "array"
        },
        "per_target": {
          "default": [],
          "description": "For each chat or queue.",
          "items": {
            "$ref": "#/$defs/Rate"
          },
          "title": "Per Target",
          "type": "array"
        },
        "in_flight_per_target": {
          "anyOf": [
            {
              "maximum": 10000,
              "minimum": 1,
              "type": "integer"
            },
            {
              "type": "null"
            }
          ],
          "default": 10,
          "description": "How many messages may be in flight to one chat or queue at once, so that a slow one leaves room for the others; null: no limit.",
          "title": "In Flight Per Target"
        }
      },
      "title": "Limits",
      "type": "object"
    },
    "NotifierSettings": {
      "additionalProperties": false,
      "description": "notifier: how the daemon works.",
      "properties": {
        "locale": {
          "enum": [
            "en",
            "ru"
          ],
          "title": "Locale",
          "type": "string"
        },
        "time_zone": {
          "default": "UTC",
          "description": "A time zone such as UTC or Europe/Moscow, for the times in messages.",
          "pattern": "^[A-Z][A-Za-z0-9_+/-]*$",
          "title": "Time Zone",
          "type": "string"
        },
        "poll_seconds": {
          "exclusiveMinimum": 0,
          "maximum": 3600,
          "title": "Poll Seconds",
          "type": "number"
        },
        "batch_size": {
          "maximum": 10000,
          "minimum": 1,
          "title": "Batch Size",
          "type": "integer"
        },
        "lease_seconds": {
          "maximum": 86400,
          "minimum": 1,
          "title": "Lease Seconds",
          "type": "number"
        },
        "stuck_after_seconds": {
          "default": 300,
          "description": "A delivery that is due this long without being taken needs a person.",
          "exclusiveMinimum": 0,
          "maximum": 31622400,
          "title": "Stuck After Seconds",
          "type": "number"
        },
        "retry": {
          "$ref": "#/$defs/RetryPolicy"
        }
      },
      "required": [
        "locale",
        "poll_seconds",
        "batch_size",
        "lease_seconds",
        "retry"
      ],
      "title": "NotifierSettings",
      "type": "object"
    },
    "Override": {
      "additionalProperties": false,
      "description": "One row of detection.overrides: other limits where its match holds. What it does not say is\nas under detection.",
      "properties": {
        "name": {
          "description": "What messages, views and the board call it.",
          "maxLength": 100,
          "minLength": 1,
          "title": "Name",
          "type": "string"
        },
        "match": {
          "additionalProperties": {
            "anyOf": [
              {
                "type": "string"
              },
              {
                "type": "number"
              },
              {
                "type": "boolean"
              },
              {
                "items": {
                  "anyOf": [
                    {
                      "type": "string"
                    },
                    {
                      "type": "number"
                    },
                    {
                      "type": "boolean"
                    }
                  ]
                },
                "minItems": 1,
                "type": "array"
              }
            ]
          },
          "title": "Match",
          "type": "object"
        },
        "timeouts": {
          "$ref": "#/$defs/TimeoutOverrides",
          "default": {
            "timeout_in_point": null,
            "timeout_between_points": null
          }
        },
        "job_eta_seconds": {
          "additionalProperties": {
            "maximum": 31622400,
            "minimum": 0,
            "type": "number"
          },
          "default": {},
          "title": "Job Eta Seconds",
          "type": "object"
        },
        "default_job_eta_seconds": {
          "anyOf": [
            {
              "maximum": 31622400,
              "minimum": 0,
              "type": "number"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "title": "Default Job Eta Seconds"
        }
      },
      "required": [
        "name",
        "match"
      ],
      "title": "Override",
      "type": "object"
    },
    "Rate": {
      "additionalProperties": false,
      "description": "At most this many messages in any window of this many seconds.",
      "properties": {
        "messages": {
          "maximum": 1000,
          "minimum": 1,
          "title": "Messages",
          "type": "integer"
        },
        "seconds": {
          "exclusiveMinimum": 0,
          "maximum": 86400,
          "title": "Seconds",
          "type": "number"
        }
      },
      "required": [
        "messages",
        "seconds"
      ],
      "title": "Rate",
      "type": "object"
    },
    "Reminders": {
      "additionalProperties": false,
      "description": "remind: how often those who were told are told again until somebody acknowledges.",
      "properties": {
        "every_seconds": {
          "exclusiveMinimum": 0,
          "maximum": 31622400,
          "title": "Every Seconds",
          "type": "number"
        },
        "times": {
          "maximum": 100,
          "minimum": 1,
          "title": "Times",
          "type": "integer"
        }
      },
      "required": [
        "every_seconds",
        "times"
      ],
      "title": "Reminders",
      "type": "object"
    },
    "Retention": {
      "additionalProperties": false,
      "description": "retention: how long the pruning job keeps rows of tables that only grow.",
      "properties": {
        "schedule": {
          "default": "17 * * * *",
          "description": "When the pruning job runs.",
          "pattern": "^(\\*|([0-5]?[0-9])(-([0-5]?[0-9]))?)(/[1-9][0-9]?)?(,(\\*|([0-5]?[0-9])(-([0-5]?[0-9]))?)(/[1-9][0-9]?)?)* +(\\*|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[1-9][0-9]?)?(,(\\*|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[1-9][0-9]?)?)* +(\\*|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[1-9][0-9]?)?(,(\\*|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[1-9][0-9]?)?)* +(\\*|(0?[1-9]|1[0-2]|[A-Za-z]{3})(-(0?[1-9]|1[0-2]|[A-Za-z]{3}))?)(/[1-9][0-9]?)?(,(\\*|(0?[1-9]|1[0-2]|[A-Za-z]{3})(-(0?[1-9]|1[0-2]|[A-Za-z]{3}))?)(/[1-9][0-9]?)?)* +(\\*|([0-7]|[A-Za-z]{3})(-([0-7]|[A-Za-z]{3}))?)(/[1-9][0-9]?)?(,(\\*|([0-7]|[A-Za-z]{3})(-([0-7]|[A-Za-z]{3}))?)(/[1-9][0-9]?)?)*$",
          "title": "Schedule",
          "type": "string"
        },
        "passes_seconds": {
          "default": 604800,
          "description": "Rows of detection_passes.",
          "exclusiveMinimum": 0,
          "maximum": 31622400,
          "title": "Passes Seconds",
          "type": "number"
        },
        "cron_runs_seconds": {
          "default": 259200,
          "description": "Rows of cron.job_run_details for our jobs.",
          "exclusiveMinimum": 0,
          "maximum": 31622400,
          "title": "Cron Runs Seconds",
          "type": "number"
        },
        "idempotency_keys_seconds": {
          "default": 604800,
          "description": "Idempotency keys of events. An event repeated after this counts as a new one.",
          "exclusiveMinimum": 0,
          "maximum": 31622400,
          "title": "Idempotency Keys Seconds",
          "type": "number"
        },
        "notifiers_seconds": {
          "default": 86400,
          "description": "Dead notifiers, counted from when they last reported.",
          "exclusiveMinimum": 0,
          "maximum": 31622400,
          "title": "Notifiers Seconds",
          "type": "number"
        },
        "notifications_seconds": {
          "anyOf": [
            {
              "exclusiveMinimum": 0,
              "maximum": 316224000,
              "type": "number"
            },
            {
              "type": "null"
            }
          ],
          "default": 7776000,
          "description": "Notifications that were sent to every recipient and whose missions can produce no more notifications; null: for ever.",
          "title": "Notifications Seconds"
        },
        "intervals_seconds": {
          "anyOf": [
            {
              "exclusiveMinimum": 0,
              "maximum": 316224000,
              "type": "number"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "description": "Recorded intervals, counted from when they finished, but at least for detection.notify_within_seconds; null: for ever.",
          "title": "Intervals Seconds"
        },
        "batch_size": {
          "default": 1000,
          "description": "The most notifications or intervals that pruning examines before it commits.",
          "maximum": 100000,
          "minimum": 1,
          "title": "Batch Size",
          "type": "integer"
        }
      },
      "title": "Retention",
      "type": "object"
    },
    "RetryPolicy": {
      "additionalProperties": false,
      "description": "notifier.retry: delays of first, first * factor, first * factor^2, ... up to max seconds.",
      "properties": {
        "first_seconds": {
          "exclusiveMinimum": 0,
          "maximum": 31622400,
          "title": "First Seconds",
          "type": "number"
        },
        "factor": {
          "maximum": 100,
          "minimum": 1,
          "title": "Factor",
          "type": "number"
        },
        "max_seconds": {
          "exclusiveMinimum": 0,
          "maximum": 31622400,
          "title": "Max Seconds",
          "type": "number"
        },
        "give_up_after_attempts": {
          "maximum": 1000,
          "minimum": 1,
          "title": "Give Up After Attempts",
          "type": "integer"
        }
      },
      "required": [
        "first_seconds",
        "factor",
        "max_seconds",
        "give_up_after_attempts"
      ],
      "title": "RetryPolicy",
      "type": "object"
    },
    "Route": {
      "additionalProperties": false,
      "description": "One row of routes: which notifications go to which recipients.",
      "properties": {
        "match": {
          "additionalProperties": {
            "anyOf": [
              {
                "type": "string"
              },
              {
                "type": "number"
              },
              {
                "type": "boolean"
              },
              {
                "items": {
                  "anyOf": [
                    {
                      "type": "string"
                    },
                    {
                      "type": "number"
                    },
                    {
                      "type": "boolean"
                    }
                  ]
                },
                "minItems": 1,
                "type": "array"
              }
            ]
          },
          "title": "Match",
          "type": "object"
        },
        "recipients": {
          "items": {
            "discriminator": {
              "mapping": {
                "st": "#/$defs/TrackerRecipient",
                "telegram": "#/$defs/TelegramRecipient"
              },
              "propertyName": "type"
            },
            "oneOf": [
              {
                "$ref": "#/$defs/TelegramRecipient"
              },
              {
                "$ref": "#/$defs/TrackerRecipient"
              }
            ]
          },
          "title": "Recipients",
          "type": "array"
        },
        "escalate": {
          "default": [],
          "description": "Levels in the order in which they come.",
          "items": {
            "$ref": "#/$defs/Level"
          },
          "maxItems": 20,
          "title": "Escalate",
          "type": "array"
        },
        "remind": {
          "anyOf": [
            {
              "$ref": "#/$defs/Reminders"
            },
            {
              "type": "null"
            }
          ],
          "default": null
        },
        "continue": {
          "default": false,
          "title": "Continue",
          "type": "boolean"
        }
      },
      "required": [
        "match",
        "recipients"
      ],
      "title": "Route",
      "type": "object"
    },
    "Silences": {
      "additionalProperties": false,
      "description": "silences: what a silence may be.",
      "properties": {
        "longest_seconds": {
          "default": 604800,
          "description": "The longest that a silence may last.",
          "exclusiveMinimum": 0,
          "maximum": 31622400,
          "title": "Longest Seconds",
          "type": "number"
        }
      },
      "title": "Silences",
      "type": "object"
    },
    "TelegramLimits": {
      "additionalProperties": false,
      "description": "The limits in Telegram's FAQ for bots. They are guidance: the real ones are not published.",
      "properties": {
        "per_channel": {
          "default": [
            {
              "messages": 30,
              "seconds": 1.0
            }
          ],
          "description": "For the channel as a whole.",
          "items": {
            "$ref": "#/$defs/Rate"
          },
          "title": "Per Channel",
          "type": "array"
        },
        "per_target": {
          "default": [
            {
              "messages": 1,
              "seconds": 1.0
            }
          ],
          "description": "For each chat.",
          "items": {
            "$ref": "#/$defs/Rate"
          },
          "title": "Per Target",
          "type": "array"
        },
        "in_flight_per_target": {
          "anyOf": [
            {
              "maximum": 10000,
              "minimum": 1,
              "type": "integer"
            },
            {
              "type": "null"
            }
          ],
          "default": 10,
          "description": "How many messages may be in flight to one chat or queue at once, so that a slow one leaves room for the others; null: no limit.",
          "title": "In Flight Per Target"
        },
        "per_group": {
          "default": [
            {
              "messages": 20,
              "seconds": 60.0
            }
          ],
          "description": "For each group and public channel, in addition to per_target.",
          "items": {
            "$ref": "#/$defs/Rate"
          },
          "title": "Per Group",
          "type": "array"
        }
      },
      "title": "TelegramLimits",
      "type": "object"
    },
    "TelegramRecipient": {
      "additionalProperties": false,
      "description": "A chat, or one topic of a forum.",
      "properties": {
        "type": {
          "const": "telegram",
          "title": "Type",
          "type": "string"
        },
        "chat_id": {
          "anyOf": [
            {
              "exclusiveMaximum": 9223372036854775808,
              "minimum": 1,
              "type": "integer"
            },
            {
              "maximum": -1,
              "minimum": -9223372036854775808,
              "type": "integer"
            },
            {
              "pattern": "^@[A-Za-z][A-Za-z0-9_]{3,31}$",
              "type": "string"
            }
          ],
          "description": "The chat's number, negative for groups and never 0, or the @name of a public channel or group.",
          "title": "Chat Id"
        },
        "message_thread_id": {
          "anyOf": [
            {
              "exclusiveMaximum": 2147483648,
              "minimum": 2,
              "type": "integer"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "description": "A topic of a forum. The General topic is named by leaving it out.",
          "title": "Message Thread Id"
        }
      },
      "required": [
        "type",
        "chat_id"
      ],
      "title": "TelegramRecipient",
      "type": "object"
    },
    "TelegramSettings": {
      "additionalProperties": false,
      "description": "channels.telegram of the configuration.",
      "properties": {
        "limits": {
          "anyOf": [
            {
              "$ref": "#/$defs/TelegramLimits"
            },
            {
              "type": "null"
            }
          ],
          "default": {
            "per_channel": [
              {
                "messages": 30,
                "seconds": 1.0
              }
            ],
            "per_target": [
              {
                "messages": 1,
                "seconds": 1.0
              }
            ],
            "in_flight_per_target": 10,
            "per_group": [
              {
                "messages": 20,
                "seconds": 60.0
              }
            ]
          },
          "description": "How many messages may be sent, and how fast; null: no limit."
        },
        "base_url": {
          "description": "An http:// or https:// URL in ASCII: a host, an optional port and path.",
          "maxLength": 2048,
          "pattern": "^https?://((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}|\\[(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}(:[0-9A-Fa-f]{1,4}){1,1}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|([0-9A-Fa-f]{1,4}:){1,1}(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))\\]|(([A-Za-z]([A-Za-z0-9_-](-?[A-Za-z0-9_][A-Za-z0-9_-]*|-)?)?|[0-9_-][A-Za-z0-9_-]*)\\.([A-Za-z0-9_-]+\\.)*[0-9_-]*[A-Za-z][A-Za-z0-9_-]*|[A-Za-z]([A-Za-z0-9_-](-?[A-Za-z0-9_][A-Za-z0-9_-]*|-)?)?|[0-9_-]+[A-Za-z][A-Za-z0-9_-]*)\\.?)(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[A-Za-z0-9._~%/-]*)?$",
          "title": "Base Url",
          "type": "string"
        },
        "token_env": {
          "description": "The name of the environment variable, or of the file in $CREDENTIALS_DIRECTORY, that holds the secret: letters, digits and _, such as TELEGRAM_BOT_TOKEN. A name that mixes digits with letters of both cases, or with many lowercase letters, is taken for the secret itself and refused.",
          "maxLength": 128,
          "pattern": "^([A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]{0,39}|[A-Za-z_]+[0-9]*)$",
          "title": "Token Env",
          "type": "string"
        },
        "timeout_seconds": {
          "default": 30,
          "description": "The longest that one request may take, from connecting to the end of the answer. If it is too short, deliveries end up in doubt.",
          "exclusiveMinimum": 0,
          "maximum": 300,
          "title": "Timeout Seconds",
          "type": "number"
        },
        "digest_above": {
          "anyOf": [
            {
              "maximum": 1000,
              "minimum": 1,
              "type": "integer"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "description": "If more alerts than this wait for one chat or queue, those waiting go as one message; null: each alert is a message.",
          "title": "Digest Above"
        },
        "proxy": {
          "anyOf": [
            {
              "description": "An http, https, socks5 or socks5h URL: only a host and a port.",
              "maxLength": 2048,
              "pattern": "^(https?|socks5h?)://((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}|\\[(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}(:[0-9A-Fa-f]{1,4}){1,1}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|([0-9A-Fa-f]{1,4}:){1,1}(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))\\]|(([A-Za-z]([A-Za-z0-9_-](-?[A-Za-z0-9_][A-Za-z0-9_-]*|-)?)?|[0-9_-][A-Za-z0-9_-]*)\\.([A-Za-z0-9_-]+\\.)*[0-9_-]*[A-Za-z][A-Za-z0-9_-]*|[A-Za-z]([A-Za-z0-9_-](-?[A-Za-z0-9_][A-Za-z0-9_-]*|-)?)?|[0-9_-]+[A-Za-z][A-Za-z0-9_-]*)\\.?)(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?/?$",
              "type": "string"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "title": "Proxy"
        },
        "proxy_auth_env": {
          "anyOf": [
            {
              "description": "The name of the environment variable, or of the file in $CREDENTIALS_DIRECTORY, that holds the secret: letters, digits and _, such as TELEGRAM_BOT_TOKEN. A name that mixes digits with letters of both cases, or with many lowercase letters, is taken for the secret itself and refused.",
              "maxLength": 128,
              "pattern": "^([A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]{0,39}|[A-Za-z_]+[0-9]*)$",
              "type": "string"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "title": "Proxy Auth Env"
        },
        "in_doubt": {
          "default": "resend",
          "description": "What to do with a message that may have been delivered: resend sends it again, hold leaves it to a person.",
          "enum": [
            "resend",
            "hold"
          ],
          "title": "In Doubt",
          "type": "string"
        },
        "on_resolved": {
          "default": "edit",
          "description": "What becomes of a message when its interval is over: it shows the outcome, a reply says so, or nothing.",
          "enum": [
            "edit",
            "reply",
            "nothing"
          ],
          "title": "On Resolved",
          "type": "string"
        },
        "buttons": {
          "anyOf": [
            {
              "type": "boolean"
            },
            {
              "const": "shown",
              "type": "string"
            }
          ],
          "default": false,
          "description": "True, false or shown. True: messages have a button to acknowledge them, and a notifier polls for its presses, so no other program may poll with this bot's token. Shown: they have it, and another program polls and calls the HTTP API.",
          "title": "Buttons"
        }
      },
      "required": [
        "base_url",
        "token_env"
      ],
      "title": "TelegramSettings",
      "type": "object"
    },
    "Timeout": {
      "additionalProperties": false,
      "description": "The rule of one timeout type: limit = greatest(eta * factor, minimum).",
      "properties": {
        "enabled": {
          "title": "Enabled",
          "type": "boolean"
        },
        "factor": {
          "exclusiveMinimum": 0,
          "maximum": 100,
          "title": "Factor",
          "type": "number"
        },
        "minimum_seconds": {
          "maximum": 31622400,
          "minimum": 0,
          "title": "Minimum Seconds",
          "type": "number"
        }
      },
      "required": [
        "enabled",
        "factor",
        "minimum_seconds"
      ],
      "title": "Timeout",
      "type": "object"
    },
    "TimeoutOverride": {
      "additionalProperties": false,
      "description": "What an override changes of the rule of one timeout type.",
      "properties": {
        "factor": {
          "anyOf": [
            {
              "exclusiveMinimum": 0,
              "maximum": 100,
              "type": "number"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "title": "Factor"
        },
        "minimum_seconds": {
          "anyOf": [
            {
              "maximum": 31622400,
              "minimum": 0,
              "type": "number"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "title": "Minimum Seconds"
        }
      },
      "title": "TimeoutOverride",
      "type": "object"
    },
    "TimeoutOverrides": {
      "additionalProperties": false,
      "description": "detection.overrides[].timeouts: what changes of the rules.",
      "properties": {
        "timeout_in_point": {
          "anyOf": [
            {
              "$ref": "#/$defs/TimeoutOverride"
            },
            {
              "type": "null"
            }
          ],
          "default": null
        },
        "timeout_between_points": {
          "anyOf": [
            {
              "$ref": "#/$defs/TimeoutOverride"
            },
            {
              "type": "null"
            }
          ],
          "default": null
        }
      },
      "title": "TimeoutOverrides",
      "type": "object"
    },
    "Timeouts": {
      "additionalProperties": false,
      "description": "detection.timeouts: one rule per timeout type.",
      "properties": {
        "timeout_in_point": {
          "$ref": "#/$defs/Timeout"
        },
        "timeout_between_points": {
          "$ref": "#/$defs/Timeout"
        }
      },
      "required": [
        "timeout_in_point",
        "timeout_between_points"
      ],
      "title": "Timeouts",
      "type": "object"
    },
    "TrackerRecipient": {
      "additionalProperties": false,
      "description": "The queue in which to create an issue.",
      "properties": {
        "type": {
          "const": "st",
          "title": "Type",
          "type": "string"
        },
        "queue": {
          "description": "The queue's key: letters and digits, the first a letter.",
          "maxLength": 64,
          "pattern": "^[A-Za-z][A-Za-z0-9]*$",
          "title": "Queue",
          "type": "string"
        }
      },
      "required": [
        "type",
        "queue"
      ],
      "title": "TrackerRecipient",
      "type": "object"
    },
    "TrackerSettings": {
      "additionalProperties": false,
      "description": "channels.st of the configuration.",
      "not": {
        "required": [
          "org_id_env",
          "cloud_org_id_env"
        ]
      },
      "properties": {
        "limits": {
          "anyOf": [
            {
              "$ref": "#/$defs/Limits"
            },
            {
              "type": "null"
            }
          ],
          "default": {
            "per_channel": [],
            "per_target": [],
            "in_flight_per_target": 10
          },
          "description": "How many messages may be sent, and how fast; null: no limit."
        },
        "base_url": {
          "description": "An http:// or https:// URL in ASCII: a host, an optional port and path.",
          "maxLength": 2048,
          "pattern": "^https?://((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}|\\[(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}(:[0-9A-Fa-f]{1,4}){1,1}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|([0-9A-Fa-f]{1,4}:){1,1}(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))\\]|(([A-Za-z]([A-Za-z0-9_-](-?[A-Za-z0-9_][A-Za-z0-9_-]*|-)?)?|[0-9_-][A-Za-z0-9_-]*)\\.([A-Za-z0-9_-]+\\.)*[0-9_-]*[A-Za-z][A-Za-z0-9_-]*|[A-Za-z]([A-Za-z0-9_-](-?[A-Za-z0-9_][A-Za-z0-9_-]*|-)?)?|[0-9_-]+[A-Za-z][A-Za-z0-9_-]*)\\.?)(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[A-Za-z0-9._~%/-]*)?$",
          "title": "Base Url",
          "type": "string"
        },
        "token_env": {
          "description": "The name of the environment variable, or of the file in $CREDENTIALS_DIRECTORY, that holds the secret: letters, digits and _, such as TELEGRAM_BOT_TOKEN. A name that mixes digits with letters of both cases, or with many lowercase letters, is taken for the secret itself and refused.",
          "maxLength": 128,
          "pattern": "^([A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]{0,39}|[A-Za-z_]+[0-9]*)$",
          "title": "Token Env",
          "type": "string"
        },
        "timeout_seconds": {
          "default": 30,
          "description": "The longest that one request may take, from connecting to the end of the answer. If it is too short, deliveries end up in doubt.",
          "exclusiveMinimum": 0,
          "maximum": 300,
          "title": "Timeout Seconds",
          "type": "number"
        },
        "digest_above": {
          "anyOf": [
            {
              "maximum": 1000,
              "minimum": 1,
              "type": "integer"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "description": "If more alerts than this wait for one chat or queue, those waiting go as one message; null: each alert is a message.",
          "title": "Digest Above"
        },
        "api_version": {
          "default": "v3",
          "enum": [
            "v2",
            "v3"
          ],
          "title": "Api Version",
          "type": "string"
        },
        "auth": {
          "default": "oauth",
          "description": "The kind of token: OAuth, or IAM for a cloud organization.",
          "enum": [
            "oauth",
            "iam"
          ],
          "title": "Auth",
          "type": "string"
        },
        "org_id_env": {
          "anyOf": [
            {
              "description": "The name of the environment variable, or of the file in $CREDENTIALS_DIRECTORY, that holds the secret: letters, digits and _, such as TELEGRAM_BOT_TOKEN. A name that mixes digits with letters of both cases, or with many lowercase letters, is taken for the secret itself and refused.",
              "maxLength": 128,
              "pattern": "^([A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]{0,39}|[A-Za-z_]+[0-9]*)$",
              "type": "string"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "title": "Org Id Env"
        },
        "cloud_org_id_env": {
          "anyOf": [
            {
              "description": "The name of the environment variable, or of the file in $CREDENTIALS_DIRECTORY, that holds the secret: letters, digits and _, such as TELEGRAM_BOT_TOKEN. A name that mixes digits with letters of both cases, or with many lowercase letters, is taken for the secret itself and refused.",
              "maxLength": 128,
              "pattern": "^([A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]{0,39}|[A-Za-z_]+[0-9]*)$",
              "type": "string"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "title": "Cloud Org Id Env"
        },
        "on_resolved": {
          "default": "comment",
          "description": "What becomes of a ticket when its interval is over: a comment says so, it is closed with that comment, or nothing.",
          "enum": [
            "comment",
            "close",
            "nothing"
          ],
          "title": "On Resolved",
          "type": "string"
        },
        "close_transition": {
          "anyOf": [
            {
              "maxLength": 64,
              "pattern": "^[A-Za-z0-9_.-]+$",
              "type": "string"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "description": "The id of the transition that closes a ticket: letters, digits, _, . and -; null: the only one to a status of type done.",
          "title": "Close Transition"
        },
        "close_resolution": {
          "default": "fixed",
          "description": "The key of the resolution of a closed ticket: letters, digits, _, . and -.",
          "maxLength": 64,
          "pattern": "^[A-Za-z0-9_.-]+$",
          "title": "Close Resolution",
          "type": "string"
        },
        "close_assigned": {
          "default": false,
          "description": "Whether to close a ticket that somebody is assigned to; otherwise it gets the comment alone.",
          "title": "Close Assigned",
          "type": "boolean"
        },
        "web_url": {
          "anyOf": [
            {
              "description": "An http:// or https:// URL in ASCII: a host, an optional port and path.",
              "maxLength": 2048,
              "pattern": "^https?://((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}|\\[(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}(:[0-9A-Fa-f]{1,4}){1,1}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|([0-9A-Fa-f]{1,4}:){1,1}(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))\\]|(([A-Za-z]([A-Za-z0-9_-](-?[A-Za-z0-9_][A-Za-z0-9_-]*|-)?)?|[0-9_-][A-Za-z0-9_-]*)\\.([A-Za-z0-9_-]+\\.)*[0-9_-]*[A-Za-z][A-Za-z0-9_-]*|[A-Za-z]([A-Za-z0-9_-](-?[A-Za-z0-9_][A-Za-z0-9_-]*|-)?)?|[0-9_-]+[A-Za-z][A-Za-z0-9_-]*)\\.?)(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[A-Za-z0-9._~%/-]*)?$",
              "type": "string"
            },
            {
              "type": "null"
            }
          ],
          "default": null,
          "description": "Where people read tickets; null: https://tracker.yandex.ru if base_url is that of Yandex, and no links otherwise.",
          "title": "Web Url"
        }
      },
      "required": [
        "base_url",
        "token_env"
      ],
      "title": "TrackerSettings",
      "type": "object"
    }
  },
  "additionalProperties": false,
  "description": "The whole of config.json.",
  "properties": {
    "$schema": {
      "anyOf": [
        {
          "type": "string"
        },
        {
          "type": "null"
        }
      ],
      "default": null,
      "description": "For editors: the location of this schema.",
      "title": "$Schema"
    },
    "detection": {
      "$ref": "#/$defs/Detection"
    },
    "calendars": {
      "additionalProperties": {
        "$ref": "#/$defs/Calendar"
      },
      "default": {},
      "title": "Calendars",
      "type": "object"
    },
    "routes": {
      "items": {
        "$ref": "#/$defs/Route"
      },
      "title": "Routes",
      "type": "array"
    },
    "channels": {
      "$ref": "#/$defs/Channels"
    },
    "notifier": {
      "$ref": "#/$defs/NotifierSettings"
    },
    "retention": {
      "$ref": "#/$defs/Retention",
      "default": {
        "schedule": "17 * * * *",
        "passes_seconds": 604800.0,
        "cron_runs_seconds": 259200.0,
        "idempotency_keys_seconds": 604800.0,
        "notifiers_seconds": 86400.0,
        "notifications_seconds": 7776000.0,
        "intervals_seconds": null,
        "batch_size": 1000
      }
    },
    "silences": {
      "$ref": "#/$defs/Silences",
      "default": {
        "longest_seconds": 604800.0
      }
    },
    "http": {
      "$ref": "#/$defs/Http",
      "default": {
        "token_env": "SCOOTERS_OPS_HTTP_TOKEN",
        "public_url": null
      }
    }
  },
  "required": [
    "detection",
    "routes",
    "channels",
    "notifier"
  ],
  "title": "Config",
  "type": "object"
}$schema$;

comment on function scooters_ops.config_schema() is
'JSON Schema of the config. apply_config checks a config against it.';

revoke execute on function scooters_ops.config_schema() from public;
