-- Has it happened yet? first_run.sql includes this file. It waits until the query in
-- the psql variable awaited returns a row, for at most as many seconds as seconds says.
select
    set_config('scooters_ops.awaited', :'awaited', false) as awaited_setting,
    set_config(
        'scooters_ops.gives_up_at',
        (clock_timestamp() + make_interval(secs => :seconds))::text,
        false
    ) as gives_up_setting
\gset
set statement_timeout = 0;
do $$
declare
    has_happened boolean;
begin
    loop
        execute format('select exists (%s)', current_setting('scooters_ops.awaited'))
        into has_happened;
        exit when
            has_happened
            or clock_timestamp() > current_setting('scooters_ops.gives_up_at')::timestamptz;
        perform pg_sleep(0.1);
    end loop;
end
$$;
reset statement_timeout;
