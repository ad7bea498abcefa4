"""Identifiers, channels and addresses are compared byte by byte, so that no upgrade of the system's
locales can corrupt an index."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from notifier.migrate import migrations
from sandbox.postgres import Postgres
from tests.conftest import TestDatabase, shared_database
from tests.upgrade_rigs import fill, migrate_to, new_database

pytestmark = pytest.mark.slow

BY_LOCALE = """
    select
        index.indexrelid::regclass::text as index,
        coalesce(attribute.attname, 'an expression') as key
    from pg_catalog.pg_index as index
    inner join pg_catalog.pg_class as indexed on indexed.oid = index.indrelid
    cross join lateral unnest(index.indkey::int[], index.indcollation::oid[])
        as key (attnum, collation_id)
    left join pg_catalog.pg_attribute as attribute
        on attribute.attrelid = index.indrelid and attribute.attnum = key.attnum
    where
        indexed.relnamespace = 'scooters_ops'::regnamespace
        and (
            key.collation_id not in (0, 'pg_catalog."C"'::regcollation)
            or attribute.attcollation not in (0, 'pg_catalog."C"'::regcollation)
        )
"""


def test_no_index_depends_on_a_locale(cluster: Postgres) -> None:
    """Including the tables of yoyo."""
    with shared_database(cluster) as database:
        assert database.rows(BY_LOCALE) == []
        database.connection.execute("create table scooters_ops.sloppy (name text primary key)")
        assert [row["key"] for row in database.rows(BY_LOCALE)] == ["name"]


@pytest.fixture
def old(cluster: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TestDatabase:  # type: ignore[misc]
    """A database with rows whose channels and addresses are still compared by a locale."""
    with new_database(cluster, "locale_provider icu icu_locale 'en'") as database:
        migrate_to(database, "0008_wakeups", monkeypatch, tmp_path)
        fill(database, cluster, missions=20)
        monkeypatch.setenv("DATABASE_URL", database.conninfo)
        yield database


def test_addresses_are_sorted_byte_by_byte(old: TestDatabase) -> None:
    """The locale of this database would sort them as @a, @B, @c."""
    migrations.migrate()
    old.connection.execute(
        """
        update scooters_ops.notification_recipients as recipient
        set target = jsonb_build_object('type', 'telegram', 'chat_id', chats.chat_id)
        from (
            select
                recipient_id,
                (array['@a', '@B', '@c'])[1 + row_number() over () % 3] as chat_id
            from scooters_ops.notification_recipients
            where state = 'pending'
        ) as chats
        where recipient.recipient_id = chats.recipient_id
        """
    )
    walked = old.values("select address from scooters_ops.delivery_queue('telegram', null, false)")
    assert walked == ["@B", "@a", "@c"]


def test_the_migration_finds_existing_rows_and_keeps_the_views_on_them(
    old: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {row["key"] for row in old.rows(BY_LOCALE)} >= {"channel", "address", "state"}
    old.connection.execute(
        """
        create schema analysts;
        create view analysts.deliveries with (security_barrier) as
        select channel, address, count(*) filter (where state = 'sent') as sent, state
        from scooters_ops.notification_recipients group by channel, address, state;
        create view analysts.holds as
        select held.*, deliveries.sent
        from scooters_ops.delivery_targets as held
        left join analysts.deliveries using (channel);
        create materialized view analysts.report as
        select * from analysts.deliveries
        where channel in (select channel from analysts.holds)
        """
    )
    queries = [
        f"select * from analysts.{view} order by {view}::text"
        for view in ("deliveries", "holds", "report")
    ]
    before = [old.rows(query) for query in queries]
    assert all(before)

    assert migrations.migrate()[0] == "0009_collations"

    assert old.rows(BY_LOCALE) == []
    assert [old.rows(query) for query in queries] == before
    assert old.values("select reloptions::text from pg_class where relname = 'deliveries'") == [
        "{security_barrier=true}"
    ]
    old.connection.execute("refresh materialized view analysts.report")
    assert old.rows(queries[-1]) == before[-1]
    assert old.value("select every(convalidated) from pg_constraint where contype = 'c'")
    with pytest.raises(psycopg.errors.CheckViolation):
        old.connection.execute("update scooters_ops.notification_recipients set state = 'lost'")


def test_notifiers_continue_between_the_migration_and_the_new_sql(
    old: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """delivery_queue as it was then: a recursive query that starts with a literal."""
    old.connection.execute(
        """
        create function scooters_ops.delivery_queue(channel text, limits jsonb)
        returns table (address text) language sql stable as $$
        with recursive waiting as (
            select
                '' as address,
                null::timestamptz as next_attempt_at
            union all
            select further.*
            from waiting
            cross join lateral (
                select recipient.address, recipient.next_attempt_at
                from scooters_ops.notification_recipients as recipient
                where
                    recipient.channel = delivery_queue.channel
                    and recipient.state in ('pending', 'sending')
                    and recipient.address > waiting.address
                order by recipient.address, recipient.next_attempt_at
                limit 1
            ) as further
        )
        select waiting.address from waiting where waiting.address <> ''
        $$
        """
    )
    queue = "select * from scooters_ops.delivery_queue('telegram', null)"
    assert old.values(queue) == ["-1001"]
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "install", lambda *_: None)
        migrations.migrate()
    assert old.values(queue) == ["-1001"]
