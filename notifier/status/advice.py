"""What a person must do, judged from a snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from notifier import config as configs
from notifier.config import ConfigError
from notifier.status.snapshot import JobsStatus, Status

JOBS_VERDICT = "a person is needed"
"""The last line of sql/cron/status.sql if something is wrong, after one line for each problem."""

SAMPLE = 50
"""How many missions under way detection_status checks, if there are so many."""

SHOWN_MISSIONS = 3


def advice(status: Status) -> list[str]:
    """What a person must do, one line each; empty: nothing."""
    return [
        *_shards(status),
        *_detection(status),
        *_input(status),
        *_config(status),
        *_channels(status),
        *_deliveries(status),
    ]


def _shards(status: Status) -> Iterator[str]:
    for shard in status.shards:
        if not shard.is_up:
            yield (
                f"Shard {shard.name} does not answer, so its missions are missing here and events"
                f" for them are refused: {shard.reason}. Start its server; the router then goes on"
                " by itself."
            )
        if shard.missing_migration is not None:
            yield (
                f"Shard {shard.name} lacks the migration {shard.missing_migration}, which the"
                " router knows: make migrate there."
            )
        elif shard.is_up and shard.lacked_columns:
            yield (
                f"The router does not know yet that shard {shard.name} has"
                f" {', '.join(shard.lacked_columns)}: make migrate on the router."
            )
        if shard.newer_migration is not None:
            yield (
                f"Shard {shard.name} has the migration {shard.newer_migration}, which the router"
                " does not know: make migrate on the router."
            )
        if shard.is_config_ours is False:
            yield (
                f"Shard {shard.name} has a config of its own: somebody applied one there, or the"
                " router could not finish. To give every shard its part of the router's config:"
                " make config"
            )


def _detection(status: Status) -> Iterator[str]:
    detection = status.detection
    if status.jobs is not None:  # its lines name the cause
        yield from _jobs(status.jobs)
    elif detection.is_stalled and status.shards:
        yield (
            "Detection has stopped in a shard, or has no answer from any: make status on each shard"
            " asks pg_cron why."
        )
    elif detection.is_stalled:
        yield "Detection has stopped: notifier status --jobs (make status) asks pg_cron why."
    if detection.is_stalled and detection.lock_holder:
        yield f"Passes wait for the detection lock, held by {detection.lock_holder}."
    if missed := detection.unrecorded_missions:
        more = f" and {len(missed) - SHOWN_MISSIONS} more" if len(missed) > SHOWN_MISSIONS else ""
        yield (
            f"Passes missed what happened to missions ({', '.join(missed[:SHOWN_MISSIONS])}{more},"
            f" of {SAMPLE} that were checked), so timeouts may go unnoticed: their rows were"
            " written without firing triggers. Call scooters_ops.wake_missions() for these"
            " missions, or for the time in which the rows were written."
        )


def _input(status: Status) -> Iterator[str]:
    newest = status.input.newest_event_at
    if not status.input.is_silent or newest is None:
        return
    if shards := status.input.silent_shards:
        yield (
            f"No events come to {', '.join(shards)}, though missions are active there and other"
            " shards get events. Find out why the mission service writes none there; they may have"
            " been refused. The first event to come clears this."
        )
    else:
        yield (
            f"No events come, though missions are active: the newest is {age(status.now - newest)}"
            " old. It is not the couriers: find out whether the mission service runs and can write"
            " to this database. The next event clears this."
        )


def _jobs(jobs: JobsStatus) -> list[str]:
    lines = [line for line in jobs.errors.splitlines() if JOBS_VERDICT not in line]
    if jobs.exit_code and not lines:
        return [f"psql ended with exit code {jobs.exit_code} and did not say why."]
    return lines


def _config(status: Status) -> Iterator[str]:
    if status.in_force.config_id is None:
        yield "No config is in force: make config"
        return
    try:
        configs.parse_stored(status.in_force.config)
    except ConfigError as error:
        yield f"No notifier can use the config in force: {error.problems[0]}"


def _channels(status: Status) -> Iterator[str]:
    for hold in status.paused:
        yield (
            f"Channel {hold.channel} is paused because it refuses us: {hold.reason}. Fix that (for"
            " a new token, restart the notifiers); sending then resumes by itself."
        )
    if held := status.held_for_long:
        others = f" and {len(held) - 1} more" if len(held) > 1 else ""
        yield (
            f"{held[0].channel} {held[0].address}{others} asked to be left alone for"
            f" {age(held[0].held_until - status.now)}: {held[0].reason}. Messages that wait go out"
            " by themselves after that; until then, tell people some other way."
        )
    for row in status.buttons:
        if row.problem:
            yield (
                f"Presses of the buttons in {row.channel} do not reach the notifiers: {row.problem}"
            )
        elif status.shards and not row.is_polled:
            yield (
                f"Nobody reads the presses of the buttons in {row.channel}: notifier run on the"
                " router does so for all shards."
            )


def _deliveries(status: Status) -> Iterator[str]:
    for problem in sorted({each.problem for each in status.alive if each.problem}):
        yield f"A notifier works without some of its steps, because {problem}. Fix that."
    if status.is_unattended():
        yield "No notifier is alive, and something is due: start one, or find out why it died."
    elif stuck := sorted({row.channel or "-" for row in status.deliveries if row.is_stuck}):
        yield from _stuck(stuck, (status.in_force.config or {}).get("channels") or {})
    states = {row.state for row in status.deliveries}
    if "blocked" in states:
        yield (
            "Fix what blocks messages, as the errors say (a template, or a notifier older than the"
            " database); they then go out by themselves, or at once with: notifier retry --failed"
        )
    if "unrouted" in states:
        yield (
            "No route matches some notifications, so nobody is told: add a route (if nobody should"
            ' be told, one with "recipients": []), then: make config, notifier retry --failed'
        )
    if "failed" in states:
        yield "Fix what the errors name, then: notifier retry --failed"
    if "in_doubt" in states:
        yield (
            "Check whether the doubtful messages arrived. If so: notifier retry TOKEN --as-sent; to"
            " send them again: notifier retry TOKEN"
        )


def _stuck(stuck: Sequence[str], configured: Mapping[str, object]) -> Iterator[str]:
    for channel in stuck:
        if channel == "-" or configured.get(channel):
            yield (
                f"Nobody takes what is due{'' if channel == '-' else f' for {channel}'}: read the"
                " notifiers' logs."
            )
        else:
            yield (
                f"Channel {channel} is not configured any more, and messages wait for it: put it"
                " back into the config (make config) until they are sent."
            )


def age(duration: timedelta) -> str:
    """A duration as people read it, in its largest unit that counts at least 2."""
    seconds = max(int(duration.total_seconds()), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
