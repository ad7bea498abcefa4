-- Which config is in force? One row; none before the first config is applied.
create or replace view scooters_ops.config_in_force as
select
    config_id,
    config,
    applied_at,
    applied_by,
    (config -> 'detection' ->> 'enabled')::boolean as detection_enabled,
    make_interval(
        secs => (config -> 'detection' ->> 'default_job_eta_seconds')::double precision
    ) as default_job_eta,
    make_interval(
        secs => (config -> 'detection' ->> 'notify_within_seconds')::double precision
    ) as notify_within,
    make_interval(
        secs => (config -> 'notifier' ->> 'stuck_after_seconds')::double precision
    ) as stuck_after,
    (config -> 'detection' ->> 'batch_size')::integer as detection_batch_size,
    config -> 'detection' -> 'job_eta_seconds' as job_eta_seconds,
    make_interval(
        secs => (config -> 'notifier' ->> 'poll_seconds')::double precision
        + (config -> 'notifier' ->> 'lease_seconds')::double precision
    ) as notifier_missing_after,
    make_interval(
        secs => (config -> 'retention' ->> 'notifications_seconds')::double precision
    ) as notifications_kept,
    (config -> 'retention' ->> 'batch_size')::integer as pruning_batch_size,
    make_interval(
        secs => (config -> 'retention' ->> 'passes_seconds')::double precision
    ) as passes_kept,
    make_interval(
        secs => (
            config -> 'retention' ->> 'idempotency_keys_seconds'
        )::double precision
    ) as idempotency_keys_kept,
    make_interval(
        secs => (config -> 'retention' ->> 'notifiers_seconds')::double precision
    ) as notifiers_kept,
    make_interval(
        secs => (config -> 'detection' ->> 'stalled_after_seconds')::double precision
    ) as stalled_after,
    make_interval(
        secs => (config -> 'retention' ->> 'intervals_seconds')::double precision
    ) as intervals_kept
from scooters_ops.configs
order by config_id desc
limit 1;

comment on view scooters_ops.config_in_force is
'The config in force: the one that was applied last.';
comment on column scooters_ops.config_in_force.detection_enabled is
'Whether passes insert notifications.';
comment on column scooters_ops.config_in_force.default_job_eta is
'Planned time of a job whose type has no eta of its own (interval).';
comment on column scooters_ops.config_in_force.notify_within is
'How long after its deadline an interval is still reported (interval; null: without limit).';
comment on column scooters_ops.config_in_force.stuck_after is
'How long a due delivery may wait, untaken, before somebody must look at it (interval).';
comment on column scooters_ops.config_in_force.detection_batch_size is
'The most missions that one pass looks at (a count).';
comment on column scooters_ops.config_in_force.job_eta_seconds is
'Planned time of a job by its type (JSON object of numbers, in seconds).';
comment on column scooters_ops.config_in_force.notifier_missing_after is
'A notifier that has not been seen for this long counts as dead: notifier.poll_seconds + notifier.lease_seconds (interval).';
comment on column scooters_ops.config_in_force.notifications_kept is
'How long notifications are kept at least (interval; null: forever).';
comment on column scooters_ops.config_in_force.pruning_batch_size is
'The most notifications that one transaction of pruning looks at, and the most recorded intervals that it deletes (a count).';
comment on column scooters_ops.config_in_force.passes_kept is
'How long the records of passes are kept (interval).';
comment on column scooters_ops.config_in_force.idempotency_keys_kept is
'How long record_event_once() remembers the keys of events (interval).';
comment on column scooters_ops.config_in_force.notifiers_kept is
'How long a notifier that is no longer seen stays listed (interval).';
comment on column scooters_ops.config_in_force.stalled_after is
'After this long without a pass, detection counts as stalled (interval).';
comment on column scooters_ops.config_in_force.intervals_kept is
'How long recorded intervals are kept after they finished (interval; null: forever).';

grant select on scooters_ops.config_in_force
to scooters_ops_analyst, scooters_ops_notifier;
