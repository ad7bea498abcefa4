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
    ) as lock_waiters
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

grant select on scooters_ops.detection_status
to scooters_ops_analyst, scooters_ops_notifier;
