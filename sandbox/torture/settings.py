"""What a trial is like: how many chats and queues, which faults, which config."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from notifier import config as configs
from notifier.resources import ROOT
from sandbox.torture.attention import Attention

BOSS = -999
LEADS = "LEADS"
ESCALATING_ZONES = 5
"""One zone in so many has an escalation and a reminder."""
ESCALATES_AFTER_SECONDS = 1


@dataclass(frozen=True)
class Settings:
    """The settings of a trial.

    faults            the share of requests that meet a random fault
    timeout_seconds   after which a notifier gives up a request; so long that a busy machine alone
                      never causes it
    exceeds_timeout   whether some random faults answer later than that
    answer_seconds    how long each answer takes besides
    escalates         whether the notifications of some zones escalate and are repeated
    attention         what the config says of digests, overrides and calendars at first; None: they
                      have no part in it
    waves             in how many parts the notifications come
    """

    chats: int = 50
    queues: int = 5
    faults: float = 0.0
    in_doubt: str = "resend"
    lease_seconds: float = 5.0
    timeout_seconds: float = 12.0
    exceeds_timeout: bool = True
    batch_size: int = 50
    answer_seconds: float = 0.0
    escalates: bool = True
    attention: Attention | None = None
    waves: int = 1

    def chat_id(self, number: int) -> int:
        """The chat that gets the notification with this number."""
        return -1000 - number % self.chats

    def queue(self, number: int) -> str:
        """The queue that gets the ticket of the notification with this number."""
        return f"Q{number % self.chats % self.queues}"

    def config(
        self, telegram_url: str, tracker_url: str, attention: Attention | None = None
    ) -> dict[str, Any]:
        """config.json with the addresses of the stand-ins, routes for the trial's chats and
        queues, short retries and no limits; attention, if any, instead of that at first."""
        config: dict[str, Any] = copy.deepcopy(configs.read_json(ROOT / "config.json"))
        config["routes"] = [
            {
                "match": {"zone": f"z{zone}"},
                "recipients": [
                    {"type": "telegram", "chat_id": self.chat_id(zone)},
                    {"type": "st", "queue": self.queue(zone)},
                ],
            }
            for zone in range(self.chats)
        ]
        for route in config["routes"][::ESCALATING_ZONES] if self.escalates else []:
            route["escalate"] = [
                {
                    "after_seconds": ESCALATES_AFTER_SECONDS,
                    "recipients": [
                        {"type": "telegram", "chat_id": BOSS},
                        {"type": "st", "queue": LEADS},
                    ],
                }
            ]
            route["remind"] = {"every_seconds": ESCALATES_AFTER_SECONDS, "times": 1}
        config["channels"]["telegram"] |= {
            "base_url": telegram_url,
            "timeout_seconds": self.timeout_seconds,
            "limits": None,
            "in_doubt": self.in_doubt,
        }
        config["channels"]["st"] |= {
            "base_url": tracker_url,
            "timeout_seconds": self.timeout_seconds,
            "limits": None,
        }
        config["notifier"] |= {
            "poll_seconds": 1,
            "batch_size": self.batch_size,
            "lease_seconds": self.lease_seconds,
            "retry": {
                "first_seconds": 0.1,
                "factor": 2,
                "max_seconds": 2,
                "give_up_after_attempts": 1000,
            },
        }
        if attention := attention or self.attention:
            attention.change(config)
        return config
