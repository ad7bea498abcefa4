"""What the tests of the config share: the example of the design, and changed configs."""

from __future__ import annotations

import copy
from typing import Any

from tests.conftest import CONFIG

Path_ = tuple[str | int, ...]
"""The keys and positions that lead from the root of a document to a value."""
REMOVED = object()

FACTOR = ("detection", "timeouts", "timeout_in_point", "factor")
TELEGRAM = ("routes", 0, "recipients", 0)
TRACKER = ("routes", 0, "recipients", 1)

APPLY = "select scooters_ops.apply_config(%s)"

# The example of DESIGN.md; the keys that it leaves out have defaults.
EXAMPLE = """
{
  "detection": {
    "enabled": true,
    "schedule": "10 seconds",
    "notify_within_seconds": 86400,
    "timeouts": {
      "timeout_in_point":       {"enabled": true, "factor": 1.5, "minimum_seconds": 0},
      "timeout_between_points": {"enabled": true, "factor": 1.5, "minimum_seconds": 0}
    },
    "job_eta_seconds": {"battery_exchange": 300, "pickup": 180, "dropoff": 120},
    "default_job_eta_seconds": 300,
    "overrides": [
      {"name": "omsk-winter", "match": {"city": "Omsk", "at": "night"},
       "timeouts": {"timeout_in_point": {"factor": 2.5}}, "job_eta_seconds": {"pickup": 420}}
    ],
    "silent_input_after_seconds": 900
  },
  "calendars": {"night": {"from": "22:00", "to": "07:00", "days": ["mon", "tue"],
                          "time_zone": "Europe/Moscow"}},
  "routes": [
    {"match": {"type": ["job_skipped"], "city": "Moscow"},
     "recipients": [{"type": "telegram", "chat_id": -1001}, {"type": "st", "queue": "DUTY"}]},
    {"match": {}, "recipients": [{"type": "telegram", "chat_id": -1001}]}
  ],
  "channels": {
    "telegram": {"base_url": "https://api.telegram.org", "token_env": "TELEGRAM_BOT_TOKEN"},
    "st": {"base_url": "https://api.tracker.yandex.net", "token_env": "TRACKER_TOKEN",
           "org_id_env": "TRACKER_ORG_ID"}
  },
  "notifier": {"locale": "en", "poll_seconds": 5, "batch_size": 100, "lease_seconds": 60,
               "retry": {"first_seconds": 5, "factor": 2, "max_seconds": 900,
                         "give_up_after_attempts": 12}}
}
"""


def changed(path: Path_, value: Any) -> dict[str, Any]:
    """config.json with another value at a path, or (REMOVED) without it."""
    document = copy.deepcopy(CONFIG)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    if value is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document
