-- Which missions does each pass look at, when more are due than one pass may take?
create or replace function scooters_ops.due_batches(as_of timestamptz)
returns table (mission_ids text[], still_due integer)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
with due as materialized (
    select
        scooters_ops.due_missions(as_of) as mission_ids,
        detection_batch_size as batch_size
    from scooters_ops.config_in_force
    where detection_enabled
)

select
    due.mission_ids[batch.first:batch.first + due.batch_size - 1],
    greatest(cardinality(due.mission_ids) - batch.first - due.batch_size + 1, 0)
from due
cross join lateral generate_series(
    1, greatest(cardinality(due.mission_ids), 1), due.batch_size
) as batch (first)
order by batch.first
$$;

comment on function scooters_ops.due_batches(timestamptz) is
'The missions that are due, in batches of at most detection.batch_size, those that have waited longest first; still_due: how many are left after that batch. One empty batch if nothing is due; none if detection is disabled.';

revoke execute on function scooters_ops.due_batches(timestamptz) from public;
