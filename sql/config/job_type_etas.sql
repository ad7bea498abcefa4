-- How long should a job of each type take, where the planner did not say?
create or replace view scooters_ops.job_type_etas as
select
    job_type.key as type,
    make_interval(secs => job_type.value::double precision) as eta
from scooters_ops.config_in_force as in_force
cross join
    jsonb_each_text(in_force.config -> 'detection' -> 'job_eta_seconds')
        as job_type
-- Computed once for each type, not once for each job that is joined to it.
offset 0; -- noqa: AM09

comment on view scooters_ops.job_type_etas is
'Planned time of each job type that the config in force knows.';
comment on column scooters_ops.job_type_etas.type is
'Type of the job, as in mission_jobs.';
comment on column scooters_ops.job_type_etas.eta is
'Planned time of one such job (interval).';

grant select on scooters_ops.job_type_etas to scooters_ops_analyst;
