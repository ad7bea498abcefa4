-- Who applied which config, and when?
create or replace view scooters_ops.config_history as
select
    config_id,
    applied_at,
    applied_by,
    config
from scooters_ops.configs;

comment on view scooters_ops.config_history is
'Every config ever applied; the one with the highest config_id is in force.';
comment on column scooters_ops.config_history.config_id is
'Number of the config, rising with each change.';
comment on column scooters_ops.config_history.applied_at is
'When it was applied.';
comment on column scooters_ops.config_history.applied_by is
'The database user who applied it.';
comment on column scooters_ops.config_history.config is
'The whole config as applied, defaults filled in.';

grant select on scooters_ops.config_history to scooters_ops_analyst;
