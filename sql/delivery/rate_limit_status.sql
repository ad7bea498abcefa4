-- How many messages may go now, and if none, from when on?
-- Rules are [{"messages": 20, "seconds": 60}, ...]: at most so many in any stretch of
-- so many seconds. Null where no rule says anything. A set of one row, so that the
-- planner sees through it. What was granted further ahead of now than that stretch was
-- granted by a clock that has been set back since, and does not count.
create or replace function scooters_ops.send_allowance(
    granted_at timestamptz[],
    rules jsonb
)
returns table (free integer, opens_at timestamptz)
language sql stable parallel safe
begin atomic -- noqa: disable=all
select
    min(rule.messages - used.messages)::integer,
    max(
        (
            select earlier.at
            from unnest(granted_at) as earlier (at)
            where
                earlier.at > now() - rule.stretch
                and earlier.at <= now() + rule.stretch
            order by earlier.at desc
            offset rule.messages - 1
            limit 1
        ) + rule.stretch
    ) filter (where used.messages >= rule.messages)
from (
    select
        messages,
        make_interval(secs => seconds) as stretch
    from jsonb_to_recordset(rules) as listed (
        messages integer,
        seconds double precision
    )
) as rule
cross join lateral (
    select count(*) as messages
    from unnest(granted_at) as earlier (at)
    where
        earlier.at > now() - rule.stretch
        and earlier.at <= now() + rule.stretch
) as used;
end; -- noqa: enable=all

comment on function scooters_ops.send_allowance(timestamptz[], jsonb) is
'How many more messages the rules ([{"messages": 20, "seconds": 60}, ...]) allow now after those granted at these moments (oldest first), and from when on where they allow none; null: no rule.';

revoke execute on function scooters_ops.send_allowance(timestamptz[], jsonb)
from public;
grant execute on function scooters_ops.send_allowance(timestamptz[], jsonb)
to scooters_ops_analyst, scooters_ops_notifier;
