-- How long should the jobs at a point take?
create or replace view scooters_ops.mission_stops as
select
    mission_id,
    point_id,
    -- Looked up rather than joined: this keeps the jobs in the order of their key.
    make_interval(
        secs => nullif(
            least(
                coalesce(
                    sum(
                        scooters_ops.job_seconds(
                            eta,
                            type,
                            (
                                select in_force.job_eta_seconds
                                from scooters_ops.config_in_force as in_force
                            ),
                            (
                                select in_force.default_job_eta
                                from scooters_ops.config_in_force as in_force
                            )
                        )
                    ),
                    -1
                ),
                scooters_ops.longest_seconds()
            ),
            -1
        )
    ) as dwell_eta
from scooters_ops.mission_jobs
group by mission_id, point_id;

comment on view scooters_ops.mission_stops is
'The points that have jobs, with the planned time of these jobs by the config in force.';
comment on column scooters_ops.mission_stops.dwell_eta is
'Planned time of all jobs at this point (interval).';

grant select on scooters_ops.mission_stops to scooters_ops_analyst;
