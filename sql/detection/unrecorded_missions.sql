-- Did passes miss any of a few random missions under way?
create or replace function scooters_ops.unrecorded_missions(sample_size integer)
returns text[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return scooters_ops.missions_not_recorded(scooters_ops.sampled_missions(least(sample_size, 1000)));
end
$$;

comment on function scooters_ops.unrecorded_missions(integer) is
'Of sample_size random missions (at most 1,000) that are created or active, those whose recorded intervals differ from the view although none of their wake-ups is due: passes missed what was written without firing triggers. Looks at other missions each time.';

revoke execute on function scooters_ops.unrecorded_missions(integer) from public;
grant execute on function scooters_ops.unrecorded_missions(integer)
to scooters_ops_analyst, scooters_ops_notifier;
