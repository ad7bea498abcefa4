-- Which views and functions of earlier versions are left over?
-- The first installation that runs an hour or more after the migration that retired
-- them drops them: by then no session is still executing an old function that calls
-- them. One that somebody's own view or function reads is kept, and one that a session
-- is reading is left to the next installation: nobody has to wait for it.
do $$
declare
    retired record;
begin
    perform set_config('lock_timeout', '50ms', true);
    for retired in
        select
            object.kind,
            object.name
        from (
            values
            ('0014_retired', 'view', 'job_type_etas'),
            ('0014_retired', 'view', 'mission_routes_before_0014'),
            ('0014_retired', 'view', 'timeout_rules_before_0014'),
            ('0014_retired', 'function', 'checked_json(jsonb, jsonb, text, jsonb)'),
            ('0014_retired', 'function', 'is_deeper(jsonb, integer)'),
            ('0014_retired', 'function', 'shallow(jsonb)'),
            ('0014_retired', 'function', 'follow_history(text[], text[])'),
            ('0014_retired', 'function', 'prune()'),
            (
                '0016_recorded_intervals',
                'function',
                'detect_timeouts_of(text[], timestamptz, integer)'
            ),
            (
                '0016_recorded_intervals',
                'function',
                'board_intervals(text, timestamptz, timestamptz)'
            ),
            ('0015_delivery_doubt', 'function', 'adopt_leases(text, bigint[])'),
            ('0015_delivery_doubt', 'function', 'note_channels(jsonb)'),
            ('0015_delivery_doubt', 'function', 'follow_clock()'),
            ('0015_delivery_doubt', 'function', 'lock_undelivered(text, text, text[])'),
            ('0015_delivery_doubt', 'function', 'resume_channels(text[])'),
            ('0015_delivery_doubt', 'function', 'send_allowance(timestamptz[], jsonb)'),
            ('0015_delivery_doubt', 'function', 'target_rules(jsonb, text)'),
            ('0017_steps', 'function', 'delivery_queue(text, jsonb)'),
            (
                '0019_answers',
                'function',
                'match_failures(text, jsonb, timestamptz)'
            ),
            ('0019_answers', 'function', 'route_facts(jsonb, timestamptz)'),
            (
                '0019_answers',
                'function',
                'record_intervals(text[], timestamptz, timestamptz)'
            ),
            (
                '0018_matches',
                'function',
                'matching_routes(monitoring_notification_type, text, jsonb)'
            ),
            (
                '0018_matches',
                'function',
                'board_interval(monitoring_notification_type, text, integer, timestamptz, timestamptz, interval, numeric, interval, timestamptz, timestamptz)' -- noqa: LT05
            )
        ) as object (migration_id, kind, name)
        inner join scooters_ops._yoyo_migration as migration
            on object.migration_id = migration.migration_id
        where
            migration.applied_at_utc < now() at time zone 'UTC' - interval '1 hour'
            -- To find out by dropping it would lock out those who read it.
            and not exists (
                select
                from pg_catalog.pg_depend as dependency
                left join pg_catalog.pg_rewrite as rule
                    on
                        dependency.classid = 'pg_catalog.pg_rewrite'::regclass
                        and dependency.objid = rule.oid
                where
                    dependency.refclassid = 'pg_catalog.pg_class'::regclass
                    and dependency.refobjid = to_regclass(
                        case
                            when object.kind = 'view'
                                then 'scooters_ops.' || object.name
                        end
                    )
                    and dependency.deptype = 'n'
                    and rule.ev_class is distinct from dependency.refobjid
            )
    loop
        begin
            execute format('drop %s if exists scooters_ops.%s', retired.kind, retired.name);
        exception
            when dependent_objects_still_exist or lock_not_available then null;
        end;
    end loop;
end
$$;
