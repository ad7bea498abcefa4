"""The configuration: what config.json may say, and what is wrong with it when it says else.

The models are the one definition. From them `python -m notifier.config.models` generates
`config.schema.json`, for editors, and `sql/config/config_schema.sql`, by which the database
checks once more, so that psql cannot store nonsense either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
)
from pydantic_core import ErrorDetails

from notifier.channels import CHANNELS
from notifier.channels.base import ChannelSettings, Recipient, SecretName, Strict
from notifier.templates import LOCALES, NOTIFICATION_TYPES
from notifier.text import STEERING

ROOT = Path(__file__).resolve().parent.parent.parent
YEAR_SECONDS = 366 * 86400
# Of numbers other than 0, in size: what programs and the database calculate with alike.
LEAST, MOST = Decimal("1e-300"), Decimal("1e300")
# How many decimal places jsonb keeps, and what exponent it reads of 0.
MOST_PLACES, MOST_EXPONENT = 16383, 10**9
OUT_OF_RANGE = "must be 0, or from 1e-300 to 1e300 in size"

if TYPE_CHECKING:
    AnyRecipient: TypeAlias = Recipient

    class Channels(Strict):
        """channels: how each channel is reached; one field per registered channel."""
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


class ConfigError(Exception):
    """The configuration cannot be used. `problems` has one line for each fault, with its path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


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


class Timeout(Strict):
    """The rule of one timeout type: limit = greatest(eta * factor, minimum)."""

    enabled: bool
    factor: float = Field(gt=0, le=100)
    minimum_seconds: Seconds


class Timeouts(Strict):
    """detection.timeouts: a rule for each type."""

    timeout_in_point: Timeout
    timeout_between_points: Timeout


class Detection(Strict):
    """detection: when passes run, and what they call too long."""

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
        description="How many missions one pass looks at, at most, before it commits.",
    )
    stalled_after_seconds: PositiveSeconds = Field(
        default=180, description="Without a pass for so long, detection counts as stopped."
    )


class Route(Strict):
    """One row of routes: whom to tell of what."""

    match: dict[str, MatchValue]
    recipients: list[AnyRecipient]
    continue_: bool = Field(default=False, alias="continue")


class RetryPolicy(Strict):
    """notifier.retry: first, first * factor, first * factor^2, ... seconds, at most max."""

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
        description="A time zone such as UTC or Europe/Moscow: messages write times in it.",
    )
    poll_seconds: float = Field(gt=0, le=3600)
    batch_size: int = Field(ge=1, le=10000)
    lease_seconds: float = Field(ge=1, le=86400)
    stuck_after_seconds: PositiveSeconds = Field(
        default=300, description="What is due for so long, and nobody takes it, needs a person."
    )
    retry: RetryPolicy


class Retention(Strict):
    """retention: how long the pruning job keeps what would grow without bound."""

    schedule: CronSchedule = Field(default="17 * * * *", description="When the pruning job runs.")
    passes_seconds: PositiveSeconds = Field(
        default=7 * 86400, description="Rows of detection_passes."
    )
    cron_runs_seconds: PositiveSeconds = Field(
        default=3 * 86400, description="Rows of cron.job_run_details of our jobs."
    )
    idempotency_keys_seconds: PositiveSeconds = Field(
        default=7 * 86400,
        description="Idempotency keys of events: an event repeated later is a second one.",
    )
    notifiers_seconds: PositiveSeconds = Field(
        default=86400, description="Notifiers that died, counted from when they were last seen."
    )
    notifications_seconds: Annotated[float, Field(gt=0, le=10 * YEAR_SECONDS)] | None = Field(
        default=90 * 86400,
        description="Notifications that were sent to everybody, and whose missions can give no"
        " news any more; null: for ever.",
    )
    batch_size: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="How many notifications are looked at, at most, before pruning commits.",
    )


class Http(Strict):
    """http: what `notifier run --listen` and `notifier serve` need besides an address."""

    token_env: SecretName = Field(
        default="SCOOTERS_OPS_HTTP_TOKEN", description="The secret that the mission service sends."
    )


class Config(Strict):
    """The whole of config.json."""

    json_schema_url: str | None = Field(
        default=None, alias="$schema", description="For editors: where the schema lies."
    )
    detection: Detection
    routes: list[Route]
    channels: Channels
    notifier: NotifierSettings
    retention: Retention = Retention()
    http: Http = Http()

    def channel_settings(self) -> dict[str, ChannelSettings]:
        """The settings of each configured channel, by its name."""
        return {
            name: settings
            for name in CHANNELS
            if (settings := getattr(self.channels, name)) is not None
        }


def load(path: Path) -> Config:
    """The configuration in a file. Raises ConfigError."""
    return parse(read_json(path))


def read_json(path: Path) -> Any:
    """The JSON document in a file. Raises ConfigError where it is missing or broken."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            [f"{path}: not UTF-8 text: {error.reason} at byte {error.start}"]
        ) from None
    try:
        return json.loads(
            text, object_pairs_hook=_unrepeated, parse_float=_number, parse_constant=_no_number
        )
    except json.JSONDecodeError as error:
        raise ConfigError(
            [f"{path}: broken JSON at line {error.lineno}, column {error.colno}: {error.msg}"]
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: broken JSON: {error}"]) from None


def parse(document: Any) -> Config:
    """The configuration in a JSON document. Raises ConfigError naming the path of each bad key,
    and never the value, which may be a secret in the wrong place."""
    if unstorable := [*_unstorable(document)]:
        raise ConfigError(unstorable)
    config = parse_stored(document)
    if problems := [*_unknown_types(config)]:
        raise ConfigError(problems)
    return config


def parse_stored(document: Any) -> Config:
    """The configuration in a document that the database has accepted. Notification types that are
    not known here may be in it: another version has put it into force. Raises ConfigError."""
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        raise ConfigError([_problem(details) for details in error.errors()]) from None
    configured = config.channel_settings()
    problems = [
        f"routes[{r}].recipients[{n}].type: channel {recipient.type!r}"
        " is not configured under channels"
        for r, route in enumerate(config.routes)
        for n, recipient in enumerate(route.recipients)
        if recipient.type not in configured
    ]
    if problems:
        raise ConfigError(problems)
    return config


def _unknown_types(config: Config) -> Iterator[str]:
    for r, route in enumerate(config.routes):
        wanted = route.match.get("type", [])
        for n, type in enumerate(wanted if isinstance(wanted, list) else [wanted]):
            if type not in NOTIFICATION_TYPES:
                place = f"[{n}]" if isinstance(wanted, list) else ""
                yield (
                    f"routes[{r}].match.type{place}: must be one of {', '.join(NOTIFICATION_TYPES)}"
                )


def warnings(config: Config) -> list[str]:
    """What is allowed and yet hardly meant: notifications that no route matches, and routes that
    never decide anything, each with its path."""
    found = [*_unreachable(config.routes)]
    of_every = [_types(route) for route in config.routes if route.match.keys() <= {"type"}]
    if missed := set(NOTIFICATION_TYPES).difference(*of_every):
        found.append(
            f"routes: no last one matches every {', '.join(sorted(missed))}: what none matches is"
            ' told to nobody, and needs a person; end them with {"match": {}, "recipients": [...]}'
        )
    return found


def _unreachable(routes: Sequence[Route]) -> Iterator[str]:
    for n, route in enumerate(routes):
        deciding = {type: _deciding(routes[:n], route, type) for type in _types(route)}
        if not deciding:
            yield f"routes[{n}]: never matches: only job_skipped has a job_type"
        elif None not in deciding.values():
            earlier = sorted({place for place in deciding.values() if place is not None})
            paths = " and ".join(f"routes[{place}]" for place in earlier)
            decide = "decides" if len(earlier) == 1 else "decide"
            yield f"routes[{n}]: never reached: what it matches, {paths} {decide}"


def _deciding(earlier: Sequence[Route], route: Route, type: Scalar) -> int | None:
    """The place of the first of these routes that decides all of this type that the route matches;
    None: there is none."""
    for place, other in enumerate(earlier):
        if not other.continue_ and type in _types(other) and _implies(route, other):
            return place
    return None


def _implies(route: Route, other: Route) -> bool:
    """Whether all that the route matches is matched by the other as well, but for its type."""
    return all(
        key in route.match and _choices(route.match[key]) <= _choices(wanted)
        for key, wanted in other.match.items()
        if key != "type"
    )


def _types(route: Route) -> set[Scalar]:
    """The notification types that its match allows."""
    types: set[Scalar] = set(NOTIFICATION_TYPES)
    if "type" in route.match:
        types = {type for _, type in _choices(route.match["type"])}
    return types & {"job_skipped"} if "job_type" in route.match else types


def _choices(wanted: Scalar | list[Scalar]) -> set[tuple[bool, Scalar]]:
    """The values of a match, told apart as in JSON, where true is not 1."""
    values = wanted if isinstance(wanted, list) else [wanted]
    return {(isinstance(value, bool), value) for value in values}


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key '{_step(repeated)}' stands twice in one object")
    return mapping


def _number(digits: str) -> int | float:
    """A number with a decimal point or an exponent, as jsonb takes it: a whole one where no decimal
    place is left of it, 1e3 and 1.5e1 for example."""
    try:
        number = Decimal(digits)
    except ArithmeticError:  # an exponent beyond all bounds
        raise ValueError(f"a number {OUT_OF_RANGE}") from None
    exponent = int(number.as_tuple().exponent)  # it is a number: not "n" or "F"
    if not _is_in_range(number) or exponent < -MOST_PLACES or exponent > MOST_EXPONENT:
        raise ValueError(f"a number {OUT_OF_RANGE}")
    if exponent < 0:
        return float(number)
    return int(number) if number else 0


def _is_in_range(number: Decimal) -> bool:
    return not number or LEAST <= number.copy_abs() <= MOST


def _unstorable(document: Any) -> Iterator[str]:
    """A line for each key that jsonb or a float cannot hold, wherever it is."""
    remaining: list[tuple[str, Any]] = [("", document)]
    while remaining:
        path, value = remaining.pop()
        match value:
            case str() if not _is_storable(value):
                yield f"{path or 'the document'}: holds a character that cannot be stored"
            case float() if not _is_in_range(Decimal(repr(value))):  # as JSON writes it
                yield f"{path or 'the document'}: {OUT_OF_RANGE}"
            case int() if not _is_in_range(Decimal(value)):
                yield f"{path or 'the document'}: {OUT_OF_RANGE}"
            case list():
                remaining += [(f"{path}[{n}]", each) for n, each in enumerate(value)]
            case dict():
                for key, each in value.items():
                    remaining.append((_joined(path, _step(key)), each))
                    if not _is_storable(key):
                        yield f"{remaining[-1][0]}: holds a character that cannot be stored"


def _is_storable(text: str) -> bool:
    return not re.search("[\0\ud800-\udfff]", text)


def _no_number(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def _problem(details: ErrorDetails) -> str:
    """One line: the path of the bad key, and what is wrong with it."""
    path = _path(details["loc"], is_known=details["type"] != "extra_forbidden")
    context = details.get("ctx", {})
    match details["type"]:
        case "missing":
            return f"{path}: missing"
        case "extra_forbidden":
            return f"{path}: unknown key"
        case "union_tag_invalid":
            return f"{path}.type: must be one of {', '.join(sorted(CHANNELS))}"
        case "union_tag_not_found":
            return f"{path}.type: missing; it is one of {', '.join(sorted(CHANNELS))}"
        case "string_pattern_mismatch":
            allowed = _allowed_by_pattern()[context["pattern"]]
            return f"{path}: must be {allowed[0].lower()}{allowed[1:]}"
    message = details["msg"].removeprefix("Value error, ")
    return f"{path}: {message.replace('Input should be', 'must be')}"


def _path(location: tuple[int | str, ...], *, is_known: bool) -> str:
    """("routes", 0, "recipients", 1, "telegram", "chat_id") as routes[0].recipients[1].chat_id:
    what follows a recipient's number is the tag by which pydantic chose its model. is_known:
    whether the last step is a key that may be there."""
    path = ""
    for index, step in enumerate(location):
        if isinstance(step, int):
            path += f"[{step}]"
        elif not (index >= 2 and location[index - 2] == "recipients" and step in CHANNELS):
            path = _joined(path, _step(step, is_known=is_known or index < len(location) - 1))
    return path or "the document"


def _joined(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def _step(key: str, *, is_known: bool = True) -> str:
    """A key as a path shows it, like the database's json_path: the name of an unknown one may be a
    secret that somebody pasted, and is shown only where it is a plain word."""
    if is_known and len(key) <= 100 and not STEERING.search(key):
        return key
    return key if re.fullmatch("[A-Za-z][A-Za-z_]{0,38}[0-9]?", key) else "***"


def _allowed_by_pattern() -> Mapping[str, str]:
    """For each pattern of the models, in words, what it allows."""

    def nodes(node: Any) -> Iterator[Mapping[str, Any]]:
        if isinstance(node, dict):
            yield node
            node = list(node.values())
        if isinstance(node, list):
            for part in node:
                yield from nodes(part)

    return {
        node["pattern"]: node["description"]
        for node in nodes(Config.model_json_schema())
        if "pattern" in node and "description" in node
    }


def json_schema() -> Mapping[str, Any]:
    """The JSON Schema of config.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(by_alias=True),
    }


def generated_files() -> Mapping[Path, str]:
    """The files that follow from the models, and what must stand in them."""
    schema = json.dumps(json_schema(), indent=2, ensure_ascii=False)
    return {
        ROOT / "config.schema.json": schema + "\n",
        ROOT / "sql/config/config_schema.sql": f"""\
-- What may a config say?
-- Generated from notifier/config.py by "make schema"; do not edit.
create or replace function scooters_ops.config_schema()
returns jsonb
language sql immutable parallel safe
return jsonb $schema${schema}$schema$;

comment on function scooters_ops.config_schema() is
'JSON Schema of the config, by which apply_config checks.';

revoke execute on function scooters_ops.config_schema() from public;
""",
    }


if __name__ == "__main__":
    for path, text in generated_files().items():
        path.write_text(text, "utf-8")
        print(f"written: {path.relative_to(ROOT)}")
