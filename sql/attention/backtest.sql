-- What would this config have told, and what was told?
create or replace function scooters_ops.backtest(
    config jsonb,
    since timestamptz,
    until timestamptz
)
returns table (
    day date,
    type scooters_ops.monitoring_notification_type,
    rule text,
    would_tell bigint,
    told bigint
)
language sql stable
begin atomic -- noqa: disable=all
select
    detail.day,
    detail.type,
    detail.rule,
    sum(detail.would_tell)::bigint as would_tell,
    sum(detail.told)::bigint as told
from scooters_ops.backtest_details(
    backtest.config, backtest.since, backtest.until
) as detail
group by detail.day, detail.type, detail.rule
having sum(detail.would_tell) + sum(detail.told) > 0
order by detail.day, detail.type, detail.rule collate "C" nulls first;
end; -- noqa: enable=all

comment on function scooters_ops.backtest(jsonb, timestamptz, timestamptz) is
'How many notifications a config (JSON, see config.schema.json) would have told of the intervals that started, and the jobs that were skipped, from since until until, exclusive, and how many were told: by day (of notifier.time_zone of the config in force), type and rule (the override of the config that decides; null: the default rule). A notice says where that is a lower bound; see backtest_details. It changes nothing and locks nothing. SQLSTATE 22023: names the path of the first bad key of the config, or what is wrong with since and until.';

revoke execute on function
scooters_ops.backtest(jsonb, timestamptz, timestamptz) from public;
grant execute on function
scooters_ops.backtest(jsonb, timestamptz, timestamptz) to scooters_ops_analyst;
