-- How many more messages do these rate limits allow now, and if none, from when on?
-- The rules [{"messages": 20, "seconds": 60}, ...] allow at most so many messages in
-- any period of so many seconds. The function returns a set of one row, so that the
-- planner inlines it. A message that was granted further ahead of now than the period
-- does not count: the clock was set back since.
create or replace function scooters_ops.rate_limit_status(
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
                earlier.at > now() - rule.period
                and earlier.at <= now() + rule.period
            order by earlier.at desc
            offset rule.messages - 1
            limit 1
        ) + rule.period
    ) filter (where used.messages >= rule.messages)
from (
    select
        messages,
        make_interval(secs => seconds) as period
    from jsonb_to_recordset(rules) as listed (
        messages integer,
        seconds double precision
    )
) as rule
cross join lateral (
    select count(*) as messages
    from unnest(granted_at) as earlier (at)
    where
        earlier.at > now() - rule.period
        and earlier.at <= now() + rule.period
) as used;
end; -- noqa: enable=all

comment on function scooters_ops.rate_limit_status(timestamptz[], jsonb) is
'free: how many more messages the rules ([{"messages": 20, "seconds": 60}, ...]) allow now, after messages granted at these times (oldest first); null: there is no rule. opens_at: when they allow the next message; null: now.';

revoke execute on function scooters_ops.rate_limit_status(timestamptz[], jsonb)
from public;
grant execute on function scooters_ops.rate_limit_status(timestamptz[], jsonb)
to scooters_ops_analyst, scooters_ops_notifier;
