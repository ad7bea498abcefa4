-- Where was each courier at a given time, since when, and how long could it last?
create or replace function scooters_ops.mission_intervals_at(as_of timestamptz)
returns setof scooters_ops.mission_interval
language sql stable parallel safe
begin atomic -- noqa: disable=all
select * from scooters_ops.mission_intervals_of(null, as_of, true);
end; -- noqa: enable=all

comment on function scooters_ops.mission_intervals_at(timestamptz) is
'Every interval of every mission as of a given time, from the events up to then; the columns are those of mission_intervals.';

revoke execute on function scooters_ops.mission_intervals_at(timestamptz) from public;
grant execute on function scooters_ops.mission_intervals_at(timestamptz)
to scooters_ops_analyst;
