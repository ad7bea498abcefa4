-- How does each public function and view go through the router?
-- The one list. A test fails when something public is missing here.
--
--   mission  functions: to the shard of the mission that the key names; views: a table
--            that is partitioned by mission_id over the shards' views
--   token    to the shard of the notification whose token the key is; null: to all
--   any      the first shard that answers: all of them would say the same; merge: what
--            to make of its answer, {}
--   all      to every shard, merged: sum, rows (one after the other), arrays, or a
--            select of what to make of the rows of all shards, {}, where a function's
--            columns are answer.column; for views without it the rows that differ
--   here     the router has its own copy: what it says depends on nothing in a shard
--   on_top   the router has its own copy, which asks the router's other functions
--   written  it has a file of its own in this folder
--   shard    only notifiers and owners use it, and they are at home in a shard
create or replace view scooters_router.routes as
select
    listed.kind,
    listed.object,
    listed.route,
    listed.key,
    listed.merge
from (
    values
    (
        'function',
        'create_mission(jsonb)',
        'mission',
        'mission ->> ''mission_id''',
        null
    ),
    (
        'function',
        'record_event(text,text,text,timestamp with time zone)',
        'mission', 'mission_id', null
    ),
    (
        'function',
        'record_event_once(text,text,text,timestamp with time zone,text)',
        'mission', 'mission_id', null
    ),
    ('function', 'skip_job(text,text,text)', 'mission', 'mission_id', null),
    (
        'function',
        'board_mission(text,timestamp with time zone)',
        'mission',
        'mission_id',
        null
    ),
    (
        'function',
        'mission_intervals_of(text,timestamp with time zone)',
        'mission', 'mission_id', null
    ),
    ('function', 'mission_intervals_at(timestamp with time zone)', 'all', null, 'rows'),
    ('function', 'retry_deliveries(text,text)', 'token', 'token', 'sum'),
    ('function', 'confirm_deliveries(text,text)', 'token', 'token', 'sum'),
    (
        'function',
        'acknowledge(text,text)',
        'mission', 'scooters_router.mission_of(token)', null
    ),
    ('function', 'silence(jsonb,interval,text,text)', 'written', null, null),
    ('function', 'unsilence(bigint,text)', 'written', null, null),
    ('function', 'preview_silence(jsonb,interval)', 'all', null, 'rows'),
    ('function', 'why(text)', 'mission', 'mission_id', null),
    (
        'function',
        'why_facts(text,timestamp with time zone)', 'mission', 'mission_id', null
    ),
    ('function', 'why_sentences()', 'here', null, null),
    ('function', 'why_moment(text)', 'here', null, null),
    (
        'function',
        'matches_for(text,jsonb,timestamp with time zone)', 'any', null, null
    ),
    ('function', 'mission_matches(text,text,text,jsonb)', 'any', null, null),
    (
        'function',
        'is_match(text[],text[],text[],time without time zone,interval,smallint[],text,'
        'text,text,text,timestamp with time zone)',
        'here', null, null
    ),
    ('function', 'config_timeout_rules(jsonb)', 'here', null, null),
    ('function', 'config_calendars(jsonb)', 'here', null, null),
    ('function', 'config_overrides(jsonb)', 'here', null, null),
    ('function', 'config_matches(jsonb)', 'here', null, null),
    ('function', 'match_choices(jsonb)', 'here', null, null),
    ('function', 'match_rule(jsonb)', 'here', null, null),
    ('function', 'mission_fact(text,text,text,jsonb)', 'here', null, null),
    ('function', 'job_seconds(interval,text,jsonb,interval)', 'here', null, null),
    ('function', 'wake_missions(text[])', 'all', null, 'sum'),
    (
        'function',
        'wake_missions(timestamp with time zone,timestamp with time zone)',
        'all', null, 'sum'
    ),
    ('function', 'missions_waiting()', 'all', null, 'sum'),
    ('function', 'unrecorded_missions(integer)', 'all', null, 'arrays'),
    ('function', 'input_status(timestamp with time zone)', 'shard', null, null),
    ('function', 'detect_timeouts(timestamp with time zone)', 'all', null, 'sum'),
    (
        'function',
        'route_notification(monitoring_notification_type,text,jsonb)', 'any', null, null
    ),
    (
        'function',
        'matching_routes(jsonb,timestamp with time zone)', 'any', null, null
    ),
    (
        'function',
        'recipients_for(monitoring_notification_type,text,jsonb)', 'any', null, null
    ),
    (
        'function',
        'explain_route(jsonb,timestamp with time zone,jsonb)', 'any', null,
        -- Its number in the router.
        'case when config is not null then {} else {} || jsonb_build_object('
        '''config_id'', (select config_id from scooters_ops.config_in_force)) end'
    ),
    ('function', 'seen_values(jsonb,text[])', 'all', null, 'rows'),
    (
        'function',
        'backtest_details(jsonb,timestamp with time zone,timestamp with time zone,'
        'text)',
        'all', null,
        'select answer.day, answer.type, answer.rule collate "C",'
        ' answer.value collate "C", answer.route collate "C",'
        ' sum(answer.would_tell)::bigint, sum(answer.told)::bigint,'
        ' sum(answer.would_send)::bigint, sum(answer.sent)::bigint,'
        ' bool_or(answer.is_lower_bound)'
        ' from {} group by 1, 2, 3, 4, 5'
        ' order by 1, 2, 3 nulls first, 4 nulls first, 5 nulls first'
    ),
    (
        'function',
        'backtest(jsonb,timestamp with time zone,timestamp with time zone)',
        'all', null,
        'select answer.day, answer.type, answer.rule collate "C",'
        ' sum(answer.would_tell)::bigint, sum(answer.told)::bigint'
        ' from {} group by 1, 2, 3 order by 1, 2, 3 nulls first'
    ),
    ('function', 'planned_totals()', 'written', null, null),
    ('function', 'apply_config(jsonb,text,bigint)', 'written', null, null),
    ('function', 'check_config(jsonb)', 'written', null, null),
    ('function', 'require_config_in_force(bigint)', 'here', null, null),
    (
        'function',
        'board(monitoring_notification_type,text,text,boolean,integer,'
        'timestamp with time zone)',
        'written', null, null
    ),
    ('function', 'applied_migrations()', 'written', null, null),
    -- Answers of shards to add up; what is asked does so.
    ('function', 'is_few(bigint)', 'here', null, null),
    (
        'function',
        'require_window(timestamp with time zone,timestamp with time zone)',
        'here', null, null
    ),
    (
        'function',
        'covered_time(timestamp with time zone,timestamp with time zone)',
        'all', null, 'rows'
    ),
    (
        'function',
        'threshold_counts(timestamp with time zone,timestamp with time zone,text)',
        'all', null, 'rows'
    ),
    (
        'function',
        'threshold_effects(timestamp with time zone,timestamp with time zone,text)',
        'on_top', null, null
    ),
    (
        'function',
        'threshold_advice(timestamp with time zone,timestamp with time zone,text)',
        'on_top', null, null
    ),
    (
        'function',
        'ratio_counts(timestamp with time zone,timestamp with time zone,text)',
        'all', null, 'rows'
    ),
    (
        'function',
        'ratio_percentiles(timestamp with time zone,timestamp with time zone,text)',
        'on_top', null, null
    ),
    (
        'function',
        'job_time_counts(timestamp with time zone,timestamp with time zone)',
        'all', null, 'rows'
    ),
    (
        'function',
        'job_eta_advice(timestamp with time zone,timestamp with time zone)',
        'on_top', null, null
    ),
    ('function', 'mission_start_types()', 'here', null, null),
    ('function', 'mission_end_types()', 'here', null, null),
    ('function', 'point_event_types()', 'here', null, null),
    ('function', 'opens_or_closes_interval(text)', 'here', null, null),
    ('function', 'interval_type_opened_by(text)', 'here', null, null),
    ('function', 'mission_schema()', 'here', null, null),
    ('function', 'longest_seconds()', 'here', null, null),
    ('function', 'deadline_of(timestamp with time zone,interval)', 'here', null, null),
    (
        'function',
        'idempotency_token(text,text,text,monitoring_notification_type)',
        'here',
        null,
        null
    ),
    ('function', 'counting_limit()', 'here', null, null),
    ('function', 'duration_bounds()', 'here', null, null),
    ('function', 'delivery_state(text,boolean,integer)', 'here', null, null),
    (
        'function',
        'rate_limit_status(timestamp with time zone[],jsonb)', 'here', null, null
    ),
    ('function', 'follow_up_limits(jsonb)', 'here', null, null),
    -- One program reads the presses of a bot's buttons: the router's notifier.
    ('function', 'poll_buttons(text,text,double precision)', 'here', null, null),
    ('function', 'report_button_problem(text,text)', 'here', null, null),
    ('function', 'press_buttons(text,text,jsonb,bigint)', 'written', null, null),
    ('function', 'target_rate_limits(jsonb,text)', 'shard', null, null),
    ('function', 'plan_deliveries(integer)', 'shard', null, null),
    (
        'function',
        'lease_deliveries(text,jsonb,double precision,jsonb,text[])',
        'shard', null, null
    ),
    ('function', 'next_delivery(text[],text[])', 'shard', null, null),
    ('function', 'renew_leases(text,bigint[],double precision)', 'shard', null, null),
    ('function', 'record_deliveries(text,jsonb)', 'shard', null, null),
    ('function', 'release_deliveries(text,bigint[])', 'shard', null, null),
    ('function', 'probe_channels(text[])', 'shard', null, null),
    ('function', 'send_test(jsonb,text,text)', 'shard', null, null),
    ('function', 'test_results(text)', 'shard', null, null),
    ('function', 'end_test(text)', 'shard', null, null),
    ('function', 'report_notifier(text,bigint,text)', 'shard', null, null),
    ('function', 'report_problem(text,text)', 'shard', null, null),
    ('function', 'retire_notifier(text)', 'shard', null, null),

    ('view', 'mission_overview', 'mission', null, null),
    ('view', 'mission_events', 'mission', null, null),
    ('view', 'mission_routes', 'mission', null, null),
    ('view', 'mission_stops', 'mission', null, null),
    ('view', 'mission_skipped_points', 'mission', null, null),
    ('view', 'mission_intervals', 'mission', null, null),
    ('view', 'mission_timeouts', 'mission', null, null),
    ('view', 'interval_history', 'mission', null, null),
    ('view', 'job_history', 'mission', null, null),
    ('view', 'notifications', 'mission', null, null),
    ('view', 'response_times', 'mission', null, null),
    ('view', 'notification_deliveries', 'mission', null, null),
    ('view', 'notification_steps', 'mission', null, null),
    ('view', 'unnoticed_timeouts', 'mission', null, null),
    ('view', 'planned_jobs', 'mission', null, null),
    -- Every shard has the same.
    ('view', 'match_rules', 'all', null, null),
    ('view', 'match_terms', 'all', null, null),
    ('view', 'match_keys', 'all', null, null),
    ('view', 'match_lookups', 'all', null, null),
    ('view', 'calendars', 'all', null, null),
    ('view', 'known_time_zones', 'all', null, null),
    ('view', 'override_rules', 'all', null, null),
    (
        -- A silence that was made in a shard itself may have the number of another one.
        'view', 'active_silences', 'all', null,
        'select silence_id, (array_agg(match))[1] as match,'
        ' min(starts_at) as starts_at, max(ends_at) as ends_at,'
        ' max(comment) as comment, max(created_by) as created_by'
        ' from {} group by silence_id,'
        ' case when silence_id < 1099511627776 then shard_name end'
    ),
    (
        'view', 'silence_status', 'all', null,
        'select silence_id, (array_agg(match))[1] as match,'
        ' min(starts_at) as starts_at, max(ends_at) as ends_at,'
        ' max(comment) as comment, max(created_by) as created_by,'
        ' case when bool_and(ended_at is not null) then max(ended_at) end as ended_at,'
        ' case when bool_and(ended_at is not null) then max(ended_by) end as ended_by,'
        ' bool_or(is_active) as is_active,'
        ' sum(alerts_held)::bigint as alerts_held,'
        ' sum(alerts_total)::bigint as alerts_total'
        ' from {} group by silence_id,'
        ' case when silence_id < 1099511627776 then shard_name end'
    ),
    ('view', 'timeout_rules', 'here', null, null),
    ('view', 'config_in_force', 'here', null, null),
    ('view', 'config_history', 'here', null, null),
    ('view', 'button_status', 'here', null, null),
    ('view', 'unsent_recipients', 'all', null, 'select * from {}'),
    ('view', 'recent_detection_passes', 'all', null, 'select * from {}'),
    ('view', 'notifier_status', 'all', null, 'select * from {}'),
    (
        'view', 'delivery_channels', 'all', null,
        'select channel, max(held_until) as held_until,'
        ' max(failures)::integer as failures, max(opens_at) as opens_at,'
        -- Of all shards together; each has its part.
        ' coalesce('
        '(select config #> array[''channels'', channel, ''limits'']'
        ' from scooters_ops.config_in_force),'
        ' (array_agg(limits))[1]'
        ') as limits,'
        ' sum(free)::integer as free, max(last_granted_at) as last_granted_at,'
        ' max(follow_ups_open_at) as follow_ups_open_at,'
        ' sum(free_for_follow_ups)::integer as free_for_follow_ups'
        ' from {} group by channel'
    ),
    (
        'view', 'delivery_holds', 'all', null,
        'select channel, address, max(held_until) as held_until,'
        ' max(reason) as reason, max(failures)::integer as failures,'
        ' bool_or(is_long) as is_long'
        ' from {} group by channel, address'
    ),
    (
        'view', 'delivery_status', 'all', null,
        'select channel, state, sum(recipients)::bigint as recipients,'
        ' min(oldest_created_at) as oldest_created_at,'
        ' min(next_attempt_at) as next_attempt_at, max(sample_error) as sample_error,'
        ' bool_or(is_stuck) as is_stuck, bool_or(is_lower_bound) as is_lower_bound'
        ' from {} group by channel, state'
    ),
    (
        'view', 'recipient_status', 'all', null,
        'select channel, address, state, sum(recipients)::bigint as recipients,'
        ' min(oldest_created_at) as oldest_created_at,'
        ' min(next_attempt_at) as next_attempt_at, max(sample_error) as sample_error,'
        ' bool_or(is_lower_bound) as is_lower_bound'
        ' from {} group by channel, address, state'
    ),
    (
        'view', 'detection_status', 'all', null,
        'with answer as (select * from {})'
        ' select coalesce(bool_and(is_enabled), false) as is_enabled,'
        ' min(last_pass_at) as last_pass_at,'
        ' max(last_pass_elapsed) as last_pass_elapsed,'
        ' sum(last_pass_missions)::integer as last_pass_missions,'
        ' sum(last_pass_inserted)::integer as last_pass_inserted,'
        ' coalesce(bool_or(is_stalled), true) as is_stalled,'
        ' string_agg(shard_name || '': '' || lock_holder, ''; '') as lock_holder,'
        ' string_agg(shard_name || '': '' || lock_waiters, ''; '')'
        ' as lock_waiters,'
        ' sum(last_pass_recorded)::integer as last_pass_recorded,'
        ' sum(last_pass_judged)::integer as last_pass_judged,'
        ' sum(last_pass_resolved)::integer as last_pass_resolved,'
        ' sum(missions_waiting)::integer as missions_waiting,'
        ' array('
        'select mission_id from answer'
        ' cross join lateral unnest(unrecorded_missions) as mission_id'
        ') as unrecorded_missions'
        ' from answer'
    ),
    (
        -- A shard whose missions are active may be silent alone.
        'view', 'input_status', 'all', null,
        'with answer as (select * from {})'
        ' select max(newest_event_at) as newest_event_at,'
        ' max(silent_after) as silent_after,'
        ' coalesce(bool_or(is_silent), false) as is_silent,'
        ' case when max(newest_event_at) >= now() - max(silent_after)'
        ' then coalesce('
        'array_agg(shard_name) filter (where is_silent), array[]::text[]'
        ') else array[]::text[] end as silent_shards'
        ' from answer'
    ),
    (
        'view', 'metrics', 'all', null,
        'with asked as materialized (select * from {})'
        ' select name, labels,'
        ' case when name ~ ''^newest_|_enabled$'' then min(value)'
        ' when name ~'
        ' ''(_age_seconds|_duration_seconds|_stalled|_silent|_since|active_silences)$'''
        ' then max(value) else sum(value) end as value,'
        ' max(help) as help from asked group by name, labels'
        -- Every shard that answers has metrics.
        ' union all select ''shard_up'', jsonb_build_object(''shard'', known.name),'
        ' exists (select from asked where asked.shard_name = known.name)::integer,'
        ' ''Whether the shard of this router answers.'''
        ' from scooters_router.shards as known'
    )
) as listed (kind, object, route, key, merge);

comment on view scooters_router.routes is
'How each public function and view goes through the router.';
