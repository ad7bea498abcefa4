-- What has become overdue? Everything that is due, in one transaction.
-- For people and tests: with very many missions due, that transaction is very long.
-- pg_cron calls detect_in_batches(), which commits after each pass.
create or replace function scooters_ops.detect_timeouts(as_of timestamptz default now())
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    batch record;
    pass record;
    inserted_count integer := 0;
begin
    if as_of is null or not isfinite(as_of) then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                'as_of must be a finite time, not %s', coalesce(as_of::text, 'null')
            );
    end if;
    if not scooters_ops.try_detection_lock() then
        return 0;
    end if;
    for batch in
        select
            due.mission_ids,
            due.still_due
        from scooters_ops.due_batches(as_of) as due
    loop
        loop
            pass := scooters_ops.run_pass(batch.mission_ids, as_of, batch.still_due);
            inserted_count := inserted_count + pass.inserted_count;
            exit when pass.is_complete;
            batch.mission_ids := '{}';
        end loop;
    end loop;
    return inserted_count;
end
$$;

comment on function scooters_ops.detect_timeouts(timestamptz) is
'Runs detection as of a given time (default: now) on everything that is due; returns how many notifications it inserted. Idempotent. Returns 0 at once if another pass is running or detection is disabled. SQLSTATE 22023: as_of is null or infinite.';

revoke execute on function scooters_ops.detect_timeouts(timestamptz) from public;
