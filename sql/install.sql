-- Table of contents of all that can be rebuilt, in the order of dependency.
-- psql -1 -f sql/install.sql replaces all of it, as often as you like, and waits until
-- nobody uses a view or a trigger. make migrate reads this list and leaves alone what
-- is in place: so it locks nobody out.
\set ON_ERROR_STOP on
\encoding UTF8
set client_min_messages = warning;
set standard_conforming_strings = on;
-- Names in views, defaults and SQL functions are bound as they are made: to what this
-- path finds, and never to what somebody put into public.
set search_path = pg_catalog, pg_temp;

\ir roles.sql
\ir comments.sql

-- Config
\ir functions/json_path.sql
\ir functions/is_deeper.sql
\ir functions/checked_json.sql
\ir functions/config_schema.sql
\ir views/config_history.sql
\ir views/config_in_force.sql
\ir views/timeout_rules.sql
\ir views/job_type_etas.sql
\ir functions/apply_config.sql
\ir functions/route_notification.sql
\ir functions/recipients_for.sql

-- Intervals and timeouts
\ir functions/longest_seconds.sql
\ir functions/opens_or_closes_interval.sql
\ir views/mission_overview.sql
\ir views/mission_events.sql
\ir views/mission_routes.sql
\ir views/mission_stops.sql
\ir views/mission_skipped_points.sql
\ir functions/mission_intervals_of.sql
\ir functions/mission_intervals_at.sql
\ir views/mission_intervals.sql
\ir views/mission_timeouts.sql

-- Detection
\ir functions/shallow.sql
\ir functions/idempotency_token.sql
\ir functions/mission_facts.sql
\ir functions/follow_history.sql
\ir functions/wake_for_history.sql
\ir functions/wake_for_plan.sql
\ir triggers/wake_for_history.sql
\ir triggers/wake_for_plan.sql
\ir functions/refuse_oversized.sql
\ir triggers/refuse_oversized.sql
\ir functions/try_detection_lock.sql
\ir functions/wait_for_detection_lock.sql
\ir functions/due_missions.sql
\ir functions/wake_missions.sql
\ir functions/detect_timeouts_of.sql
\ir functions/detect_timeouts.sql
\ir functions/detect_in_batches.sql
\ir functions/detect_for_a_minute.sql
\ir functions/prune.sql
\ir functions/prune_notifications.sql
\ir functions/prune_in_batches.sql
\ir views/detection_status.sql
\ir views/recent_detection_passes.sql
\ir views/unnoticed_timeouts.sql

-- What the mission service calls
\ir functions/mission_schema.sql
\ir functions/create_mission.sql
\ir functions/record_event.sql
\ir functions/record_event_once.sql
\ir functions/skip_job.sql

-- Delivery
\ir functions/wake_notifiers.sql
\ir triggers/wake_notifiers.sql
\ir functions/refresh_notifications.sql
\ir functions/plan_notifications.sql
\ir functions/plan_deliveries.sql
\ir functions/follow_clock.sql
\ir functions/send_allowance.sql
\ir functions/target_rules.sql
\ir views/delivery_channels.sql
\ir functions/delivery_queue.sql
\ir functions/delivery_key.sql
\ir functions/lease_deliveries.sql
\ir functions/next_delivery.sql
\ir functions/renew_leases.sql
\ir functions/note_channels.sql
\ir functions/record_deliveries.sql
\ir functions/release_deliveries.sql
\ir functions/adopt_leases.sql
\ir functions/lock_undelivered.sql
\ir functions/retry_deliveries.sql
\ir functions/confirm_deliveries.sql
\ir functions/resume_channels.sql
\ir views/notifications.sql
\ir views/notification_deliveries.sql
\ir functions/report_notifier.sql
\ir functions/report_problem.sql
\ir functions/retire_notifier.sql
\ir views/delivery_holds.sql
\ir views/unsent_recipients.sql
\ir views/delivery_status.sql
\ir views/recipient_status.sql
\ir views/notifier_status.sql
\ir views/metrics.sql
\ir functions/applied_migrations.sql

-- The board
\ir functions/board_matches.sql
\ir functions/board_intervals.sql
\ir functions/board_notifications.sql
\ir functions/board.sql
\ir functions/board_mission.sql

reset search_path;
