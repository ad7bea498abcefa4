-- Everything that can be rebuilt, in order of dependency.
-- "psql -1 -f sql/install.sql" replaces all of it, as often as you like, and waits
-- until nobody uses a view or a table. "make migrate" reads this list and skips what is
-- already installed, so it locks nobody out.
\set ON_ERROR_STOP on
\encoding UTF8
set client_min_messages = warning;
set standard_conforming_strings = on;
-- Views, defaults and SQL functions bind the names in them when they are created: by
-- this path, never to what somebody put into public.
set search_path = pg_catalog, pg_temp;

\ir roles.sql
\ir comments.sql

-- config/: check and apply a config, and what the one in force says
\ir config/json_path.sql
\ir config/exceeds_depth.sql
\ir config/validate_json.sql
\ir config/config_schema.sql
\ir config/config_history.sql
\ir config/config_in_force.sql
\ir config/config_timeout_rules.sql
\ir config/timeout_rules.sql
\ir config/config_calendars.sql
\ir config/config_overrides.sql
\ir config/config_matches.sql
\ir config/match_choices.sql
\ir config/match_rule.sql
\ir config/override_rules.sql
\ir config/calendars.sql
\ir config/known_time_zones.sql
\ir config/match_rules.sql
\ir config/match_terms.sql
\ir config/match_keys.sql
\ir config/match_lookups.sql
\ir config/mission_fact.sql
\ir config/mission_matches.sql
\ir config/is_match.sql
\ir attention/active_silences.sql
\ir config/matches_for.sql
\ir config/compile_match.sql
\ir config/forget_match.sql
\ir config/attribute_time_zones.sql
\ir config/compile_config.sql
\ir config/compile_stored_config.sql
\ir config/level_problem.sql
\ir config/match_problem.sql
\ir config/checked_config.sql
\ir config/time_zone_problem.sql
\ir config/check_config.sql
\ir config/require_config_comment.sql
\ir config/require_config_in_force.sql
\ir config/judging_part.sql
\ir config/job_etas.sql
\ir config/apply_config.sql
\ir config/matching_routes.sql
\ir config/route_notification.sql
\ir config/recipients_for.sql
\ir config/match_failures.sql
\ir config/route_facts.sql
\ir config/explain_route.sql
\ir config/seen_values.sql

-- missions/: what the mission service calls
\ir missions/event_types.sql
\ir missions/mission_overview.sql
\ir missions/truncate_deep_attributes.sql
\ir missions/mission_facts.sql
\ir missions/update_mission_status.sql
\ir missions/refuse_oversized.sql
\ir missions/mission_schema.sql
\ir missions/create_mission.sql
\ir missions/record_event.sql
\ir missions/record_event_once.sql
\ir missions/skip_job.sql

-- intervals/: the one definition of an interval and of a timeout
\ir intervals/longest_seconds.sql
\ir intervals/mission_events.sql
\ir intervals/mission_routes.sql
\ir intervals/planned_jobs.sql
\ir intervals/job_seconds.sql
\ir intervals/mission_stops.sql
\ir intervals/mission_skipped_points.sql
\ir intervals/deadline_of.sql
\ir intervals/mission_intervals_of.sql
\ir intervals/mission_intervals_at.sql
\ir intervals/mission_intervals.sql
\ir intervals/mission_timeouts.sql

-- detection/: wake-ups, passes, pruning
\ir detection/idempotency_token.sql
\ir intervals/interval_history.sql
\ir missions/job_history.sql
\ir detection/wake_for_history.sql
\ir detection/wake_for_plan.sql
\ir detection/try_detection_lock.sql
\ir detection/wait_for_detection_lock.sql
\ir detection/due_missions.sql
\ir detection/due_batches.sql
\ir detection/wake_missions.sql
\ir detection/wake_missions_under_way.sql
\ir detection/resolution_of.sql
\ir detection/take_wakeups.sql
\ir detection/recorded_since.sql
\ir detection/record_intervals.sql
\ir detection/late_because.sql
\ir detection/judge_intervals.sql
\ir board/duration_bounds.sql
\ir board/fold_durations.sql
\ir detection/resolve_notifications.sql
\ir detection/run_pass.sql
\ir detection/detect_timeouts.sql
\ir detection/detect_in_batches.sql
\ir detection/detect_for_a_minute.sql
\ir detection/detect_between_batches.sql
\ir detection/backfill_intervals.sql
\ir detection/prune_silences.sql
\ir detection/prune_bookkeeping.sql
\ir detection/prune_notifications.sql
\ir detection/prune_intervals.sql
\ir detection/prune_in_batches.sql
\ir detection/missions_waiting.sql
\ir detection/sampled_missions.sql
\ir detection/missions_not_recorded.sql
\ir detection/unrecorded_missions.sql
\ir delivery/counting_limit.sql
\ir detection/detection_status.sql
\ir detection/input_status.sql
\ir detection/recent_detection_passes.sql
\ir detection/unnoticed_timeouts.sql

-- delivery/: recipients, leases, limits, results, status
\ir delivery/changed_signatures.sql
\ir delivery/wake_notifiers.sql
\ir delivery/followed_channels.sql
\ir delivery/is_digest_over.sql
\ir delivery/settle_digests.sql
\ir delivery/settle_steps.sql
\ir delivery/told_late_because.sql
\ir delivery/refresh_notifications.sql
\ir delivery/level_due_at.sql
\ir delivery/match_facts.sql
\ir attention/holding_silence.sql
\ir attention/hold_alerts.sql
\ir delivery/plan_notifications.sql
\ir delivery/planned_totals.sql
\ir delivery/plan_deliveries.sql
\ir delivery/adjust_for_clock_step.sql
\ir delivery/rate_limit_status.sql
\ir delivery/target_rate_limits.sql
\ir delivery/follow_up_limits.sql
\ir delivery/delivery_channels.sql
\ir delivery/delivery_queue.sql
\ir delivery/delivery_key.sql
\ir delivery/earlier_message.sql
\ir delivery/told_before.sql
\ir attention/acknowledge_data.sql
\ir attention/silenced.sql
\ir delivery/digest_limits.sql
\ir delivery/digest_facts.sql
\ir delivery/form_digests.sql
\ir delivery/dissolve_digests.sql
\ir delivery/record_digests.sql
\ir delivery/lease_deliveries.sql
\ir delivery/next_delivery.sql
\ir delivery/renew_leases.sql
\ir delivery/restart_rate_limits.sql
\ir delivery/pause_channels.sql
\ir delivery/hold_addresses.sql
\ir delivery/record_deliveries.sql
\ir delivery/release_deliveries.sql
\ir delivery/lock_recipients.sql
\ir delivery/retry_deliveries.sql
\ir delivery/confirm_deliveries.sql
\ir delivery/probe_channels.sql
\ir delivery/notifications.sql
\ir attention/why_moment.sql
\ir delivery/response_times.sql
\ir delivery/notification_deliveries.sql
\ir delivery/delivery_state.sql
\ir delivery/send_test.sql
\ir delivery/test_results.sql
\ir delivery/end_test.sql
\ir delivery/notification_steps.sql
\ir delivery/report_notifier.sql
\ir delivery/report_problem.sql
\ir delivery/retire_notifier.sql
\ir delivery/delivery_holds.sql
\ir delivery/unsent_recipients.sql
\ir delivery/delivery_status.sql
\ir delivery/recipient_status.sql
\ir delivery/notifier_status.sql
\ir delivery/applied_migrations.sql

-- attention/: what people say: acknowledge, silences, buttons; what they ask: why
\ir attention/require_name.sql
\ir attention/acknowledge.sql
\ir attention/require_silence.sql
\ir attention/place_silence.sql
\ir attention/silence.sql
\ir attention/unsilence.sql
\ir attention/preview_silence.sql
\ir attention/silence_status.sql
\ir attention/press_button.sql
\ir attention/press_buttons.sql
\ir attention/poll_buttons.sql
\ir attention/report_button_problem.sql
\ir attention/button_status.sql
\ir attention/why_number.sql
\ir attention/backtest_details.sql
\ir attention/backtest.sql
\ir attention/why_duration.sql
\ir attention/why_time.sql
\ir attention/why_sentences.sql
\ir attention/why_sentence.sql
\ir attention/why_subjects.sql
\ir attention/why_eta.sql
\ir attention/why_questions.sql
\ir attention/why_steps.sql
\ir attention/why_told.sql
\ir attention/why_facts.sql
\ir attention/why.sql
\ir attention/require_window.sql
\ir attention/is_few.sql
\ir attention/covered_time.sql
\ir attention/threshold_counts.sql
\ir attention/threshold_effects.sql
\ir attention/threshold_advice.sql
\ir attention/ratio_counts.sql
\ir attention/ratio_percentiles.sql
\ir attention/job_time_counts.sql
\ir attention/job_eta_advice.sql

-- board/: what the board and the metrics ask
\ir board/metrics.sql
\ir board/board_matches.sql
\ir board/board_interval.sql
\ir board/board_steps.sql
\ir board/board_notifications.sql
\ir board/board_open_notifications.sql
\ir board/board.sql
\ir board/board_mission.sql

-- after everything else
\ir inherited_comments.sql
\ir delivery/move_notification_counts.sql
\ir retired.sql

reset search_path;
