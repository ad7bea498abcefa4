-- How do passes run more often than once a minute where pg_cron knows only minutes?
-- Before pg_cron 1.5, a job that runs every minute calls this. It starts passes at the
-- given distance, the last one early enough to end within the minute. If
-- statement_timeout is shorter, it ends a little before that, because the timeout would
-- cancel a pass and make the run fail. For search_path see detect_in_batches: its
-- commits undo the setting.
create or replace procedure scooters_ops.detect_for_a_minute(distance interval)
language plpgsql
as $$
declare
    started_at pg_catalog.timestamptz;
    next_pass_at pg_catalog.timestamptz;
    ends_at pg_catalog.timestamptz;
begin
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    started_at := clock_timestamp();
    next_pass_at := started_at;
    ends_at := started_at + least(
        interval '1 minute',
        (
            select
                interval '0.8 milliseconds'
                * nullif(setting::double precision, '0'::double precision)
            from pg_catalog.pg_settings
            where name = 'statement_timeout'
        )
    );
    if distance < interval '1 second' or distance > interval '1 minute' then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('distance must be from 1 second to 1 minute, not %s', distance);
    end if;
    loop
        call scooters_ops.detect_in_batches();
        perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        next_pass_at := next_pass_at + distance;
        exit when next_pass_at >= ends_at;
        perform pg_sleep_until(next_pass_at);
        commit;
    end loop;
end
$$;

comment on procedure scooters_ops.detect_for_a_minute(interval) is -- noqa: LT01
'Calls detect_in_batches() for one minute: at once, and again every distance (1 second to 1 minute). SQLSTATE 22023: distance out of range.';

revoke execute on procedure scooters_ops.detect_for_a_minute(interval) from public;
