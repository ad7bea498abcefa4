-- What do the calendars, overrides and routes of the config in force say, as rows?
-- Active silences are compiled again, because they may name calendars.
-- Two sessions that apply configs take turns, so that the rows are those of the config
-- that is in force when both are done.
create or replace function scooters_ops.compile_config()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    in_force scooters_ops.config_in_force;
begin
    -- In this order; whoever makes or ends a silence locks the second alone.
    lock table scooters_ops.compiled_config in share row exclusive mode;
    lock table scooters_ops.silences in share row exclusive mode;
    select * into in_force from scooters_ops.config_in_force;

    delete from scooters_ops.compiled_terms;
    delete from scooters_ops.compiled_lookups;
    delete from scooters_ops.compiled_matches;
    delete from scooters_ops.compiled_keys;
    delete from scooters_ops.compiled_calendars;
    delete from scooters_ops.compiled_overrides;
    delete from scooters_ops.compiled_time_zones;
    delete from scooters_ops.compiled_config;
    if in_force.config_id is null then
        return;
    end if;
    insert into scooters_ops.compiled_config (config_id) values (in_force.config_id);

    insert into scooters_ops.compiled_calendars (
        name, from_time, span, days, time_zone, zone_attribute
    )
    select
        calendar.name,
        calendar.from_time,
        calendar.span,
        calendar.days,
        calendar.time_zone,
        calendar.zone_attribute
    from scooters_ops.config_calendars(in_force.config) as calendar
    order by calendar.name;

    if exists (
        select
        from scooters_ops.compiled_calendars
        where zone_attribute is not null
    ) then
        insert into scooters_ops.compiled_time_zones (name)
        select known.name
        from scooters_ops.attribute_time_zones() as known (name)
        order by known.name;
    end if;

    perform scooters_ops.compile_match(listed.scope, listed.n, listed.match)
    from (
        select
            known.scope,
            known.match_id as n,
            known.match
        from scooters_ops.config_matches(in_force.config) as known
        union all
        select
            'silence',
            silence.silence_id,
            silence.match
        from scooters_ops.silences as silence
        where
            silence.ended_at is null
            and silence.ends_at > now()
    ) as listed
    order by listed.scope, listed.n;

    insert into scooters_ops.compiled_overrides (
        match_id,
        type,
        name,
        factor,
        binary_factor,
        minimum,
        job_eta_seconds,
        default_job_eta
    )
    select
        override.match_id,
        override.type,
        override.name,
        override.factor,
        override.binary_factor,
        override.minimum,
        override.job_eta_seconds,
        override.default_job_eta
    from scooters_ops.config_overrides(in_force.config) as override
    order by override.match_id, override.type;
end
$$;

comment on function scooters_ops.compile_config() is
'Stores the calendars, overrides and matches of the config in force as the rows that passes and planning read. A trigger calls it whenever the stored configs change.';

revoke execute on function scooters_ops.compile_config() from public;
