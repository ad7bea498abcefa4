-- Which job types' etas are off, and by how much?
-- PL/pgSQL, because it plans with the values of the arguments.
create or replace function scooters_ops.job_eta_advice(
    since timestamptz,
    until timestamptz
)
returns table (
    rule text,
    job_type text,
    configured_eta interval,
    suggested_eta interval,
    ratio numeric,
    intervals bigint,
    single_job_intervals bigint,
    left_out bigint,
    is_few boolean
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
#variable_conflict use_column
begin
    return query
    with found as (
        select *
        from scooters_ops.job_time_counts(since, until)
    ),

    ordered as (
        select
            found.rule,
            found.job_type,
            found.seconds,
            sum(sum(found.intervals)) over (
                partition by found.rule, found.job_type
                order by found.seconds
            ) as reached,
            sum(sum(found.intervals)) over (
                partition by found.rule, found.job_type
            ) as intervals
        from found
        group by found.rule, found.job_type, found.seconds
    ),

    medians as (
        select
            ordered.rule,
            ordered.job_type,
            min(ordered.seconds) filter (where reached >= intervals * 0.5) as seconds
        from ordered
        group by ordered.rule, ordered.job_type
    ),

    totals as (
        select
            found.rule,
            found.job_type,
            min(found.configured_eta) as configured_eta,
            sum(found.intervals)::bigint as intervals,
            sum(found.single_job_intervals)::bigint as single_job_intervals,
            sum(found.left_out)::bigint as left_out
        from found
        group by found.rule, found.job_type
    )

    select
        totals.rule,
        totals.job_type,
        totals.configured_eta,
        make_interval(secs => medians.seconds),
        round(
            medians.seconds::numeric
            / nullif(extract(epoch from totals.configured_eta), 0),
            2
        ),
        totals.intervals,
        totals.single_job_intervals,
        totals.left_out,
        scooters_ops.is_few(totals.intervals)
    from totals
    inner join medians
        on
            totals.rule is not distinct from medians.rule
            and totals.job_type = medians.job_type
    order by totals.rule collate "C" nulls first, totals.job_type collate "C";
end
$$;

comment on function scooters_ops.job_eta_advice(timestamptz, timestamptz) is
'The median of the actual time of a job (interval, to the second) beside its configured eta, by the override whose etas hold (null: the default) and the type of the job; ratio: median / configured eta (a number without unit). It rests on closed recorded stays that began in the window at points whose jobs are all of one type, none of them skipped or with an eta of its own, each divided by the number of its jobs; intervals: how many; single_job_intervals: those with one job; left_out: stays at other points with a job of this type, which say nothing of it; is_few: fewer than 30 intervals, little more than chance. SQLSTATE 22004, 22023: names the argument.';

revoke execute on function
scooters_ops.job_eta_advice(timestamptz, timestamptz) from public;
grant execute on function
scooters_ops.job_eta_advice(timestamptz, timestamptz) to scooters_ops_analyst;
