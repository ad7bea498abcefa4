-- What is newly overdue? All of it, in one transaction.
-- Looks at every mission that is due, in passes of at most detection.batch_size
-- missions. Unbounded when very many are due at once, hence for people; pg_cron calls
-- detect_in_batches(), which commits each pass.
create or replace function scooters_ops.detect_timeouts(as_of timestamptz default now())
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    due_mission_ids text[];
    batch_size integer;
    looked_at integer := 0;
    inserted_count integer := 0;
begin
    if as_of is null or not isfinite(as_of) then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('as_of must be a moment, not %s', coalesce(as_of::text, 'null'));
    end if;
    select detection_batch_size
    into batch_size
    from scooters_ops.config_in_force
    where detection_enabled;
    if not found or not scooters_ops.try_detection_lock() then
        return 0;
    end if;

    due_mission_ids := scooters_ops.due_missions(as_of);
    loop
        inserted_count := inserted_count + scooters_ops.detect_timeouts_of(
            due_mission_ids[looked_at + 1:looked_at + batch_size],
            as_of,
            greatest(cardinality(due_mission_ids) - looked_at - batch_size, 0)
        );
        looked_at := looked_at + batch_size;
        exit when looked_at >= cardinality(due_mission_ids);
    end loop;
    return inserted_count;
end
$$;

comment on function scooters_ops.detect_timeouts(timestamptz) is
'One pass of detection as of a moment (default: now) over all that is due; returns how many notifications it inserted. Idempotent. Returns 0 at once where another pass is running or detection is disabled. SQLSTATE 22023: as_of is null or infinite.';

revoke execute on function scooters_ops.detect_timeouts(timestamptz) from public;
