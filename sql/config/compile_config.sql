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
        calendar.key,
        shown.from_time,
        shown.to_time - shown.from_time
        + case when shown.to_time > shown.from_time then interval '0' else '24 hours' end,
        (
            select array_agg(day.n order by day.n)
            from unnest(array['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])
                with ordinality as day (name, n)
            where calendar.value -> 'days' ? day.name
        ),
        case
            when jsonb_typeof(calendar.value -> 'time_zone') = 'string'
                then calendar.value ->> 'time_zone'
            else in_force.config #>> '{notifier,time_zone}'
        end,
        calendar.value #>> '{time_zone,attribute}'
    from jsonb_each(in_force.config -> 'calendars') as calendar
    cross join lateral (
        select
            (calendar.value ->> 'from')::time as from_time,
            (calendar.value ->> 'to')::time as to_time
    ) as shown
    order by calendar.key;

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
            'route' as scope,
            route.n,
            route.value -> 'match' as match
        from jsonb_array_elements(in_force.config -> 'routes')
            with ordinality as route (value, n)
        union all
        select
            'override',
            override.n,
            override.value -> 'match'
        from jsonb_array_elements(in_force.config #> '{detection,overrides}')
            with ordinality as override (value, n)
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
        override.n,
        rule.type,
        override.value ->> 'name',
        coalesce((changed.rule ->> 'factor')::numeric, rule.factor),
        coalesce((changed.rule ->> 'factor')::double precision, rule.factor),
        coalesce(
            make_interval(
                secs => (changed.rule ->> 'minimum_seconds')::double precision
            ),
            rule.minimum
        ),
        case
            when
                override.value -> 'job_eta_seconds' <> '{}'
                or override.value ->> 'default_job_eta_seconds' is not null
                then in_force.job_eta_seconds || (override.value -> 'job_eta_seconds')
        end,
        coalesce(
            make_interval(
                secs => (
                    override.value ->> 'default_job_eta_seconds'
                )::double precision
            ),
            in_force.default_job_eta
        )
    from jsonb_array_elements(in_force.config #> '{detection,overrides}')
        with ordinality as override (value, n)
    cross join scooters_ops.timeout_rules as rule
    cross join lateral (
        select override.value -> 'timeouts' -> rule.type::text as rule
    ) as changed
    order by override.n, rule.type;
end
$$;

comment on function scooters_ops.compile_config() is
'Stores the calendars, overrides and matches of the config in force as the rows that passes and planning read. A trigger calls it whenever the stored configs change.';

revoke execute on function scooters_ops.compile_config() from public;
