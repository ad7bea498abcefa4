-- Does an event of this type open or close an interval?
create or replace function scooters_ops.opens_or_closes_interval(type text)
returns boolean
language sql immutable parallel safe
return type in (
    'mission_started',
    'point_arrived',
    'point_completed',
    'mission_completed',
    'mission_cancelled'
);

comment on function scooters_ops.opens_or_closes_interval(text) is
'Whether history of this type counts for intervals; the log may hold other types too.';

revoke execute on function scooters_ops.opens_or_closes_interval(text) from public;
grant execute on function scooters_ops.opens_or_closes_interval(text)
to scooters_ops_analyst, scooters_ops_writer;
