-- Is detection running, and if not, which session blocks it?
create or replace view scooters_ops.detection_status as
with last_pass as (
    select *
    from scooters_ops.detection_passes
    order by pass_id desc
    limit 1
),

-- The weaker locks of readers block no pass.
lock_session as (
    select
        lock.granted,
        concat_ws(
            ', ',
            coalesce('pid ' || lock.pid, 'a prepared transaction'),
            'user ' || session.usename,
            nullif(session.application_name, ''),
            'since ' || date_trunc('second', session.xact_start)
        ) as description
    from pg_catalog.pg_locks as lock
    left join pg_catalog.pg_stat_activity as session on lock.pid = session.pid
    where
        lock.locktype = 'relation'
        and lock.relation = 'scooters_ops.detection_lock'::regclass
        and lock.database = (
            select own.oid
            from pg_catalog.pg_database as own
            where own.datname = current_database()
        )
        and lock.mode not in ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
)

select
    coalesce(config.detection_enabled, false) as is_enabled,
    last_pass.started_at as last_pass_at,
    last_pass.elapsed as last_pass_elapsed,
    last_pass.missions as last_pass_missions,
    last_pass.inserted as last_pass_inserted,
    -- A time in the future was written before the clock was set back.
    coalesce(
        config.detection_enabled
        and not coalesce(
            last_pass.started_at between now() - config.stalled_after
            and now() + config.stalled_after,
            false
        )
        and config.applied_at not between now() - config.stalled_after
        and now() + config.stalled_after,
        false
    ) as is_stalled,
    (
        select string_agg(lock_session.description, '; ')
        from lock_session
        where lock_session.granted
    ) as lock_holder,
    (
        select string_agg(lock_session.description, '; ')
        from lock_session
        where not lock_session.granted
    ) as lock_waiters,
    last_pass.recorded as last_pass_recorded,
    last_pass.judged as last_pass_judged,
    last_pass.resolved as last_pass_resolved,
    scooters_ops.missions_waiting() as missions_waiting,
    scooters_ops.unrecorded_missions(50) as unrecorded_missions
-- One row even without a config or a pass.
from (select true as is_there) as always -- noqa: ST11
left join scooters_ops.config_in_force as config on true
left join last_pass on true;

comment on view scooters_ops.detection_status is
'One row: whether detection is enabled, its last pass, and whether passes have stopped.';
comment on column scooters_ops.detection_status.is_enabled is
'Whether the config in force has detection enabled; false if there is no config.';
comment on column scooters_ops.detection_status.last_pass_at is
'When the last pass started; null: there was none.';
comment on column scooters_ops.detection_status.last_pass_elapsed is
'How long the last pass took (interval).';
comment on column scooters_ops.detection_status.last_pass_missions is
'How many missions the last pass looked at (a count).';
comment on column scooters_ops.detection_status.last_pass_inserted is
'How many notifications the last pass inserted (a count).';
comment on column scooters_ops.detection_status.is_stalled is
'Whether detection is enabled, but no pass has started and no config was applied for detection.stalled_after_seconds.';
comment on column scooters_ops.detection_status.lock_holder is
'The session that holds the detection lock now: pid, user, application and since when; null: nobody. No pass runs while another session holds it.';
comment on column scooters_ops.detection_status.lock_waiters is
'The sessions that wait for the detection lock, described as in lock_holder; null: nobody.';
comment on column scooters_ops.detection_status.last_pass_recorded is
'How many recorded intervals the last pass inserted, changed or deleted (a count).';
comment on column scooters_ops.detection_status.last_pass_judged is
'How many recorded intervals the last pass judged (a count).';
comment on column scooters_ops.detection_status.last_pass_resolved is
'How many notifications the last pass resolved (a count).';
comment on column scooters_ops.detection_status.missions_waiting is
'How many missions wait for the next pass to record them (a count; among the first 10,000 due wake-ups, so it is a lower bound).';
comment on column scooters_ops.detection_status.unrecorded_missions is
'Of 50 random missions under way, those that passes missed: their recorded intervals differ from mission_intervals although no wake-up is due. Their rows were written without firing triggers; wake_missions() helps. Empty: none. A query pays for it only if it asks for this column.';

grant select on scooters_ops.detection_status
to scooters_ops_analyst, scooters_ops_notifier;
