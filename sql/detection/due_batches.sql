-- Which missions does each pass look at, when more are due than one pass may take?
-- It is plpgsql so that its plans are kept: a pass that has nothing to do must cost
-- little.
create or replace function scooters_ops.due_batches(as_of timestamptz)
returns table (mission_ids text[], still_due integer)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    due_ids constant text[] := scooters_ops.due_missions(as_of);
begin
    if due_ids = '{}' then
        return query select '{}'::text[], 0;
        return;
    end if;
    return query
    select
        due_ids[batch.first:batch.first + in_force.detection_batch_size - 1],
        greatest(
            cardinality(due_ids) - batch.first - in_force.detection_batch_size + 1, 0
        )
    from scooters_ops.config_in_force as in_force
    cross join lateral generate_series(
        1, cardinality(due_ids), in_force.detection_batch_size
    ) as batch (first)
    where in_force.detection_enabled
    order by batch.first;
end
$$;

comment on function scooters_ops.due_batches(timestamptz) is
'The missions that are due, in batches of at most detection.batch_size, those that have waited longest first; still_due: how many are left after that batch. One empty batch if nothing is due. If something is, and detection is disabled: none.';

revoke execute on function scooters_ops.due_batches(timestamptz) from public;
