-- Did passes miss any of a few random missions under way?
create or replace function scooters_ops.unrecorded_missions(sample_size integer)
returns text[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- After a pass of an earlier version, which recorded nothing, the next pass wakes
    -- every mission under way.
    if
        (
            select passed.recorded is null
            from scooters_ops.detection_passes as passed
            order by passed.pass_id desc
            limit 1
        )
    then
        return '{}'::text[];
    end if;
    return scooters_ops.missions_not_recorded(
        scooters_ops.sampled_missions(least(sample_size, 1000))
    );
end
$$;

comment on function scooters_ops.unrecorded_missions(integer) is
'Of sample_size random missions (at most 1,000) that are created or active, those whose recorded intervals differ from the view although none of their wake-ups is due: passes missed what was written without firing triggers. Looks at other missions each time. Empty after an upgrade from a version that did not record, until the next pass has run.';

revoke execute on function scooters_ops.unrecorded_missions(integer) from public;
grant execute on function scooters_ops.unrecorded_missions(integer)
to scooters_ops_analyst, scooters_ops_notifier;
