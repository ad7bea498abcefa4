-- Which config holds now? One row, or none where no config was ever applied.
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
    (config -> 'retention' ->> 'batch_size')::integer as pruning_batch_size
from scooters_ops.configs
order by config_id desc
limit 1;

comment on view scooters_ops.config_in_force is
'The config that holds now: the newest applied one.';
comment on column scooters_ops.config_in_force.config_id is
'Number of the config, rising with each change.';
comment on column scooters_ops.config_in_force.config is
'The whole config as applied, defaults filled in.';
comment on column scooters_ops.config_in_force.applied_at is
'When it was applied.';
comment on column scooters_ops.config_in_force.applied_by is
'The database user who applied it.';
comment on column scooters_ops.config_in_force.detection_enabled is
'Whether passes insert notifications.';
comment on column scooters_ops.config_in_force.default_job_eta is
'Planned time of a job whose type has no eta of its own (interval).';
comment on column scooters_ops.config_in_force.notify_within is
'An interval whose deadline is older is history, not news (interval; null: no bound).';
comment on column scooters_ops.config_in_force.stuck_after is
'What is due for so long, and nobody takes it, needs a person (interval).';
comment on column scooters_ops.config_in_force.detection_batch_size is
'How many missions one pass looks at, at most (a count).';
comment on column scooters_ops.config_in_force.job_eta_seconds is
'Planned time of a job by its type (JSON object of numbers, in seconds).';
comment on column scooters_ops.config_in_force.notifier_missing_after is
'A notifier that was not seen for so long counts as dead: notifier.poll_seconds and lease_seconds together (interval).';
comment on column scooters_ops.config_in_force.notifications_kept is
'How long notifications are kept at least (interval; null: for ever).';
comment on column scooters_ops.config_in_force.pruning_batch_size is
'How many notifications one transaction of pruning looks at, at most (a count).';

grant select on scooters_ops.config_in_force
to scooters_ops_analyst, scooters_ops_notifier;
