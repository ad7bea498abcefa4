-- What may create_mission be given?
create or replace function scooters_ops.mission_schema()
returns jsonb
language sql immutable parallel safe
return jsonb '{
    "type": "object",
    "maxBytes": 4194304,
    "additionalProperties": false,
    "required": ["mission_id", "performer_id", "points"],
    "properties": {
        "mission_id": {"type": "string", "minLength": 1, "maxLength": 255, "maxBytes": 255},
        "performer_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "maxBytes": 255
        },
        "status": {
            "type": "string",
            "enum": ["created", "active", "completed", "cancelled"],
            "default": "created"
        },
        "attributes": {
            "type": "object",
            "maxBytes": 65536,
            "maxDepth": 32,
            "default": {}
        },
        "points": {
            "type": "array",
            "minItems": 1,
            "maxItems": 10000,
            "maxJobs": 10000,
            "items": {
                "type": "object",
                "additionalProperties": false,
                "required": ["point_id", "eta_seconds"],
                "properties": {
                    "point_id": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 255,
                        "maxBytes": 255
                    },
                    "position": {"type": "integer", "minimum": 1, "maximum": 2147483647},
                    "eta_seconds": {"type": "number", "minimum": 0, "maximum": 31622400},
                    "jobs": {
                        "type": "array",
                        "maxItems": 1000,
                        "default": [],
                        "items": {
                            "type": "object",
                            "additionalProperties": false,
                            "required": ["job_id", "type"],
                            "properties": {
                                "job_id": {
                                    "type": "string",
                                    "minLength": 1,
                                    "maxLength": 255,
                                    "maxBytes": 255
                                },
                                "type": {
                                    "type": "string",
                                    "minLength": 1,
                                    "maxLength": 255,
                                    "maxBytes": 255
                                },
                                "eta_seconds": {
                                    "anyOf": [
                                        {
                                            "type": "number",
                                            "minimum": 0,
                                            "maximum": 31622400
                                        },
                                        {"type": "null"}
                                    ]
                                },
                                "status": {
                                    "type": "string",
                                    "enum": ["planned", "completed", "skipped"],
                                    "default": "planned"
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}';

comment on function scooters_ops.mission_schema() is
'JSON Schema of the argument of create_mission: a mission with its points and their jobs; keys that end in _seconds hold seconds. maxBytes: the most bytes of a value as text. maxDepth: the most levels of nesting. maxJobs: the most jobs of all points together.';

revoke execute on function scooters_ops.mission_schema() from public;
grant execute on function scooters_ops.mission_schema() to scooters_ops_writer;
