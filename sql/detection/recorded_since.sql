-- Since when are intervals recorded?
-- Those that finished earlier may have been pruned. A time in the future was written
-- before the clock was set back, and does not count.
create or replace function scooters_ops.recorded_since()
returns timestamptz
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce(
        (
            select max(horizon.recorded_since)
            from scooters_ops.news_horizon as horizon
            where horizon.recorded_since <= now()
        ),
        '-infinity'
    );
end
$$;

comment on function scooters_ops.recorded_since() is
'Passes do not record intervals that finished before this time, because they may have been pruned.';

revoke execute on function scooters_ops.recorded_since() from public;
