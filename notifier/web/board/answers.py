"""What scooters_ops.board() and scooters_ops.board_mission() return.

In their JSON a duration is a number of seconds and a time is ISO 8601.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from logging import ERROR
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from notifier import steps
from notifier.logs import event
from notifier.silences import words_of


class Answer(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


def _readable(model: type[Answer]) -> BeforeValidator:
    """Keeps the items of a list that `model` can read, and logs the others: one bad row must not
    hide the rest."""

    return BeforeValidator(lambda rows: _read(model, rows))


def _read(model: type[Answer], rows: Iterable[dict[str, Any]]) -> list[Answer]:
    answers = []
    for row in rows:
        try:
            answers.append(model.model_validate(row))
        except ValidationError as error:
            reason = "; ".join(f"{each['loc']}: {each['msg']}" for each in error.errors())
            event(ERROR, "left_out", mission=row.get("mission_id"), reason=reason)
    return answers


def _readable_values(model: type[Answer]) -> BeforeValidator:
    """The same for the values of an object, by mission."""

    def readable(rows: dict[str, dict[str, Any]]) -> dict[str, Answer]:
        return {
            key: answer
            for key, row in rows.items()
            for answer in _read(model, [{"mission_id": key, **row}])
        }

    return BeforeValidator(readable)


class Bar(Answer):
    """Time at a point, or on the way to it, as a bar shows it."""

    type: str
    started_at: datetime
    finished_at: datetime | None
    deadline: datetime | None
    is_overdue: bool


class Interval(Bar):
    """Everything about an interval; position: that of the point in the plan."""

    point_id: str
    position: int | None
    eta: timedelta | None
    factor: float | None
    rule: str | None = None
    """The override that decided; None: the default rule."""
    limit: timedelta | None
    elapsed: timedelta

    @property
    def over(self) -> timedelta | None:
        """How far it is over its limit; negative: the time left; None: it has no limit."""
        return None if self.limit is None else self.elapsed - self.limit


class Mission(Answer):
    """A mission with its intervals, the oldest first."""

    mission_id: str
    performer_id: str
    attributes: dict[str, Any]
    intervals: list[Interval]

    @property
    def bars(self) -> Sequence[Bar]:
        """All of its bar, the oldest interval first."""
        return self.intervals

    @property
    def current(self) -> Interval | None:
        """The open interval."""
        last = self.intervals[-1] if self.intervals else None
        return last if last and last.finished_at is None else None


class BoardMission(Mission):
    """A mission as the board shows it: the open interval, and little of those that are over."""

    points_total: int
    past: list[Bar]

    @property
    def bars(self) -> Sequence[Bar]:
        return [*self.past, *self.intervals]


class Recipient(Answer):
    """One step of a notification for one target, and its state."""

    step: str = "alert"
    channel: str
    address: str
    target: dict[str, Any] = {}
    state: str
    attempts: int
    error: str | None
    reference: str | None
    sent_to: str | None = None
    since: datetime
    until: datetime | None = None
    """When the silence that holds it ends."""
    sent_at: datetime | None

    @property
    def kind(self) -> str:
        """alert, escalation, reminder, acknowledged or resolved."""
        return steps.kind(self.step)

    @property
    def level(self) -> int | None:
        """The number of an escalation or a reminder."""
        return steps.level(self.step)


class NextRecipient(Answer):
    """Who is told next, and by which step."""

    step: str
    channel: str
    address: str

    @property
    def kind(self) -> str:
        return steps.kind(self.step)

    @property
    def level(self) -> int | None:
        return steps.level(self.step)


class NextStep(Answer):
    """The earliest escalation or reminder that is still to come."""

    at: datetime
    recipients: list[NextRecipient]


class Facts(Answer):
    """The facts at detection, as judge_intervals and skip_job store them. A fact that cannot be
    read, such as a newer version's, is left out."""

    performer_id: str | None = None
    attributes: dict[str, Any] = {}
    started_at: datetime | None = None
    eta: timedelta | None = Field(None, alias="eta_seconds")
    factor: float | None = None
    rule: str | None = None
    minimum: timedelta | None = Field(None, alias="minimum_seconds")
    limit: timedelta | None = Field(None, alias="limit_seconds")
    elapsed: timedelta | None = Field(None, alias="elapsed_seconds")
    job_type: str | None = None

    @field_validator("*", mode="wrap")
    @classmethod
    def _or_default(
        cls, value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        """An unreadable fact must not hide its notification."""
        try:
            return validate(value)
        except ValidationError:
            return cls.model_fields[info.field_name or ""].get_default()


class Progress(Answer):
    """What became of a notification: who was told, who has it, who is next, how it ended."""

    token: str
    type: str
    created_at: datetime
    is_planned: bool
    is_unrouted: bool
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    resolution: str | None = None
    finished_at: datetime | None = None
    recipients: list[Recipient]
    next_step: NextStep | None = None

    @property
    def told(self) -> list[Recipient]:
        """The last step of each address, those that did not arrive first."""
        latest = {(each.channel, each.address): each for each in self._in_order}
        return sorted(latest.values(), key=lambda each: (each.state == "sent", _moment(each)))

    @property
    def _in_order(self) -> list[Recipient]:
        """A step that did not arrive is not hidden by a later one that did."""
        return sorted(self.recipients, key=lambda each: (each.state != "sent", _moment(each)))


def _moment(recipient: Recipient) -> datetime:
    return recipient.sent_at or recipient.since


class Notification(Progress):
    """A notification with everything that it says."""

    mission_id: str
    point_id: str | None
    job_id: str | None
    details: Facts


class Detection(Answer):
    """The columns of the view detection_status that the board shows."""

    is_enabled: bool
    is_stalled: bool
    last_pass_at: datetime | None


class Input(Answer):
    """The columns of the view input_status that the board shows."""

    is_silent: bool = False
    newest_event_at: datetime | None = None
    silent_shards: list[str] = []


class Delivery(Answer):
    """The columns of the view delivery_status that the board shows."""

    channel: str | None
    state: str
    recipients: int
    oldest_created_at: datetime
    is_stuck: bool
    is_lower_bound: bool


class Hold(Answer):
    """A channel that refuses all our requests."""

    channel: str
    reason: str | None


class Silence(Answer):
    """An active silence."""

    silence_id: int
    match: dict[str, Any]
    ends_at: datetime
    comment: str
    created_by: str
    alerts_held: int

    @property
    def shown(self) -> str:
        """city=Omsk type=job_skipped"""
        return " ".join(words_of(self.match))


class Board(Answer):
    """What scooters_ops.board() returns."""

    as_of: datetime
    recorded_at: datetime | None
    active: int
    matching: int
    overdue: int
    missions: Annotated[list[BoardMission], _readable(BoardMission)]
    open_notifications: Annotated[dict[str, Progress], _readable_values(Progress)] = {}
    """The notifications of the missions' open intervals, by mission_id."""
    notifications: Annotated[list[Notification], _readable(Notification)]
    detection: Detection
    input: Input = Input()
    delivery: list[Delivery]
    holds: list[Hold]
    silences: list[Silence] = []
    missing: list[str] = []
    """The shards of a router that gave no answer."""


class Event(Answer):
    """An event of the mission's history."""

    type: str
    point_id: str | None
    occurred_at: datetime


class Job(Answer):
    """A job at a point."""

    job_id: str
    type: str
    status: str


class Point(Answer):
    """A point of the plan; eta is the planned travel time to it."""

    point_id: str
    position: int
    eta: timedelta
    jobs: list[Job]


class Reason(Answer):
    """A row of scooters_ops.why_facts()."""

    started_at: datetime | None
    point_id: str | None
    job_id: str | None
    type: str
    subject: int
    question: str
    answer: str
    reason: str
    facts: dict[str, Any]

    @property
    def kind(self) -> str:
        """alert, escalation, reminder, step_acknowledged, step_resolved; or the question."""
        if not self.is_step:
            return self.question
        kind = steps.kind(self.question.removeprefix("step_"))
        return f"step_{kind}" if kind in ("acknowledged", "resolved") else kind

    @property
    def level(self) -> int | None:
        """The number of an escalation or a reminder."""
        return steps.level(self.question.removeprefix("step_")) if self.is_step else None

    @property
    def is_step(self) -> bool:
        return self.question.startswith("step_")


class MissionStory(Mission):
    """What scooters_ops.board_mission() returns, and why."""

    as_of: datetime
    status: str
    events: list[Event]
    points: list[Point]
    silences: list[Silence] = []
    notifications: Annotated[list[Notification], _readable(Notification)]
    reasons: Annotated[list[Reason], _readable(Reason)] = []

    @property
    def subjects(self) -> list[list[Reason]]:
        """The reasons of each interval and each skip, in the order of time."""
        return [list(rows) for _, rows in groupby(self.reasons, key=lambda each: each.subject)]
