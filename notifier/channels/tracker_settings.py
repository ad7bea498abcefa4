"""What config.json may say of Tracker: its settings and its queues."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from notifier.channels.settings import ChannelSettings, HttpUrl, Recipient, SecretName


class TrackerSettings(ChannelSettings):
    """channels.st of the configuration."""

    model_config = ConfigDict(
        json_schema_extra={"not": {"required": ["org_id_env", "cloud_org_id_env"]}}
    )

    api_version: Literal["v2", "v3"] = "v3"
    auth: Literal["oauth", "iam"] = Field(
        default="oauth", description="The kind of token: OAuth, or IAM for a cloud organization."
    )
    org_id_env: SecretName | None = None
    cloud_org_id_env: SecretName | None = None
    on_resolved: Literal["comment", "close", "nothing"] = Field(
        default="comment",
        description="What becomes of a ticket when its interval is over: a comment says so, it is"
        " closed with that comment, or nothing.",
    )
    close_transition: Annotated[str, Field(pattern="^[A-Za-z0-9_.-]+$", max_length=64)] | None = (
        Field(
            default=None,
            description="The id of the transition that closes a ticket: letters, digits, _, . and"
            " -; null: the only one to a status of type done.",
        )
    )
    close_resolution: Annotated[str, Field(pattern="^[A-Za-z0-9_.-]+$", max_length=64)] = Field(
        default="fixed",
        description="The key of the resolution of a closed ticket: letters, digits, _, . and -.",
    )
    close_assigned: bool = Field(
        default=False,
        description="Whether to close a ticket that somebody is assigned to; otherwise it gets the"
        " comment alone.",
    )
    web_url: HttpUrl | None = Field(
        default=None,
        description="Where people read tickets; null: https://tracker.yandex.ru if base_url is that"
        " of Yandex, and no links otherwise.",
    )

    @model_validator(mode="after")
    def _one_organization(self) -> Self:
        if {"org_id_env", "cloud_org_id_env"} <= self.model_fields_set:
            raise ValueError(
                "org_id_env and cloud_org_id_env exclude each other: set the one for Yandex 360,"
                " the one for Yandex Cloud, or neither for your own installation"
            )
        return self


class TrackerRecipient(Recipient):
    """The queue in which to create an issue."""

    type: Literal["st"]
    queue: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9]*$",
        max_length=64,
        description="The queue's key: letters and digits, the first a letter.",
    )
