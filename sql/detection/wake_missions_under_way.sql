-- Which missions must be looked at again, because what they are recorded by changed?
create or replace function scooters_ops.wake_missions_under_way()
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
insert into scooters_ops.mission_wakeups (mission_id, due_at)
select
    mission_id,
    timestamptz '-infinity'
from (
    select mission_id
    from scooters_ops.missions
    where status in ('created', 'active')
    union
    select mission_id
    from scooters_ops.recorded_intervals
    where finished_at is null
    union
    -- Also those that a pass is recording at this moment.
    select mission_id
    from scooters_ops.mission_wakeups
) as under_way
$$;

comment on function scooters_ops.wake_missions_under_way() is
'Makes the next passes look at every mission that is not over, and at every mission with an open recorded interval or a wake-up.';

revoke execute on function scooters_ops.wake_missions_under_way() from public;
