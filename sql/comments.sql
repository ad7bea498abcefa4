-- What do the tables, their columns and indexes mean?
comment on type scooters_ops.monitoring_notification_type is
'What may be notified: timeout_in_point, timeout_between_points, job_skipped.';
comment on type scooters_ops.mission_interval is
'A row of mission_intervals.';

comment on table scooters_ops.missions is
'Missions that couriers carry out.';
comment on column scooters_ops.missions.mission_id is
'The mission.';
comment on column scooters_ops.missions.performer_id is
'The courier who carries it out.';
comment on column scooters_ops.missions.status is
'created, active, completed or cancelled. It follows the history: at once what record_event records and what is edited or deleted there, with the next pruning an end that was inserted directly.';
comment on column scooters_ops.missions.attributes is
'Free facts (JSON object): city, zone, performer_name, ...; routes match on them, templates print them.';
comment on column scooters_ops.missions.created_at is
'When it was created.';
comment on index scooters_ops.missions_pkey is
'For: the mission of an interval, in mission_intervals_at.';
comment on index scooters_ops.missions_active_idx is
'For: waking every active mission, in apply_config.';

comment on table scooters_ops.mission_points is
'The route of each mission, point by point.';
comment on column scooters_ops.mission_points.mission_id is
'The mission.';
comment on column scooters_ops.mission_points.point_id is
'The point.';
comment on column scooters_ops.mission_points.position is
'Visiting order, from 1, unique in the mission.';
comment on column scooters_ops.mission_points.eta is
'Planned travel to this point from the one before it (interval).';
comment on index scooters_ops.mission_points_pkey is
'For: the position of one point, in mission_facts and record_event.';
comment on index scooters_ops.mission_points_mission_id_position_key is
'For: the route of a mission in visiting order, in mission_routes.';

comment on table scooters_ops.mission_jobs is
'What is to be done at each point.';
comment on column scooters_ops.mission_jobs.mission_id is
'The mission.';
comment on column scooters_ops.mission_jobs.point_id is
'The point.';
comment on column scooters_ops.mission_jobs.job_id is
'The job.';
comment on column scooters_ops.mission_jobs.type is
'What kind of job: battery_exchange, pickup, ...; config has an eta for each.';
comment on column scooters_ops.mission_jobs.eta is
'Planned duration where the planner knows better than config (interval); else null.';
comment on column scooters_ops.mission_jobs.status is
'planned, completed or skipped.';
comment on index scooters_ops.mission_jobs_pkey is
'For: one job, in skip_job; the jobs of a mission, in mission_routes.';

comment on table scooters_ops.missions_history is
'The log that the mission service writes, append-only in practice; it may hold types that do not count for intervals. Without a foreign key: what happened is kept even where the mission is not known yet.';
comment on column scooters_ops.missions_history.history_id is
'Order of insertion; breaks ties of occurred_at.';
comment on column scooters_ops.missions_history.mission_id is
'The mission.';
comment on column scooters_ops.missions_history.point_id is
'The point; null for events of the mission as a whole.';
comment on column scooters_ops.missions_history.type is
'mission_started, point_arrived, point_completed, mission_completed, mission_cancelled, or a type that does not count.';
comment on column scooters_ops.missions_history.occurred_at is
'When it happened, by the clock of whoever reported it.';
comment on index scooters_ops.missions_history_pkey is
'For: editing or deleting one event by hand.';
comment on index scooters_ops.missions_history_mission_id_occurred_at_idx is
'For: the events of a mission, in mission_events; its first event to come, in detect_timeouts_of.';
comment on index scooters_ops.missions_history_occurred_at_idx is
'For: the missions with recent events, in apply_config.';

comment on table scooters_ops.configs is
'Every config ever applied; the one with the highest config_id is in force.';
comment on column scooters_ops.configs.config_id is
'Number of the config, rising with each change.';
comment on column scooters_ops.configs.config is
'The whole config, defaults filled in.';
comment on column scooters_ops.configs.applied_at is
'When it was applied.';
comment on column scooters_ops.configs.applied_by is
'The database user who applied it.';
comment on index scooters_ops.configs_pkey is
'For: the newest config, in config_in_force.';

comment on table scooters_ops.mission_wakeups is
'Which missions detection must look at, and when. A hint, never a truth: one too many is harmless. Without a key, since writers only append and never wait.';
comment on column scooters_ops.mission_wakeups.mission_id is
'The mission.';
comment on column scooters_ops.mission_wakeups.due_at is
'When to look; -infinity: at the next pass; infinity: when config changes.';
comment on index scooters_ops.mission_wakeups_due_at_idx is
'For: what is due, in due_missions.';
comment on index scooters_ops.mission_wakeups_mission_id_idx is
'For: every other wake-up of the missions that are due, in detect_timeouts_of. "Look now" is not in it: writers append that, and it is found by due_at.';

comment on table scooters_ops.detection_lock is
'Has no rows: passes and pruning take turns by a lock on it (share update exclusive).';
comment on column scooters_ops.detection_lock.note is
'Of no use: a table has a column.';

comment on table scooters_ops.detection_passes is
'What each pass of detection did; prune() deletes old ones.';
comment on column scooters_ops.detection_passes.pass_id is
'Number of the pass.';
comment on column scooters_ops.detection_passes.as_of is
'The moment as of which it looked.';
comment on column scooters_ops.detection_passes.started_at is
'When it started.';
comment on column scooters_ops.detection_passes.elapsed is
'How long it took (interval).';
comment on column scooters_ops.detection_passes.missions is
'How many missions it looked at (a count).';
comment on column scooters_ops.detection_passes.inserted is
'How many notifications it inserted (a count).';
comment on column scooters_ops.detection_passes.still_due is
'How many missions were due and left to the next pass (a count).';
comment on column scooters_ops.detection_passes.total_elapsed is
'How long all passes so far took, this one included (interval); from anew where prune() left no pass.';
comment on column scooters_ops.detection_passes.total_inserted is
'How many notifications all passes so far inserted, this one included (a count); from anew where prune() left no pass.';
comment on index scooters_ops.detection_passes_started_at_idx is
'For: the last hour, in recent_detection_passes; what is old, in prune.';
comment on index scooters_ops.detection_passes_pkey is
'For: the last pass, in detection_status, metrics and detect_timeouts_of.';

comment on table scooters_ops.monitoring_notifications is
'What was noticed: one row per event, ever. prune_in_batches() deletes old ones when their events can never be noticed again.';
comment on column scooters_ops.monitoring_notifications.notification_id is
'Number of the notification.';
comment on column scooters_ops.monitoring_notifications.idempotency_token is
'{mission_id}_{point_id}_{job_id}_{type}, as idempotency_token() makes it.';
comment on column scooters_ops.monitoring_notifications.mission_id is
'The mission.';
comment on column scooters_ops.monitoring_notifications.point_id is
'The point.';
comment on column scooters_ops.monitoring_notifications.job_id is
'The skipped job; null for timeouts.';
comment on column scooters_ops.monitoring_notifications.type is
'timeout_in_point, timeout_between_points or job_skipped.';
comment on column scooters_ops.monitoring_notifications.completed is
'Whether everything that config wanted sent has been sent; false where no route said whom to tell.';
comment on column scooters_ops.monitoring_notifications.recipients is
'What has been sent where (JSON array of recipients, each with "sended").';
comment on column scooters_ops.monitoring_notifications.details is
'The facts at detection (JSON object): performer_id, attributes, point_position, points_total; timeouts: started_at, finished_at, eta_seconds, factor, minimum_seconds, limit_seconds, elapsed_seconds, detected_at; skipped jobs: job_type, skipped_at.';
comment on column scooters_ops.monitoring_notifications.created_at is
'When it was inserted.';
comment on column scooters_ops.monitoring_notifications.planned_at is
'When its recipients were decided; null: not yet.';
comment on index scooters_ops.monitoring_notifications_pkey is
'For: the notification of a recipient, in lease_deliveries and notification_deliveries; the oldest ones, in prune_notifications.';
comment on index scooters_ops.monitoring_notifications_idempotency_token_key is
'For: inserting each event once; one notification by its token, in lock_recipients.';
comment on index scooters_ops.monitoring_notifications_unplanned_idx is
'For: what has no recipients yet, in plan_deliveries and delivery_status.';
comment on index scooters_ops.monitoring_notifications_mission_id_idx is
'For: the notifications of one mission, in notification_deliveries.';

comment on table scooters_ops.notification_recipients is
'One recipient of one notification: the unit of work of delivery.';
comment on column scooters_ops.notification_recipients.recipient_id is
'Number of the recipient.';
comment on column scooters_ops.notification_recipients.notification_id is
'The notification.';
comment on column scooters_ops.notification_recipients.channel is
'The channel: telegram, st, ...';
comment on column scooters_ops.notification_recipients.target is
'The recipient as the routes named it (JSON object).';
comment on column scooters_ops.notification_recipients.state is
'pending, sending (leased), sent, failed (given up) or in_doubt (a person decides).';
comment on column scooters_ops.notification_recipients.attempts is
'How often it was tried, the running one included (a count).';
comment on column scooters_ops.notification_recipients.next_attempt_at is
'pending: when it is tried next; sending: when the lease ends.';
comment on column scooters_ops.notification_recipients.leased_by is
'While it is sending: the notifier that holds the lease, with the number of its connection after a #.';
comment on column scooters_ops.notification_recipients.last_error is
'Why the last attempt that failed did.';
comment on column scooters_ops.notification_recipients.reference is
'What the channel calls it: id of the message, key of the ticket.';
comment on column scooters_ops.notification_recipients.sent_at is
'When it was sent.';
comment on column scooters_ops.notification_recipients.created_at is
'When it was decided.';
comment on column scooters_ops.notification_recipients.is_taken_over is
'Whether a lease expired and no result was recorded since, so that the message may have been sent already.';
comment on column scooters_ops.notification_recipients.idempotency_key is
'What the channel was given as idempotency key, as delivery_key() makes it, from the first attempt on; null: it was never tried, or sent before there was such a key.';
comment on column scooters_ops.notification_recipients.is_blocked is
'Whether no message could be made of it when it was tried last, until a person mends its template or updates the notifier; it is tried again by itself.';
comment on index scooters_ops.notification_recipients_pkey is
'For: recording a result, in record_deliveries.';
comment on index scooters_ops.notification_recipients_notification_id_target_key is
'For: the recipients of a notification, in refresh_notifications; naming each once.';
comment on column scooters_ops.notification_recipients.address is
'By what the channel''s limits go: the chat or queue of the target; else the whole target.';
comment on index scooters_ops.notification_recipients_waiting_idx is
'For: which chats and queues wait, and for each what is due, in delivery_queue and lease_deliveries.';
comment on index scooters_ops.notification_recipients_due_idx is
'For: what is waiting, in unsent_recipients.';
comment on index scooters_ops.notification_recipients_sending_idx is
'For: how much is on its way to a chat or queue, in delivery_queue; what a notifier holds, in release_deliveries and notifier_status.';
comment on index scooters_ops.notification_recipients_attention_idx is
'For: what needs a person, in lock_recipients and unsent_recipients.';

comment on table scooters_ops.unrouted_notifications is
'The notifications that no route matched when they were planned, so that nobody was told; retry_deliveries() routes them anew.';
comment on column scooters_ops.unrouted_notifications.notification_id is
'The notification.';
comment on column scooters_ops.unrouted_notifications.created_at is
'When the notification was inserted.';
comment on index scooters_ops.unrouted_notifications_pkey is
'For: whether a route matched a notification, in refresh_notifications, prune_notifications and board_notifications.';

comment on table scooters_ops.delivery_targets is
'What all notifiers know of a chat or queue, or of a channel as a whole: what it was sent lately, holds and moves.';
comment on column scooters_ops.delivery_targets.channel is
'The channel.';
comment on column scooters_ops.delivery_targets.address is
'The chat or queue, as in notification_recipients; empty: the channel as a whole.';
comment on column scooters_ops.delivery_targets.granted_at is
'When the latest messages to it were leased, oldest first: as many as its limits may count.';
comment on column scooters_ops.delivery_targets.leased_at is
'When something for it was leased last.';
comment on column scooters_ops.delivery_targets.leased_due_at is
'Since when that had been due: what became due earlier and still waits was passed over.';
comment on column scooters_ops.delivery_targets.held_until is
'When its hold ends: nothing is sent there before; null: no hold.';
comment on column scooters_ops.delivery_targets.hold_reason is
'What the channel said when it was held last.';
comment on column scooters_ops.delivery_targets.failures is
'How often in a row the channel refused us as a whole (a count); 0 for a chat or queue.';
comment on column scooters_ops.delivery_targets.moved_to is
'The fields of a target that are new since the chat has moved (JSON object); null: it has not.';
comment on column scooters_ops.delivery_targets.moved_address is
'The address that follows from moved_to.';
comment on index scooters_ops.delivery_targets_pkey is
'For: one chat or queue, and each channel as a whole, in delivery_queue and delivery_channels.';

comment on table scooters_ops.notifiers is
'The notifiers that run; those that died stay until prune() deletes them.';
comment on column scooters_ops.notifiers.name is
'Its name in leases.';
comment on column scooters_ops.notifiers.started_at is
'When it was first seen.';
comment on column scooters_ops.notifiers.seen_at is
'When it was last seen.';
comment on column scooters_ops.notifiers.config_id is
'The config that it follows.';
comment on column scooters_ops.notifiers.version is
'Its version: the newest migration that it knows.';
comment on column scooters_ops.notifiers.problem is
'What the database refuses to it, while it goes on with the rest; null: nothing.';
comment on index scooters_ops.notifiers_pkey is
'For: one notifier, in report_notifier, report_problem and retire_notifier.';

comment on table scooters_ops.news_horizon is
'One row: from when on events are news. What was notified before it may have been pruned.';
comment on column scooters_ops.news_horizon.news_since is
'The moment before which no deadline is looked at any more; prune_in_batches() moves it up. -infinity: nothing was ever pruned.';

comment on table scooters_ops.event_keys is
'By which key each event came in that record_event_once() recorded, until prune() deletes it.';
comment on column scooters_ops.event_keys.mission_id is
'The mission: keys of different missions have nothing to do with each other.';
comment on column scooters_ops.event_keys.idempotency_key is
'The key that its sender chose.';
comment on column scooters_ops.event_keys.event is
'What was told (JSON object): type, point_id, occurred_at in seconds since 1970; null where it was not.';
comment on column scooters_ops.event_keys.history_id is
'The event in missions_history.';
comment on column scooters_ops.event_keys.created_at is
'When it was recorded.';
comment on index scooters_ops.event_keys_pkey is
'For: whether this event is known already, in record_event_once.';
comment on index scooters_ops.event_keys_created_at_idx is
'For: what is old, in prune.';
