"""What the notifier and its command line ask the database: one method for each SQL function."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import scalar_row, tuple_row
from psycopg.types.json import Jsonb

from notifier.channels.presses import Press
from notifier.database.connection import Connection, Row
from notifier.database.errors import DatabaseNewer, DatabaseUnusable
from notifier.database.schema_version import known_migrations, version_problem
from notifier.database.values import (
    Delivery,
    Held,
    Hold,
    NextDelivery,
    Notification,
    Pressed,
    Result,
    SeenValue,
    Silence,
    StoredConfig,
    TestResult,
)


class Database(Connection):
    """A connection and our statements. Each method is one transaction, and may raise
    psycopg.Error."""

    async def check_version(self) -> None:
        """Raises DatabaseUnusable if the database was never migrated, or by another version;
        DatabaseNewer if that version is newer."""
        name = self.connection.info.dbname
        try:
            applied = await self._rows(scalar_row, "select scooters_ops.applied_migrations()")
        except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedFunction):
            raise DatabaseUnusable(f"database {name!r} was never migrated: make migrate") from None
        if problem := version_problem(applied, known_migrations()):
            is_newer = set(applied) - set(known_migrations())
            kind = DatabaseNewer if is_newer else DatabaseUnusable
            raise kind(f"database {name!r}: {problem}")

    async def is_router(self) -> bool:
        """Whether this database has no missions of its own but stands before shards."""
        query = "select to_regclass('scooters_ops.shard_status') is not null"
        return bool(await self._scalar(query))

    async def shards(self, kind: type[Row]) -> list[Row]:
        """A router's shards, as its view shard_status describes them; any other database has
        none."""
        if not await self.is_router():
            return []
        return await self.objects(kind, "scooters_ops.shard_status order by shard")

    # --- Config ---

    async def config(self) -> tuple[int, Any] | None:
        """The number and the document of the config in force; None: no config was ever applied."""
        found = await self._rows(
            tuple_row, "select config_id, config from scooters_ops.config_in_force"
        )
        return (found[0][0], found[0][1]) if found else None

    async def apply_config(
        self, document: Any, comment: str | None = None, expected_id: int | None = None
    ) -> int:
        """Puts a config in force and returns its number. expected_id: only if this config is still
        in force; None: whichever is."""
        query = "select scooters_ops.apply_config(%s, %s, %s)"
        return int(await self._scalar(query, Jsonb(document), comment, expected_id))

    async def check_config(self, document: Any) -> Any:
        """The config as apply_config() would store it, after the same checks."""
        return await self._scalar("select scooters_ops.check_config(%s)", Jsonb(document))

    async def configs(self) -> list[StoredConfig]:
        """Every config that was applied, the newest first."""
        return await self.objects(
            StoredConfig, "scooters_ops.config_history order by config_id desc"
        )

    async def stored_config(self, config_id: int) -> Any | None:
        """The document of a config that was applied; None: there is none of this number."""
        found = await self._rows(
            scalar_row,
            "select config from scooters_ops.config_history where config_id = %s",
            config_id,
        )
        return found[0] if found else None

    async def backtest_days(
        self, document: Any, since: datetime, until: datetime
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """What a config would have told in a window of time, and what was told: day, type, rule,
        would_tell and told; and what the database says of where that is a lower bound."""
        return await self._rows_and_notices(
            "select day, type, rule, would_tell, told from scooters_ops.backtest(%s, %s, %s)",
            (Jsonb(document), since, until),
        )

    # --- Advice ---

    async def covered_time(
        self, since: datetime, until: datetime
    ) -> tuple[datetime, datetime] | None:
        """The part of a window of which intervals are recorded; None: none are."""
        found = await self._rows(
            tuple_row,
            "select min(covered_from), max(covered_until)"
            " from scooters_ops.covered_time(%s, %s) having count(*) > 0",
            since,
            until,
        )
        return (found[0][0], found[0][1]) if found else None

    async def advice(
        self,
        part: str,
        columns: Sequence[str],
        since: datetime,
        until: datetime,
        attribute: str | None,
    ) -> list[dict[str, Any]]:
        """These columns of the advice: thresholds, ratios, by the values of an attribute, or
        jobs."""
        function = {
            "thresholds": "threshold_effects(%s, %s, %s)",
            "ratios": "ratio_percentiles(%s, %s, %s)",
            "jobs": "job_eta_advice(%s, %s)",
        }[part]
        query = f"select {', '.join(columns)} from scooters_ops.{function}"  # noqa: S608  # ours
        return await self.rows(query, (since, until, attribute)[: function.count("%s")])

    # --- Delivery ---

    async def plan(self, limit: int) -> tuple[int, int | None]:
        """Decides the recipients of up to `limit` new notifications. Returns how many it planned,
        and the number of the config in force."""
        ((planned, config_id),) = await self._rows(
            tuple_row,
            "select scooters_ops.plan_deliveries(%s),"
            " (select config_id from scooters_ops.config_in_force)",
            limit,
        )
        return planned, config_id

    async def lease(
        self,
        worker: str,
        slots: Mapping[str, int],
        lease_seconds: float,
        follow_up_slots: Mapping[str, int],
        digest_channels: Sequence[str] = (),
    ) -> list[Delivery]:
        """Leases due recipients, for each channel at most as many as it has slots, and of those
        that change or answer earlier messages as many as it has slots for them. Of the channels
        for digests, one recipient may stand for all that wait for its chat or queue."""
        return await self.objects(
            Delivery,
            "scooters_ops.lease_deliveries(%s, %s, %s, %s, %s)",
            worker,
            Jsonb(slots),
            lease_seconds,
            Jsonb(follow_up_slots),
            list(digest_channels),
        )

    async def next_delivery(
        self, channels: Sequence[str], follow_up_channels: Sequence[str]
    ) -> NextDelivery:
        """When the next recipient of these channels, of those that cannot be leased now, can be;
        what changes or answers earlier messages is of the other channels."""
        (found,) = await self.objects(
            NextDelivery,
            "scooters_ops.next_delivery(%s, %s)",
            list(channels),
            list(follow_up_channels),
        )
        return found

    async def probe(self, channels: Sequence[str]) -> None:
        """Lets these channels be tried again at once if they are paused."""
        await self._scalar("select scooters_ops.probe_channels(%s)", list(channels))

    async def record(self, worker: str, results: Sequence[Result]) -> int:
        """Records results. Returns how many were recorded: the leases of the others were lost.
        Characters of a server's answer that the database's encoding lacks are escaped."""
        query = "select scooters_ops.record_deliveries(%s, %s)"
        try:
            return int(await self._scalar(query, worker, _storable(results, "utf-8")))
        except psycopg.errors.UntranslatableCharacter:
            return int(await self._scalar(query, worker, _storable(results, self._codec())))

    def _codec(self) -> str:
        """Python's name for the database's encoding, or ascii if Python has no such codec."""
        encoding = self.connection.info.parameter_status("server_encoding") or ""
        try:
            return codecs.lookup(re.sub("^WIN", "cp", encoding)).name
        except LookupError:
            return "ascii"

    async def renew(
        self, worker: str, recipient_ids: Sequence[int], lease_seconds: float
    ) -> set[int]:
        """Renews the leases of these recipients. Returns those that the worker still holds."""
        return set(
            await self._rows(
                scalar_row,
                "select scooters_ops.renew_leases(%s, %s, %s)",
                worker,
                list(recipient_ids),
                lease_seconds,
            )
        )

    async def release(self, worker: str, kept_ids: Sequence[int]) -> int:
        """Gives back what the worker, or an earlier connection of its notifier, has leased, except
        these recipients: the worker now holds them. Returns how many it gave back."""
        return int(
            await self._scalar(
                "select scooters_ops.release_deliveries(%s, %s)", worker, list(kept_ids)
            )
        )

    async def holds(self) -> list[Hold]:
        """Paused channels, and chats and queues that are held."""
        return await self.objects(Hold, "scooters_ops.delivery_holds order by channel, address")

    # --- Buttons ---

    async def poll_buttons(self, worker: str, channel: str, lease_seconds: float) -> int | None:
        """Takes or renews the right to ask a channel for presses; 0 seconds give it back. Returns
        the offset to go on from; None: another notifier has the right."""
        query = "select scooters_ops.poll_buttons(%s, %s, %s)"
        offset = await self._scalar(query, worker, channel, lease_seconds)
        return None if offset is None else int(offset)

    async def press_buttons(
        self, worker: str, channel: str, presses: Sequence[Press], next_offset: int
    ) -> list[Pressed]:
        """Does what was pressed, and stores the offset to go on from. No rows: another notifier has
        the right to poll by now. No row for a press, only on a router: it waits for a shard that is
        away, and the offset stays."""

        async def press(encoding: str) -> list[Pressed]:
            return await self.objects(
                Pressed,
                "scooters_ops.press_buttons(%s, %s, %s, %s)",
                worker,
                channel,
                _storable(presses, encoding),
                next_offset,
            )

        try:
            return await press("utf-8")
        except psycopg.errors.UntranslatableCharacter:
            return await press(self._codec())

    async def report_button_problem(self, channel: str, problem: str | None) -> None:
        """Reports why a channel does not report presses; None: it does."""
        await self._scalar("select scooters_ops.report_button_problem(%s, %s)", channel, problem)

    # --- The notifier itself ---

    async def report(self, notifier: str, config_id: int) -> None:
        """Reports that the notifier is alive."""
        await self._scalar(
            "select scooters_ops.report_notifier(%s, %s, %s)",
            notifier,
            config_id,
            known_migrations()[-1],
        )

    async def report_problem(self, notifier: str, problem: str | None) -> None:
        """Reports what the database refuses to do for the notifier; None: nothing is refused."""
        await self._scalar("select scooters_ops.report_problem(%s, %s)", notifier, problem)

    async def retire(self, notifier: str) -> None:
        """Reports that the notifier ends."""
        await self._scalar("select scooters_ops.retire_notifier(%s)", notifier)

    # --- The command line ---

    async def retry(self, token: str | None, channel: str | None) -> int:
        """Revives failed, doubtful and blocked recipients, and routes again what matched no route.
        None: of all notifications, of all channels. Returns how many."""
        return int(
            await self._scalar("select scooters_ops.retry_deliveries(%s, %s)", token, channel)
        )

    async def confirm(self, token: str, channel: str | None) -> int:
        """Records the doubtful recipients of a notification as sent. None: of all channels. Returns
        how many."""
        return int(
            await self._scalar("select scooters_ops.confirm_deliveries(%s, %s)", token, channel)
        )

    async def acknowledge(self, token: str, by: str) -> bool:
        """Records who takes care of a notification. False: somebody has done so already."""
        return bool(await self._scalar("select scooters_ops.acknowledge(%s, %s)", token, by))

    async def silence(
        self, match: Mapping[str, Any], duration: timedelta, comment: str, by: str
    ) -> int:
        """Holds the alerts that match; returns the number of the silence."""
        query = "select scooters_ops.silence(%s, %s, %s, %s)"
        return int(await self._scalar(query, Jsonb(match), duration, comment, by))

    async def unsilence(self, silence_id: int, by: str) -> bool:
        """Ends a silence early. False: it is over already."""
        query = "select scooters_ops.unsilence(%s, %s)"
        return bool(await self._scalar(query, silence_id, by))

    async def silences(
        self, silence_id: int | None = None, *, with_past: bool = False
    ) -> list[Silence]:
        """The active silences, those that end first first; all with `with_past`, or only that
        one."""
        return await self.objects(
            Silence,
            "scooters_ops.silence_status where case when %s::bigint is null"
            " then is_active or %s else silence_id = %s end order by ends_at, silence_id",
            silence_id,
            with_past,
            silence_id,
        )

    async def preview_silence(self, match: Mapping[str, Any], duration: timedelta) -> list[Held]:
        """What such a silence would have held in the last day."""
        return await self.objects(
            Held, "scooters_ops.preview_silence(%s, %s)", Jsonb(match), duration
        )

    async def why(self, mission_id: str) -> list[dict[str, Any]]:
        """Why each interval and skip of a mission was reported, or was not."""
        return await self.rows(
            "select *, type::text as type from scooters_ops.why(%s)", (mission_id,)
        )

    async def backtest(
        self, document: Any, since: datetime, until: datetime, attribute: str | None
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """The rows of backtest_details(), and what the database says of where they are a lower
        bound."""
        return await self._rows_and_notices(
            "select * from scooters_ops.backtest_details(%s, %s, %s, %s)",
            (Jsonb(document), since, until, attribute),
        )

    async def _rows_and_notices(
        self, query: str, parameters: Sequence[Any]
    ) -> tuple[list[dict[str, Any]], list[str]]:
        notices: list[str] = []

        def note(notice: psycopg.errors.Diagnostic) -> None:
            notices.append(notice.message_primary or "")

        self.connection.add_notice_handler(note)
        try:
            rows = await self.rows(query, parameters)
        finally:
            self.connection.remove_notice_handler(note)
        return rows, notices

    async def is_notifier_alive(self) -> bool:
        """Whether any notifier has reported lately."""
        query = "select exists (select from scooters_ops.notifier_status where is_alive)"
        return bool(await self._scalar(query))

    async def routes_of(self, facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The routes of the config in force that decide now about a notification with these facts:
        type, job_type, mission_id, point_id, performer_id and attributes; in order."""
        return await self._rows(
            scalar_row,
            "select route from scooters_ops.matching_routes(%s, now()) order by n",
            Jsonb(facts),
        )

    async def explain_route(
        self, facts: Mapping[str, Any], at: datetime | None, document: Any | None
    ) -> Mapping[str, Any]:
        """What would become of a notification with these facts, and why, as the function's comment
        says. at None: now. document: a config that is not applied; None: the one in force."""
        explained: Mapping[str, Any] = await self._scalar(
            "select scooters_ops.explain_route(%s, coalesce(%s, now()), %s)",
            Jsonb(facts),
            at,
            None if document is None else Jsonb(document),
        )
        return explained

    async def seen_values(
        self, wanted: Mapping[str, Sequence[Any]], zone_attributes: Sequence[str]
    ) -> list[SeenValue]:
        """How many missions of the last 30 days had which values of these keys and attributes."""
        return await self.objects(
            SeenValue,
            "scooters_ops.seen_values(%s, %s)",
            Jsonb(dict(wanted)),
            list(zone_attributes),
        )

    async def send_test(
        self, recipients: Sequence[Mapping[str, Any]], asked_by: str, asked_from: str
    ) -> str:
        """Sends a test message to these recipients; returns its token."""
        return str(
            await self._scalar(
                "select scooters_ops.send_test(%s, %s, %s)",
                Jsonb(list(recipients)),
                asked_by,
                asked_from,
            )
        )

    async def test_results(self, token: str) -> list[TestResult]:
        """What has become of the messages of a test."""
        return await self.objects(TestResult, "scooters_ops.test_results(%s)", token)

    async def end_test(self, token: str) -> None:
        """Removes a test; what was not sent yet never is."""
        await self._scalar("select scooters_ops.end_test(%s)", token)

    async def notification(self, token: str) -> Notification | None:
        """The notification with this token."""
        found = await self.objects(
            Notification, "scooters_ops.notifications where idempotency_token = %s", token
        )
        return found[0] if found else None


def _storable(values: Sequence[Result] | Sequence[Press], encoding: str) -> Jsonb:
    """The values' fields as jsonb. Characters that the encoding lacks are escaped, and so is NUL,
    which no jsonb can hold."""

    def escaped(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return value.encode(encoding, "backslashreplace").decode(encoding).replace("\0", "\\x00")

    return Jsonb([{key: escaped(field) for key, field in vars(value).items()} for value in values])
