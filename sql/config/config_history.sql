-- Who applied which config, and when?
create or replace view scooters_ops.config_history as
select
    config_id,
    applied_at,
    applied_by,
    config,
    comment
from scooters_ops.configs;

comment on view scooters_ops.config_history is
'Every config that was ever applied; the one with the highest config_id is in force.';

grant select on scooters_ops.config_history to scooters_ops_analyst;
