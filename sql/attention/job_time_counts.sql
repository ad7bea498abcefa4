-- How long did the jobs of each type take?
-- Only a point tells whose jobs are all of one type, all done, and planned by the
-- config's etas. Elsewhere nobody knows how much of the time each job took.
create or replace function scooters_ops.job_time_counts(
    since timestamptz,
    until timestamptz
)
returns table (
    rule text,
    job_type text,
    configured_eta interval,
    seconds double precision,
    intervals bigint,
    single_job_intervals bigint,
    left_out bigint
)
language sql stable parallel safe
begin atomic -- noqa: disable=all
with stays as (
    select
        history.mission_id,
        history.point_id,
        history.rule,
        date_part('epoch', history.elapsed) as seconds
    from scooters_ops.interval_history as history
    where
        history.started_at >= since
        and history.started_at < until
        and history.type = 'timeout_in_point'
        and history.finished_at is not null
        and history.eta is not null
),

stops as (
    select
        min(stays.rule) as rule,
        round(min(stays.seconds) / count(*)) as seconds,
        count(*) as jobs,
        case
            when min(job.type) = max(job.type) then array[min(job.type)]
            else array_agg(job.type)
        end as types,
        bool_and(job.eta is null and job.status <> 'skipped') as is_plain
    from stays
    inner join scooters_ops.planned_jobs as job
        on
            stays.mission_id = job.mission_id
            and stays.point_id = job.point_id
    group by stays.mission_id, stays.point_id
),

judged as (
    select
        stops.rule,
        stops.types,
        stops.jobs = 1 as is_single,
        case
            when stops.is_plain and cardinality(stops.types) = 1 then stops.seconds
        end as seconds,
        count(*) as intervals
    from stops
    group by 1, 2, 3, 4
),

-- Without seconds: it says nothing of its types.
counted as (
    select
        judged.rule,
        type.name as job_type,
        judged.seconds,
        case when judged.seconds is not null then judged.intervals else 0 end as intervals,
        case
            when judged.seconds is not null and judged.is_single then judged.intervals
            else 0
        end as single_job_intervals,
        case when judged.seconds is null then judged.intervals else 0 end as left_out
    from judged
    cross join lateral (
        select distinct listed.name from unnest(judged.types) as listed (name)
    ) as type
)

select
    override.name as rule,
    counted.job_type,
    make_interval(
        secs => scooters_ops.job_seconds(
            null,
            counted.job_type,
            coalesce(override.job_eta_seconds, in_force.job_eta_seconds),
            case
                when override.name is not null then override.default_job_eta
                else in_force.default_job_eta
            end
        )
    ) as configured_eta,
    counted.seconds,
    sum(counted.intervals)::bigint as intervals,
    sum(counted.single_job_intervals)::bigint as single_job_intervals,
    sum(counted.left_out)::bigint as left_out
from counted
cross join scooters_ops.config_in_force as in_force
left join scooters_ops.override_rules as override
    on
        counted.rule = override.name
        and override.type = 'timeout_in_point'
        and override.job_eta_seconds is not null
-- Here, because further in it would keep the planner from leaving out the missions.
where scooters_ops.require_window(since, until)
group by
    override.name,
    override.job_eta_seconds,
    override.default_job_eta,
    in_force.job_eta_seconds,
    in_force.default_job_eta,
    counted.job_type,
    counted.seconds;
end;

comment on function scooters_ops.job_time_counts(timestamptz, timestamptz) is
'How many of the closed recorded stays at a point that began in a window lasted how many seconds a job, by the override whose etas of jobs hold (null: the default) and the type of the job. Only points count whose jobs are all of one type, none of them skipped or with an eta of its own; single_job_intervals: those of them with one job; left_out (where seconds is null): stays at other points with a job of this type. configured_eta: by the config in force. SQLSTATE 22004, 22023: names the argument.';

revoke execute on function
scooters_ops.job_time_counts(timestamptz, timestamptz) from public;
grant execute on function
scooters_ops.job_time_counts(timestamptz, timestamptz) to scooters_ops_analyst;
