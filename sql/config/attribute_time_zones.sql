-- Which time zones may an attribute of a mission name, for a calendar?
-- Those with a slash, and UTC: PostgreSQL takes CET and the like for abbreviations,
-- which have no summer time.
create or replace function scooters_ops.attribute_time_zones()
returns setof text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
select distinct lower(known.name collate "C")
from pg_catalog.pg_timezone_names as known
where
    known.name like '%/%'
    or known.name = 'UTC'
$$;

comment on function scooters_ops.attribute_time_zones() is
'The time zones that this server knows and an attribute may name, in lower case. Reading them takes a tenth of a second.';

revoke execute on function scooters_ops.attribute_time_zones() from public;
