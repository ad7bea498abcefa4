-- Which views take the comments of their columns from another view or a table?
-- Each of their columns gets the comment of the column of the same name there, if any.
do $$
declare
    inherited record;
begin
    for inherited in
        select
            format('scooters_ops.%I.%I', pair.view_name, shown.attname) as column_name,
            col_description(source.attrelid, source.attnum) as description
        from (
            values
            ('config_history', 'configs'),
            ('config_in_force', 'configs'),
            ('mission_overview', 'missions'),
            ('mission_routes', 'mission_points'),
            ('mission_skipped_points', 'mission_points'),
            ('mission_stops', 'mission_points'),
            ('planned_jobs', 'mission_jobs'),
            ('mission_timeouts', 'mission_intervals'),
            ('interval_history', 'mission_intervals'),
            ('unnoticed_timeouts', 'mission_intervals'),
            ('recent_detection_passes', 'detection_passes'),
            ('notification_deliveries', 'notification_steps'),
            ('response_times', 'notifications')
        ) as pair (view_name, source_name)
        inner join pg_catalog.pg_attribute as shown
            on
                shown.attrelid = format('scooters_ops.%I', pair.view_name)::regclass
                and shown.attnum > 0
        inner join pg_catalog.pg_attribute as source
            on
                source.attrelid = format('scooters_ops.%I', pair.source_name)::regclass
                and source.attnum > 0
                and source.attname = shown.attname
        where
            col_description(shown.attrelid, shown.attnum)
            is distinct from col_description(source.attrelid, source.attnum)
            -- These have comments of their own.
            and not (
                pair.view_name = 'interval_history'
                and shown.attname in (
                    'eta', 'factor', 'time_limit', 'deadline', 'is_overdue', 'rule'
                )
            )
    loop
        execute format(
            'comment on column %s is %L', inherited.column_name, inherited.description
        );
    end loop;
end
$$;
