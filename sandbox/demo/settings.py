"""The demo's chat, queue, secrets and config."""

from __future__ import annotations

import copy
from typing import Any

from notifier import config as configs
from notifier.resources import ROOT
from sandbox.standins import Chat

DATABASE = "scooters"
CHAT = Chat(-1001, title="Duty, Moscow")
LEADS = Chat(-1002, title="Leads")
QUEUE = "DUTY"
SECRETS = {
    "TELEGRAM_BOT_TOKEN": "7000000000:demo-token",
    "TRACKER_TOKEN": "demo-oauth-token",
    "TRACKER_ORG_ID": "1234567",
    "SCOOTERS_OPS_HTTP_TOKEN": "demo-http-token",
}
SCHEDULE = "5 seconds"
ESCALATION_SECONDS = 5


def demo_config(telegram_url: str, tracker_url: str) -> dict[str, Any]:
    """The repository's config.json with the stand-ins' addresses, the demo's routes and a short
    schedule."""
    config: dict[str, Any] = copy.deepcopy(configs.read_json(ROOT / "config.json"))
    config["detection"]["schedule"] = SCHEDULE
    config["channels"]["telegram"]["base_url"] = telegram_url
    config["channels"]["st"]["base_url"] = tracker_url
    both = [{"type": "telegram", "chat_id": CHAT.chat_id}, {"type": "st", "queue": QUEUE}]
    config["routes"] = [
        {
            "match": {"type": "job_skipped", "city": "Moscow"},
            "recipients": both,
            "escalate": [
                {
                    "after_seconds": ESCALATION_SECONDS,
                    "recipients": [{"type": "telegram", "chat_id": LEADS.chat_id}],
                }
            ],
        },
        {"match": {"type": "timeout_in_point", "city": "Moscow"}, "recipients": both},
        {"match": {}, "recipients": [{"type": "telegram", "chat_id": CHAT.chat_id}]},
    ]
    return config
