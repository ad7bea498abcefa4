-- Is detection running?
create or replace view scooters_ops.detection_status as
with last_pass as (
    select *
    from scooters_ops.detection_passes
    order by pass_id desc
    limit 1
)

select
    coalesce(config.detection_enabled, false) as is_enabled,
    last_pass.started_at as last_pass_at,
    last_pass.elapsed as last_pass_elapsed,
    last_pass.missions as last_pass_missions,
    last_pass.inserted as last_pass_inserted,
    coalesce(config.detection_enabled, false)
    and greatest(last_pass.started_at, config.applied_at) < now() - make_interval(
        secs => (
            config.config -> 'detection' ->> 'stalled_after_seconds'
        )::double precision
    ) as is_stalled
-- One row, whatever is missing.
from (select true as is_there) as always -- noqa: ST11
left join scooters_ops.config_in_force as config on true
left join last_pass on true;

comment on view scooters_ops.detection_status is
'One row: whether detection is enabled, its last pass, and whether passes have stopped.';
comment on column scooters_ops.detection_status.is_enabled is
'Whether the config in force has detection enabled; false where there is no config.';
comment on column scooters_ops.detection_status.last_pass_at is
'When the last pass started; null: there was none.';
comment on column scooters_ops.detection_status.last_pass_elapsed is
'How long the last pass took (interval).';
comment on column scooters_ops.detection_status.last_pass_missions is
'How many missions the last pass looked at (a count).';
comment on column scooters_ops.detection_status.last_pass_inserted is
'How many notifications the last pass inserted (a count).';
comment on column scooters_ops.detection_status.is_stalled is
'Whether detection is enabled, and yet for stalled_after_seconds no pass has started and no config was applied.';

grant select on scooters_ops.detection_status
to scooters_ops_analyst, scooters_ops_notifier;
