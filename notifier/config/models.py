"""What config.json may say, as pydantic models.

The models are the one definition. notifier.config.schema generates from them config.schema.json
for editors, and sql/config/config_schema.sql, with which the database checks every config again,
even one applied by psql.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias, Union
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    model_validator,
)

from notifier.channels import CHANNELS
from notifier.channels.settings import ChannelSettings, HttpUrl, Recipient, SecretName, Strict
from notifier.locales import LOCALES
from notifier.notification_types import TIMEOUT_TYPES

YEAR_SECONDS = 366 * 86400
LONGEST_LINK = 500
"""Characters of a link in a message, which has 4,096 for everything."""

if TYPE_CHECKING:
    AnyRecipient: TypeAlias = Recipient

    class Channels(Strict):
        """channels: how to reach each channel; one field per registered channel."""
else:
    AnyRecipient = Annotated[
        Union[tuple(channel.Recipient for channel in CHANNELS.values())],  # noqa: UP007
        Field(discriminator="type"),
    ]
    Channels = create_model(
        "Channels",
        __base__=Strict,
        **{name: (channel.Settings | None, None) for name, channel in CHANNELS.items()},
    )


def _match_value(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        raise ValueError(
            "must be text, a number, true or false, or a list of at least one of these"
        ) from None


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not a time zone such as UTC or Europe/Moscow") from None
    return name


def _zone(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """One error in place of one for each of the two forms."""
    try:
        return validate(value)
    except ValidationError:
        raise ValueError(
            'must be a time zone such as Europe/Moscow, or {"attribute": ...} with the name of the'
            " mission's attribute that says it"
        ) from None


def _cron_field(value: str) -> str:
    item = rf"(\*|({value})(-({value}))?)(/[1-9][0-9]?)?"
    return f"{item}(,{item})*"


_CRON_FIELDS = (
    _cron_field("[0-5]?[0-9]"),
    _cron_field("[01]?[0-9]|2[0-3]"),
    _cron_field("0?[1-9]|[12][0-9]|3[01]"),
    _cron_field("0?[1-9]|1[0-2]|[A-Za-z]{3}"),
    _cron_field("[0-7]|[A-Za-z]{3}"),
)

CronSchedule: TypeAlias = Annotated[
    str,
    Field(
        pattern=f"^{' +'.join(_CRON_FIELDS)}$",
        description="a cron schedule of five fields, such as */5 * * * *",
    ),
]
PassSchedule: TypeAlias = Annotated[
    str,
    Field(
        pattern=f"^([1-9]|[1-5][0-9]) seconds?$|^{' +'.join(_CRON_FIELDS)}$",
        description="'1 second' to '59 seconds', or a cron schedule such as * * * * *",
    ),
]
Seconds: TypeAlias = Annotated[float, Field(ge=0, le=YEAR_SECONDS)]
PositiveSeconds: TypeAlias = Annotated[float, Field(gt=0, le=YEAR_SECONDS)]
Scalar: TypeAlias = str | float | bool
MatchValue: TypeAlias = Annotated[
    Scalar | Annotated[list[Scalar], Field(min_length=1)], WrapValidator(_match_value)
]


ZoneName: TypeAlias = Annotated[
    str,
    Field(
        # PostgreSQL takes CET and the like for abbreviations, which have no summer time.
        pattern="^(UTC|[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z0-9_+-]*)+)$",
        max_length=100,
        description="A time zone such as Europe/Moscow, or UTC.",
    ),
    AfterValidator(_time_zone),
]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]


class Timeout(Strict):
    """The rule of one timeout type: limit = greatest(eta * factor, minimum)."""

    enabled: bool
    factor: float = Field(gt=0, le=100)
    minimum_seconds: Seconds


if TYPE_CHECKING:

    class Timeouts(Strict):
        """detection.timeouts: one rule per timeout type."""
else:
    Timeouts = create_model(
        "Timeouts",
        __base__=Strict,
        __doc__="detection.timeouts: one rule per timeout type.",
        **dict.fromkeys(TIMEOUT_TYPES, (Timeout, ...)),
    )


class TimeoutOverride(Strict):
    """What an override changes of the rule of one timeout type."""

    factor: Annotated[float, Field(gt=0, le=100)] | None = None
    minimum_seconds: Seconds | None = None


if TYPE_CHECKING:

    class TimeoutOverrides(Strict):
        """detection.overrides[].timeouts: what changes of the rules."""
else:
    TimeoutOverrides = create_model(
        "TimeoutOverrides",
        __base__=Strict,
        __doc__="detection.overrides[].timeouts: what changes of the rules.",
        **dict.fromkeys(TIMEOUT_TYPES, (TimeoutOverride | None, None)),
    )


class Override(Strict):
    """One row of detection.overrides: other limits where its match holds. What it does not say is
    as under detection."""

    name: Name = Field(description="What messages, views and the board call it.")
    match: dict[str, MatchValue]
    timeouts: TimeoutOverrides = TimeoutOverrides()
    job_eta_seconds: dict[str, Seconds] = Field(default={})
    default_job_eta_seconds: Seconds | None = None


class Detection(Strict):
    """detection: when passes run, and which intervals they report as too long."""

    enabled: bool
    schedule: PassSchedule
    notify_within_seconds: Seconds | None
    timeouts: Timeouts
    job_eta_seconds: dict[str, Seconds]
    default_job_eta_seconds: Seconds
    batch_size: int = Field(
        default=5000,
        ge=1,
        le=1_000_000,
        description="The most missions that one pass evaluates before it commits.",
    )
    stalled_after_seconds: PositiveSeconds = Field(
        default=180, description="After this long without a pass, detection counts as stopped."
    )
    overrides: list[Override] = Field(
        default=[],
        max_length=1000,
        description="Other limits for some missions: the first whose match holds when an interval"
        " starts decides.",
    )
    silent_input_after_seconds: PositiveSeconds | None = Field(
        default=None,
        description="If missions are active and no event of anybody has come for this long, the"
        " mission service needs a person; null: never.",
    )


class AttributeZone(Strict):
    """A time zone that each mission's attribute says."""

    attribute: Name


class Calendar(Strict):
    """One of calendars: times of a week, by the clock on the wall, which `at` in a match names."""

    from_: str = Field(
        alias="from",
        pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="A time from 00:00 to 23:59.",
    )
    to: str = Field(
        pattern="^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$",
        description="A time from 00:00 to 24:00; it may be before `from`, then it is one of the"
        " next day.",
    )
    days: (
        Annotated[
            list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]], Field(min_length=1)
        ]
        | None
    ) = Field(default=None, description="The days on which it begins; null: every day.")
    time_zone: Annotated[ZoneName | AttributeZone, WrapValidator(_zone)] | None = Field(
        default=None, description="Whose clock; null: that of notifier.time_zone."
    )


class Level(Strict):
    """One level of escalate: who is told too if nobody acknowledges, and when."""

    model_config = ConfigDict(
        json_schema_extra={"not": {"required": ["after_seconds", "at_factor"]}}
    )

    after_seconds: PositiveSeconds | None = Field(
        default=None, description="Counted from the notification."
    )
    at_factor: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None, description="When the interval has lasted its eta times this."
    )
    recipients: list[AnyRecipient] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if {"after_seconds", "at_factor"} <= self.model_fields_set:
            raise ValueError("after_seconds and at_factor exclude each other: set one of them")
        return self


class Reminders(Strict):
    """remind: how often those who were told are told again until somebody acknowledges."""

    every_seconds: PositiveSeconds
    times: int = Field(ge=1, le=100)


class Route(Strict):
    """One row of routes: which notifications go to which recipients."""

    match: dict[str, MatchValue]
    recipients: list[AnyRecipient]
    escalate: list[Level] = Field(
        default=[], max_length=20, description="Levels in the order in which they come."
    )
    remind: Reminders | None = None
    continue_: bool = Field(default=False, alias="continue")


class RetryPolicy(Strict):
    """notifier.retry: delays of first, first * factor, first * factor^2, ... up to max seconds."""

    first_seconds: PositiveSeconds
    factor: float = Field(ge=1, le=100)
    max_seconds: PositiveSeconds
    give_up_after_attempts: int = Field(ge=1, le=1000)


class NotifierSettings(Strict):
    """notifier: how the daemon works."""

    locale: Literal[tuple(LOCALES)]  # type: ignore[valid-type]  # the rows of LOCALES
    time_zone: Annotated[
        str, Field(pattern="^[A-Z][A-Za-z0-9_+/-]*$"), AfterValidator(_time_zone)
    ] = Field(
        default="UTC",
        description="A time zone such as UTC or Europe/Moscow, for the times in messages.",
    )
    poll_seconds: float = Field(gt=0, le=3600)
    batch_size: int = Field(ge=1, le=10000)
    lease_seconds: float = Field(ge=1, le=86400)
    stuck_after_seconds: PositiveSeconds = Field(
        default=300,
        description="A delivery that is due this long without being taken needs a person.",
    )
    retry: RetryPolicy


class Retention(Strict):
    """retention: how long the pruning job keeps rows of tables that only grow."""

    schedule: CronSchedule = Field(default="17 * * * *", description="When the pruning job runs.")
    passes_seconds: PositiveSeconds = Field(
        default=7 * 86400, description="Rows of detection_passes."
    )
    cron_runs_seconds: PositiveSeconds = Field(
        default=3 * 86400, description="Rows of cron.job_run_details for our jobs."
    )
    idempotency_keys_seconds: PositiveSeconds = Field(
        default=7 * 86400,
        description="Idempotency keys of events. An event repeated after this counts as a new one.",
    )
    notifiers_seconds: PositiveSeconds = Field(
        default=86400, description="Dead notifiers, counted from when they last reported."
    )
    notifications_seconds: Annotated[float, Field(gt=0, le=10 * YEAR_SECONDS)] | None = Field(
        default=90 * 86400,
        description="Notifications that were sent to every recipient and whose missions can produce"
        " no more notifications; null: for ever.",
    )
    intervals_seconds: Annotated[float, Field(gt=0, le=10 * YEAR_SECONDS)] | None = Field(
        default=None,
        description="Recorded intervals, counted from when they finished, but at least for"
        " detection.notify_within_seconds; null: for ever.",
    )
    batch_size: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="The most notifications or intervals that pruning examines before it commits.",
    )


class Silences(Strict):
    """silences: what a silence may be."""

    longest_seconds: PositiveSeconds = Field(
        default=7 * 86400, description="The longest that a silence may last."
    )


class Http(Strict):
    """http: settings of `notifier run --listen` and `notifier serve`."""

    token_env: SecretName = Field(
        default="SCOOTERS_OPS_HTTP_TOKEN",
        description="Name of the secret that the mission service sends.",
    )
    public_url: HttpUrl | None = Field(
        default=None,
        description="Where people reach the board: messages and tickets link to it; null: no"
        " links.",
    )


class Config(Strict):
    """The whole of config.json."""

    json_schema_url: str | None = Field(
        default=None, alias="$schema", description="For editors: the location of this schema."
    )
    detection: Detection
    calendars: dict[str, Calendar] = Field(default={})
    routes: list[Route]
    channels: Channels
    notifier: NotifierSettings
    retention: Retention = Retention()
    silences: Silences = Silences()
    http: Http = Http()

    def mission_url(self, mission_id: str) -> str | None:
        """Where people see this mission on the board; None: config does not say, or the address
        would be too long for a message."""
        if self.http.public_url is None:
            return None
        url = f"{self.http.public_url.rstrip('/')}/board/missions/{quote(mission_id, safe='')}"
        return url if len(url) <= LONGEST_LINK else None

    def board_url(self, filters: Mapping[str, str]) -> str | None:
        """The board with these filters set, as notifier.web.board.filters reads them; None: config
        does not say where the board is. Without filters if the address would be too long."""
        if self.http.public_url is None:
            return None
        board = f"{self.http.public_url.rstrip('/')}/board"
        url = f"{board}?{urlencode(filters)}" if filters else board
        return next((each for each in (url, board) if len(each) <= LONGEST_LINK), None)

    def channel_settings(self) -> dict[str, ChannelSettings]:
        """The settings of each configured channel, by its name."""
        return {
            name: settings
            for name in CHANNELS
            if (settings := getattr(self.channels, name)) is not None
        }
