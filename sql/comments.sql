-- What do the tables, their columns and their indexes hold?
comment on type scooters_ops.monitoring_notification_type is
'The types of notifications: timeout_in_point, timeout_between_points, job_skipped. The type test is that of the messages of notifier test, which routes, reports and metrics leave out.';
comment on type scooters_ops.mission_interval is
'A row of mission_intervals.';

comment on table scooters_ops.missions is
'Missions that couriers carry out.';
comment on column scooters_ops.missions.mission_id is
'The mission.';
comment on column scooters_ops.missions.performer_id is
'The courier who carries it out.';
comment on column scooters_ops.missions.status is
'created, active, completed or cancelled. It follows the history: at once for what record_event() records and for what is edited or deleted, with the next prune_in_batches() for an end that was inserted directly.';
comment on column scooters_ops.missions.attributes is
'Free facts about the mission (JSON object): city, zone, performer_name, ...; routes match on them, templates print them.';
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
'What is to be done at each point of a mission.';
comment on column scooters_ops.mission_jobs.mission_id is
'The mission.';
comment on column scooters_ops.mission_jobs.point_id is
'The point.';
comment on column scooters_ops.mission_jobs.job_id is
'The job.';
comment on column scooters_ops.mission_jobs.type is
'The kind of job: battery_exchange, pickup, ...; config has an eta for each.';
comment on column scooters_ops.mission_jobs.eta is
'Planned duration (interval), if the planner knows better than config; otherwise null.';
comment on column scooters_ops.mission_jobs.status is
'planned, completed or skipped.';
comment on index scooters_ops.mission_jobs_pkey is
'For: one job, in skip_job; the jobs of a mission, in mission_stops.';

comment on table scooters_ops.missions_history is
'The log that the mission service writes, append-only in practice; it may hold event types that do not count for intervals. It has no foreign key, so that events are kept even if the mission is not known yet.';
comment on column scooters_ops.missions_history.history_id is
'Order of insertion; breaks ties of occurred_at.';
comment on column scooters_ops.missions_history.mission_id is
'The mission.';
comment on column scooters_ops.missions_history.point_id is
'The point; null for events of the mission as a whole.';
comment on column scooters_ops.missions_history.type is
'mission_started, point_arrived, point_completed, mission_completed, mission_cancelled, or a type that does not count.';
comment on column scooters_ops.missions_history.occurred_at is
'When it happened, by the clock of the phone or service that reported it.';
comment on index scooters_ops.missions_history_pkey is
'For: editing or deleting one event by hand; the events that arrived last, in input_status.';
comment on index scooters_ops.missions_history_mission_id_occurred_at_idx is
'For: the events of a mission, in mission_events; its next future event, in record_intervals.';
comment on index scooters_ops.missions_history_occurred_at_idx is
'For: the missions with recent events, in wake_missions and unnoticed_timeouts.';

comment on table scooters_ops.configs is
'Every config that was ever applied; the one with the highest config_id is in force.';
comment on column scooters_ops.configs.config_id is
'Number of the config, rising with each change.';
comment on column scooters_ops.configs.config is
'The whole config, defaults filled in.';
comment on column scooters_ops.configs.applied_at is
'When it was applied.';
comment on column scooters_ops.configs.applied_by is
'The database user who applied it.';
comment on column scooters_ops.configs.comment is
'Why it was applied, as whoever applied it said; null: nothing was said.';
comment on index scooters_ops.configs_pkey is
'For: the newest config, in config_in_force.';

comment on table scooters_ops.silences is
'What is known already and need not be told for a while; alerts that match an active silence are held until its end.';
comment on column scooters_ops.silences.silence_id is
'Number of the silence.';
comment on column scooters_ops.silences.match is
'Which alerts it holds (JSON object, as in routes[].match).';
comment on column scooters_ops.silences.starts_at is
'Since when it holds them.';
comment on column scooters_ops.silences.ends_at is
'Until when it holds them, unless it is ended earlier.';
comment on column scooters_ops.silences.comment is
'Why.';
comment on column scooters_ops.silences.created_by is
'The database user who made it.';
comment on column scooters_ops.silences.ended_at is
'When somebody ended it early; null: nobody has.';
comment on column scooters_ops.silences.ended_by is
'The database user who ended it early; null: nobody has.';
comment on index scooters_ops.silences_pkey is
'For: one silence, in unsilence and lease_deliveries.';
comment on index scooters_ops.silences_ends_at_idx is
'For: the silences that are active now.';

comment on table scooters_ops.compiled_config is
'From which config the compiled_* tables were made: one row, or none before the first config. compile_config() fills them whenever a config is applied; readers use the views match_rules, match_terms, match_keys, override_rules, calendars and known_time_zones.';
comment on column scooters_ops.compiled_config.is_only_row is
'Always true, so that there is at most one row.';
comment on column scooters_ops.compiled_config.config_id is
'The config.';
comment on index scooters_ops.compiled_config_pkey is
'For: keeping it to one row.';

comment on table scooters_ops.compiled_matches is
'The matches of routes, overrides and active silences, one row each, apart from what they say of the mission (compiled_terms).';
comment on column scooters_ops.compiled_matches.scope is
'route, override or silence.';
comment on column scooters_ops.compiled_matches.match_id is
'The place of the route or override in the config, from 1, or the silence_id.';
comment on column scooters_ops.compiled_matches.term_count is
'About how many keys of the mission it says something (a count).';
comment on column scooters_ops.compiled_matches.types is
'The notification types, one of which it must be; null: any.';
comment on column scooters_ops.compiled_matches.job_types is
'The job types, one of which it must be; null: any, or none.';
comment on column scooters_ops.compiled_matches.point_ids is
'The points, one of which it must be; null: any.';
comment on column scooters_ops.compiled_matches.calendars is
'The calendars (names), in one of which the time must be; null: any time.';
comment on index scooters_ops.compiled_matches_pkey is
'For: forgetting a match, in forget_match.';

comment on table scooters_ops.compiled_terms is
'What each match says of the mission: one row for each value that it accepts.';
comment on column scooters_ops.compiled_terms.scope is
'route, override or silence.';
comment on column scooters_ops.compiled_terms.match_id is
'The place of the route or override in the config, from 1, or the silence_id.';
comment on column scooters_ops.compiled_terms.key is
'mission_id, performer_id or an attribute of the mission.';
comment on column scooters_ops.compiled_terms.value is
'A value that it accepts (JSON).';
comment on index scooters_ops.compiled_terms_match_id_idx is
'For: the other keys of a match that was found by one, in mission_matches.';

comment on table scooters_ops.compiled_lookups is
'Where mission_matches() finds matches: a row for each value of one key of a match, and for each of its calendars.';
comment on column scooters_ops.compiled_lookups.scope is
'route, override or silence.';
comment on column scooters_ops.compiled_lookups.key is
'mission_id, performer_id or an attribute of the mission; null: the match says nothing of the mission.';
comment on column scooters_ops.compiled_lookups.value is
'A value of the key that the match accepts (JSON).';
comment on column scooters_ops.compiled_lookups.match_id is
'The place of the route or override in the config, from 1, or the silence_id.';
comment on column scooters_ops.compiled_lookups.term_count is
'About how many keys of the mission it says something (a count).';
comment on column scooters_ops.compiled_lookups.types is
'The notification types, one of which it must be; null: any.';
comment on column scooters_ops.compiled_lookups.job_types is
'The job types, one of which it must be; null: any, or none.';
comment on column scooters_ops.compiled_lookups.point_ids is
'The points, one of which it must be; null: any.';
comment on column scooters_ops.compiled_lookups.from_time is
'When its calendar begins, by the clock on the wall; null: it has none, and holds at any time.';
comment on column scooters_ops.compiled_lookups.span is
'How long its calendar lasts by that clock, its end exclusive (interval).';
comment on column scooters_ops.compiled_lookups.days is
'The days on which its calendar begins (1: Monday to 7: Sunday); null: every day.';
comment on column scooters_ops.compiled_lookups.time_zone is
'Whose clock, unless zone_attribute names another zone.';
comment on column scooters_ops.compiled_lookups.zone_attribute is
'The attribute of the mission that names the time zone; null: none.';
comment on index scooters_ops.compiled_lookups_value_idx is
'For: the matches that accept a value of a mission, in mission_matches.';
comment on index scooters_ops.compiled_lookups_any_mission_idx is
'For: the matches that say nothing of the mission, in mission_matches.';

comment on table scooters_ops.compiled_keys is
'The keys of missions by which matches of each scope are looked up, or have been.';
comment on column scooters_ops.compiled_keys.scope is
'route, override or silence.';
comment on column scooters_ops.compiled_keys.key is
'mission_id, performer_id or an attribute of the mission.';
comment on index scooters_ops.compiled_keys_pkey is
'For: the keys by which matches of a scope are looked up, in mission_matches.';

comment on table scooters_ops.compiled_calendars is
'The calendars of the config in force.';
comment on column scooters_ops.compiled_calendars.name is
'What a match calls it.';
comment on column scooters_ops.compiled_calendars.from_time is
'When it begins, by the clock on the wall.';
comment on column scooters_ops.compiled_calendars.span is
'How long it lasts by that clock, its end exclusive (interval).';
comment on column scooters_ops.compiled_calendars.days is
'The days on which it begins (1: Monday to 7: Sunday); null: every day.';
comment on column scooters_ops.compiled_calendars.time_zone is
'Whose clock, unless zone_attribute names another zone.';
comment on column scooters_ops.compiled_calendars.zone_attribute is
'The attribute of the mission that names the time zone; null: none.';
comment on index scooters_ops.compiled_calendars_pkey is
'For: each calendar once, in compile_config.';

comment on table scooters_ops.compiled_time_zones is
'The time zones that an attribute may name, if any calendar takes its zone from one.';
comment on column scooters_ops.compiled_time_zones.name is
'The time zone, in lower case.';
comment on index scooters_ops.compiled_time_zones_pkey is
'For: whether this server knows the time zone of a mission, in mission_matches.';

comment on table scooters_ops.compiled_overrides is
'The overrides of the config in force, one row for each timeout type.';
comment on column scooters_ops.compiled_overrides.match_id is
'Its place among the overrides, from 1: the first whose match holds decides.';
comment on column scooters_ops.compiled_overrides.type is
'timeout_in_point or timeout_between_points.';
comment on column scooters_ops.compiled_overrides.name is
'What views and messages call it.';
comment on column scooters_ops.compiled_overrides.factor is
'How many times its eta an interval may last (a number without unit).';
comment on column scooters_ops.compiled_overrides.minimum is
'No limit is shorter than this (interval).';
comment on column scooters_ops.compiled_overrides.job_eta_seconds is
'Planned time of a job by its type (JSON object of numbers, in seconds), those of the default included; null: the override has no etas of jobs.';
comment on column scooters_ops.compiled_overrides.default_job_eta is
'Planned time of a job whose type has no eta of its own (interval).';
comment on column scooters_ops.compiled_overrides.binary_factor is
'The factor as a double (a number without unit).';
comment on index scooters_ops.compiled_overrides_pkey is
'For: the overrides whose matches hold for a mission, in mission_intervals_of.';
comment on index scooters_ops.compiled_overrides_name_type_key is
'For: the minimum of the override by which an interval was recorded, in judge_intervals.';

comment on table scooters_ops.mission_wakeups is
'Which missions a pass must record, and when: their rows changed, or an event is to come. A wake-up too many is harmless. The table has no key, so that writers only append and never wait.';
comment on column scooters_ops.mission_wakeups.mission_id is
'The mission.';
comment on column scooters_ops.mission_wakeups.due_at is
'When to look; -infinity: in the next pass.';
comment on column scooters_ops.mission_wakeups.woken_at is
'When the change that caused it was written. Nothing is looked at because of it: it says later how late the change came.';
comment on index scooters_ops.mission_wakeups_due_at_idx is
'For: what is due, in due_missions.';
comment on index scooters_ops.mission_wakeups_mission_id_idx is
'For: the wake-ups of due missions that are not due themselves, in take_wakeups. Wake-ups at -infinity, which writers append, are found by due_at and not in this index.';

comment on table scooters_ops.recorded_intervals is
'Every interval of every mission, as the view showed it when a pass last evaluated the mission. A row is identified by where the interval began; its start, its end and its target may change with late events.';
comment on column scooters_ops.recorded_intervals.mission_id is
'The mission.';
comment on column scooters_ops.recorded_intervals.type is
'timeout_in_point or timeout_between_points.';
comment on column scooters_ops.recorded_intervals.is_judged is
'Whether it needs no judging any more: it was reported, was closed in time, has no deadline, or its deadline is too old to be news.';
comment on column scooters_ops.recorded_intervals.from_point_id is
'Where it began: the point itself, or the point left behind; empty: the start of the mission.';
comment on column scooters_ops.recorded_intervals.point_id is
'The point where the courier is, or to which the courier is on the way.';
comment on column scooters_ops.recorded_intervals.started_at is
'When the event that opened it occurred.';
comment on column scooters_ops.recorded_intervals.finished_at is
'When the next event closed it; null: it is still open.';
comment on column scooters_ops.recorded_intervals.deadline is
'When its limit is reached: started_at + time_limit; null: no limit, or one after the year 9999.';
comment on column scooters_ops.recorded_intervals.notification_id is
'The notification that reported it; null: it was not reported.';
comment on column scooters_ops.recorded_intervals.eta is
'Planned duration, as it was judged (interval); null: nothing was planned.';
comment on column scooters_ops.recorded_intervals.time_limit is
'How long it may last, as it was judged (interval); null: no limit.';
comment on column scooters_ops.recorded_intervals.factor is
'How many times its eta it may last, as it was judged (a number without unit).';
comment on column scooters_ops.recorded_intervals.rule is
'The name of the override by which it was judged; null: the default rule.';
comment on column scooters_ops.recorded_intervals.known_at is
'When the database first knew its beginning, its point and its limit as they stand here; null: an earlier version, or a backfill, recorded it.';
comment on column scooters_ops.recorded_intervals.seen_at is
'The pass, by its as_of, that last wrote the row; null: a pass of an earlier version.';
comment on column scooters_ops.recorded_intervals.config_id is
'The config by which eta, factor, rule and limit were computed: a later one may say the same; null: a pass of an earlier version computed them.';
comment on index scooters_ops.recorded_intervals_pkey is
'For: the rows of the missions that a pass evaluates, in record_intervals; the intervals of one mission, in interval_history.';
comment on index scooters_ops.recorded_intervals_unjudged_idx is
'For: what is over its deadline and was not judged yet, in judge_intervals.';
comment on index scooters_ops.recorded_intervals_open_idx is
'For: the open intervals closest to their deadline, and how many are over it, in board; the missions whose limits a new config moves, in apply_config.';
comment on index scooters_ops.recorded_intervals_open_type_idx is
'For: how many intervals are open, in board. It holds one list of rows for each type, in the order of the table, and so is far smaller than recorded_intervals_open_idx.';
comment on index scooters_ops.recorded_intervals_started_at_idx is
'For: the intervals of a span of time, in interval_history.';

comment on table scooters_ops.pending_resolutions is
'Notifications whose interval was recorded as closed or gone, and that are not resolved yet: resolve_notifications() empties it in the same pass, except for notifications that another session has locked.';
comment on column scooters_ops.pending_resolutions.notification_id is
'The notification.';
comment on index scooters_ops.pending_resolutions_pkey is
'For: whether a notification waits already, in record_intervals.';

comment on table scooters_ops.new_durations is
'Durations that the metrics'' histograms show and that no pass has folded into duration_totals yet. It has no key, so that whoever appends never waits.';
comment on column scooters_ops.new_durations.stage is
'noticed, told, acknowledged or resolved.';
comment on column scooters_ops.new_durations.type is
'The type of the notification; tests are left out.';
comment on column scooters_ops.new_durations.duration is
'How long it took, as in response_times (interval).';
comment on column scooters_ops.new_durations.late_because is
'noticed: late_because, told: told_late_because, as in response_times; null: not late, nobody knows, or another stage.';

comment on table scooters_ops.duration_totals is
'How many durations there ever were, for the metrics'' histograms; pruning does not change it.';
comment on column scooters_ops.duration_totals.stage is
'noticed, told, acknowledged or resolved.';
comment on column scooters_ops.duration_totals.type is
'The type of the notification.';
comment on column scooters_ops.duration_totals.late_because is
'As in new_durations; empty where that is null.';
comment on column scooters_ops.duration_totals.le is
'The upper bound of the bucket (seconds, inclusive), as in duration_bounds(); infinity: none.';
comment on column scooters_ops.duration_totals.durations is
'How many durations fell into the bucket (a count).';
comment on column scooters_ops.duration_totals.total is
'The sum of these durations (interval).';
comment on index scooters_ops.duration_totals_pkey is
'For: adding to a bucket, in fold_durations.';

comment on table scooters_ops.detection_lock is
'Always empty: passes and pruning take turns by locking it (share update exclusive).';
comment on column scooters_ops.detection_lock.note is
'Unused.';

comment on table scooters_ops.detection_passes is
'What each pass of detection did; prune_bookkeeping() deletes old rows.';
comment on column scooters_ops.detection_passes.pass_id is
'Number of the pass.';
comment on column scooters_ops.detection_passes.as_of is
'The time as of which it evaluated the missions.';
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
comment on column scooters_ops.detection_passes.recorded is
'How many recorded intervals it inserted, changed or deleted (a count); null: a pass of an earlier version.';
comment on column scooters_ops.detection_passes.judged is
'How many recorded intervals it judged (a count); null: a pass of an earlier version.';
comment on column scooters_ops.detection_passes.resolved is
'How many notifications it resolved (a count); null: a pass of an earlier version.';
comment on column scooters_ops.detection_passes.total_elapsed is
'How long all passes up to this one took (interval); starts again at zero when prune_bookkeeping() left no pass.';
comment on column scooters_ops.detection_passes.total_inserted is
'How many notifications all passes up to this one inserted (a count); starts again at zero when prune_bookkeeping() left no pass.';
comment on column scooters_ops.detection_passes.total_recorded is
'How many recorded intervals all passes up to this one inserted, changed or deleted (a count); starts again as total_inserted does.';
comment on column scooters_ops.detection_passes.total_judged is
'How many recorded intervals all passes up to this one judged (a count); starts again as total_inserted does.';
comment on column scooters_ops.detection_passes.total_resolved is
'How many notifications all passes up to this one resolved (a count); starts again as total_inserted does.';
comment on index scooters_ops.detection_passes_started_at_idx is
'For: the last hour, in recent_detection_passes; what is old, in prune_bookkeeping.';
comment on index scooters_ops.detection_passes_pkey is
'For: the last pass, in detection_status, metrics and run_pass.';

comment on table scooters_ops.monitoring_notifications is
'What was noticed: one row for each event, ever. prune_in_batches() deletes old rows whose events can never be noticed again.';
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
'Whether everything that the config wanted sent has been sent; false if no route matched.';
comment on column scooters_ops.monitoring_notifications.recipients is
'What has been sent where (JSON array of recipients, each with "sended").';
comment on column scooters_ops.monitoring_notifications.details is
'The facts at detection (JSON object): performer_id, attributes, point_position, points_total; timeouts: started_at, finished_at, eta_seconds, factor, rule (name of the override that decided, or null), minimum_seconds, limit_seconds, elapsed_seconds, detected_at; skipped jobs: job_type, skipped_at.';
comment on column scooters_ops.monitoring_notifications.created_at is
'When it was inserted.';
comment on column scooters_ops.monitoring_notifications.resolved_at is
'When a pass saw that the interval was over; null: none has seen it yet, or the notification is of a skipped job.';
comment on column scooters_ops.monitoring_notifications.resolution is
'moved_on: the next event closed the interval; ended: the mission is over; withdrawn: late or corrected events say that the interval never was; null: not resolved.';
comment on column scooters_ops.monitoring_notifications.ended_at is
'When the interval ended, as recorded when it was resolved; null: it is not resolved, or withdrawn, or an earlier version resolved it.';
comment on column scooters_ops.monitoring_notifications.acknowledged_at is
'When somebody first acknowledged it; null: nobody has.';
comment on column scooters_ops.monitoring_notifications.acknowledged_by is
'Who acknowledged it.';
comment on column scooters_ops.monitoring_notifications.planned_at is
'When its recipients were decided; null: not yet.';
comment on column scooters_ops.monitoring_notifications.config_id is
'The config that was in force when it was noticed; null: an earlier version noticed it.';
comment on column scooters_ops.monitoring_notifications.planned_config_id is
'The config whose routes decided its recipients; null: not yet, or an earlier version decided.';
comment on column scooters_ops.monitoring_notifications.known_at is
'When the database first knew what says when the limit passes; null: a skipped job, or an earlier version noticed it.';
comment on column scooters_ops.monitoring_notifications.noticed_after is
'How long after its limit had passed it was noticed (interval); null: a skipped job, or an earlier version noticed it.';
comment on column scooters_ops.monitoring_notifications.late_because is
'Why that was longer than detection.stalled_after_seconds, as late_because() says; null: it was not, or nobody knows.';
comment on column scooters_ops.monitoring_notifications.told_at is
'When its first alert was sent; null: nobody was told yet, or an earlier version told of it.';
comment on column scooters_ops.monitoring_notifications.told_late_because is
'As in response_times.';
comment on column scooters_ops.monitoring_notifications.was_unrouted is
'Whether no route matched it at first.';
comment on index scooters_ops.monitoring_notifications_created_at_idx is
'For: the notifications of some days, in reports and backtests.';
comment on index scooters_ops.monitoring_notifications_withdrawn_idx is
'For: the notifications whose interval is gone, by when it started, in backtest_details.';
comment on index scooters_ops.monitoring_notifications_pkey is
'For: the notification of a recipient, in lease_deliveries and notification_deliveries; the oldest ones, in prune_notifications.';
comment on index scooters_ops.monitoring_notifications_idempotency_token_key is
'For: inserting each event once; one notification by its token, in lock_recipients.';
comment on index scooters_ops.monitoring_notifications_unplanned_idx is
'For: the notifications without recipients so far, in plan_deliveries and delivery_status.';
comment on index scooters_ops.monitoring_notifications_mission_id_idx is
'For: the notifications of one mission, in notification_deliveries.';

comment on table scooters_ops.notification_recipients is
'One delivery of one notification to one recipient, the alert or a later step: the unit of work of the notifier.';
comment on column scooters_ops.notification_recipients.recipient_id is
'Number of the recipient.';
comment on column scooters_ops.notification_recipients.notification_id is
'The notification.';
comment on column scooters_ops.notification_recipients.channel is
'The channel: telegram, st, ...';
comment on column scooters_ops.notification_recipients.target is
'The recipient as the routes name it (JSON object).';
comment on column scooters_ops.notification_recipients.step is
'alert; escalation_N, reminder_N; acknowledged, resolved: what is said later about a message that was sent, followed by the name of the step that sent it unless that is the recipient''s first.';
comment on column scooters_ops.notification_recipients.follows is
'Number of the recipient whose message this one changes or answers; null: it is a message of its own.';
comment on column scooters_ops.notification_recipients.shows is
'What the message says of its notification, as known when it was leased: acknowledged or resolved; null: neither.';
comment on column scooters_ops.notification_recipients.sent_to is
'The chat that has the message, if the channel named it when it was sent.';
comment on column scooters_ops.notification_recipients.digest_id is
'Number of the recipient whose message tells of this alert together with others, the leader of their digest: its own number, or that of another whose outcome it shares; of a step that says that all of a digest is over: the leader; null: none.';
comment on column scooters_ops.notification_recipients.state is
'pending, waiting (for the message that it follows, for another change of it, or for the outcome of its digest), sending (leased), sent, failed (given up), in_doubt (a person must decide) or cancelled (no longer needed).';
comment on column scooters_ops.notification_recipients.attempts is
'How many attempts were made, including a running one (a count).';
comment on column scooters_ops.notification_recipients.next_attempt_at is
'pending, waiting: when the next attempt is due; sending: when the lease ends.';
comment on column scooters_ops.notification_recipients.leased_by is
'While it is sending: the notifier that holds the lease, followed by # and the number of its connection.';
comment on column scooters_ops.notification_recipients.last_error is
'Why the last failed attempt failed.';
comment on column scooters_ops.notification_recipients.reference is
'The channel''s name for it: the id of the message or the key of the ticket.';
comment on column scooters_ops.notification_recipients.sent_at is
'When it was sent.';
comment on column scooters_ops.notification_recipients.created_at is
'When it was planned.';
comment on column scooters_ops.notification_recipients.is_taken_over is
'Whether a lease expired and no result was recorded since, so that the message may have been sent already.';
comment on column scooters_ops.notification_recipients.idempotency_key is
'The idempotency key that the channel was given, as made by delivery_key(), from the first attempt on; null: never tried, or sent before such keys existed.';
comment on column scooters_ops.notification_recipients.is_blocked is
'Whether no message could be rendered at the last attempt, until somebody fixes its template or updates the notifier; it is retried automatically.';
comment on index scooters_ops.notification_recipients_pkey is
'For: recording a result, in record_deliveries.';
comment on index
scooters_ops.notification_recipients_notification_id_target_step_key is
'For: the steps of a notification, in refresh_notifications and settle_steps; inserting each of them once.';
comment on column scooters_ops.notification_recipients.address is
'What the channel''s limits apply to: the chat or queue of the target, or otherwise the whole target.';
comment on column scooters_ops.notification_recipients.silence_id is
'The silence that holds this alert or escalation, or was the last to hold it; of a change of a message, that of the message; null: none.';
comment on column scooters_ops.notification_recipients.level is
'Of an escalation when its level comes, as in routes[].escalate, without recipients (JSON object); null: another step, or an earlier version planned it.';
comment on column scooters_ops.notification_recipients.delayed_by is
'Why the alert was first leased more than notifier.stuck_after_seconds after it was due: on_hold (mostly because its chat, queue or channel was on hold), limits (others of its channel were leased meanwhile) or no_notifier (none was); null: it was leased in time, or is another step.';
comment on index scooters_ops.notification_recipients_silence_id_idx is
'For: what a silence holds, in unsilence, silence_status and prune_silences.';
comment on index scooters_ops.notification_recipients_queue_idx is
'For: the chats and queues with waiting deliveries, follow-ups apart, and what is due for each, in delivery_queue and lease_deliveries.';
comment on index scooters_ops.notification_recipients_due_idx is
'For: what is waiting, in unsent_recipients.';
comment on index scooters_ops.notification_recipients_sending_idx is
'For: how much is being sent to a chat or queue, in delivery_queue; what a notifier holds, in release_deliveries and notifier_status.';
comment on index scooters_ops.notification_recipients_escalations_idx is
'For: the escalations that are due for a chat or queue, which go first, in lease_deliveries.';
comment on index scooters_ops.notification_recipients_digest_id_idx is
'For: what a digest tells of, in record_deliveries and digest_facts; whether there are digests, in settle_steps.';
comment on index scooters_ops.notification_recipients_attention_idx is
'For: what needs a person, in lock_recipients and unsent_recipients.';

comment on table scooters_ops.unrouted_notifications is
'The notifications that no route matched when they were planned, so that nobody was told; retry_deliveries() plans them again.';
comment on column scooters_ops.unrouted_notifications.notification_id is
'The notification.';
comment on column scooters_ops.unrouted_notifications.created_at is
'When the notification was inserted.';
comment on index scooters_ops.unrouted_notifications_pkey is
'For: whether a route matched a notification, in refresh_notifications, prune_notifications and board_notifications.';

comment on table scooters_ops.delivery_targets is
'What all notifiers know about a chat or queue, or a channel as a whole: recent messages, holds and moves.';
comment on column scooters_ops.delivery_targets.channel is
'The channel.';
comment on column scooters_ops.delivery_targets.address is
'The chat or queue, as in notification_recipients; empty: the channel as a whole.';
comment on column scooters_ops.delivery_targets.granted_at is
'When the latest messages to it were leased, oldest first: as many as its limits can count.';
comment on column scooters_ops.delivery_targets.leased_at is
'When a delivery to it was last leased.';
comment on column scooters_ops.delivery_targets.leased_due_at is
'Since when that delivery had been due; one that became due earlier and still waits was passed over.';
comment on column scooters_ops.delivery_targets.held_until is
'When its hold ends; nothing is sent there before; null: no hold.';
comment on column scooters_ops.delivery_targets.hold_reason is
'What the channel answered when it was last put on hold.';
comment on column scooters_ops.delivery_targets.failures is
'How many times in a row the channel refused us as a whole (a count); 0 for a chat or queue.';
comment on column scooters_ops.delivery_targets.moved_to is
'The fields of a target that changed when the chat moved (JSON object); null: it has not moved.';
comment on column scooters_ops.delivery_targets.moved_address is
'The new address, which follows from moved_to.';
comment on index scooters_ops.delivery_targets_pkey is
'For: one chat or queue, and each channel as a whole, in delivery_queue and delivery_channels.';

comment on table scooters_ops.notifiers is
'The running notifiers; one that died stays listed until prune_bookkeeping() deletes it.';
comment on column scooters_ops.notifiers.name is
'Its name in leases.';
comment on column scooters_ops.notifiers.started_at is
'When it was first seen.';
comment on column scooters_ops.notifiers.seen_at is
'When it was last seen.';
comment on column scooters_ops.notifiers.config_id is
'The config that it uses.';
comment on column scooters_ops.notifiers.version is
'Its version: the newest migration that it knows.';
comment on column scooters_ops.notifiers.problem is
'What the database refuses it while it continues with everything else; null: nothing.';
comment on index scooters_ops.notifiers_pkey is
'For: one notifier, in report_notifier, report_problem and retire_notifier.';

comment on table scooters_ops.news_horizon is
'One row: the time since when events are reported, and since when intervals are recorded. Earlier notifications and recorded intervals may have been pruned.';
comment on column scooters_ops.news_horizon.news_since is
'Deadlines before this time are ignored by detection; prune_in_batches() moves it forward. -infinity: nothing was ever pruned.';
comment on column scooters_ops.news_horizon.recorded_since is
'Passes do not record intervals that finished before this time; prune_in_batches() moves it forward. -infinity: no recorded interval was ever pruned.';
comment on column scooters_ops.news_horizon.followed_after_id is
'The last notification before steps existed: what became of it and of earlier ones is told only if it ended after followed_since.';
comment on column scooters_ops.news_horizon.followed_since is
'When this database was given steps.';

comment on table scooters_ops.button_polls is
'Which notifier reads the presses of buttons, and how far it has got: one row for each channel that has buttons.';
comment on column scooters_ops.button_polls.channel is
'The channel.';
comment on column scooters_ops.button_polls.polled_by is
'The notifier that may read; null: none has yet.';
comment on column scooters_ops.button_polls.polled_until is
'Until when no other notifier may.';
comment on column scooters_ops.button_polls.next_update_id is
'The first update of the channel that has not been handled (0: none has).';
comment on column scooters_ops.button_polls.problem is
'Why presses cannot be read, and what to do; null: they can.';
comment on index scooters_ops.button_polls_pkey is
'For: the row of a channel.';

comment on table scooters_ops.event_keys is
'The idempotency key of each event that record_event_once() recorded, until prune_bookkeeping() deletes it.';
comment on column scooters_ops.event_keys.mission_id is
'The mission; keys of different missions are independent.';
comment on column scooters_ops.event_keys.idempotency_key is
'The key that the sender chose.';
comment on column scooters_ops.event_keys.event is
'The event as it was reported (JSON object): type, point_id, occurred_at in seconds since 1970; null if it was not given.';
comment on column scooters_ops.event_keys.history_id is
'The event in missions_history.';
comment on column scooters_ops.event_keys.created_at is
'When it was recorded.';
comment on index scooters_ops.event_keys_pkey is
'For: whether an event is already known, in record_event_once.';
comment on index scooters_ops.event_keys_created_at_idx is
'For: what is old, in prune_bookkeeping.';
