"""Runs plpgsql_check on every plpgsql function of the schema, as part of `make lint`.

It starts a private PostgreSQL, migrates a database, and checks each trigger function with every
table that has such a trigger. The exit code is 1 if there are findings, or nothing to check.
"""

import sys

import psycopg

from sandbox.databases import create_migrated
from sandbox.postgres import Postgres

FINDINGS = """
with checks as (
    select
        function.oid,
        trigger.relation,
        trigger.old_table,
        trigger.new_table
    from pg_catalog.pg_proc as function
    inner join pg_catalog.pg_language as language on function.prolang = language.oid
    left join lateral (
        select
            tgrelid as relation,
            max(tgoldtable::text) as old_table,
            max(tgnewtable::text) as new_table
        from pg_catalog.pg_trigger
        where tgfoid = function.oid
        group by tgrelid
    ) as trigger on true
    where
        function.pronamespace = 'scooters_ops'::regnamespace
        and language.lanname = 'plpgsql'
)

select
    checks.oid::regprocedure::text as function,
    finding.lineno,
    finding.level,
    finding.message
from checks
cross join lateral plpgsql_check_function_tb(
    checks.oid,
    coalesce(checks.relation, 0),
    oldtable => checks.old_table,
    newtable => checks.new_table,
    extra_warnings => true,
    performance_warnings => true,
    security_warnings => true
) as finding
-- plpgsql_check overlooks that a function that locks rows must be volatile.
where not (
    finding.message like 'routine is marked as VOLATILE, should be %'
    and pg_get_functiondef(checks.oid) ~ 'for update'
)
"""
DATABASE = "plpgsql_check"
CHECKED = """
select count(*)
from pg_catalog.pg_proc as function
inner join pg_catalog.pg_language as language on function.prolang = language.oid
where function.pronamespace = 'scooters_ops'::regnamespace and language.lanname = 'plpgsql'
"""


def main() -> int:
    with Postgres(cron_database=None) as server:
        create_migrated(server, DATABASE)
        with psycopg.connect(server.conninfo(DATABASE)) as connection:
            connection.execute("create extension plpgsql_check")
            findings = connection.execute(FINDINGS).fetchall()
            (checked,) = connection.execute(CHECKED).fetchone() or (0,)
    for function, line, level, message in findings:
        print(f"{function}, line {line}: {level}: {message}", file=sys.stderr)
    print(f"plpgsql_check: {checked} functions, {len(findings)} findings")
    return 1 if findings or not checked else 0


if __name__ == "__main__":
    raise SystemExit(main())
