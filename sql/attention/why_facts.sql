-- Why was each interval and skip of a mission reported, or not, and what came of it?
-- The one list of answers: why() makes sentences of it, and so does the board.
create or replace function scooters_ops.why_facts(
    mission_id text,
    as_of timestamptz default now()
)
returns table (
    started_at timestamptz,
    point_id text,
    job_id text,
    type scooters_ops.monitoring_notification_type,
    subject bigint,
    n bigint,
    question text,
    answer text,
    reason text,
    facts jsonb
)
language plpgsql stable
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set max_parallel_workers_per_gather = 0
set jit = off
as $$
begin
    return query
    with decided as materialized (
        select *
        from scooters_ops.why_questions(why_facts.mission_id, why_facts.as_of)
    ),

    told as (
        select distinct
            decided.subject,
            decided.started_at,
            decided.point_id,
            decided.job_id,
            decided.type,
            decided.told_id
        from decided
        where decided.told_id is not null
    ),

    listed as (
        select
            decided.subject,
            decided.started_at,
            decided.point_id,
            decided.job_id,
            decided.type,
            decided.place,
            0::bigint as within,
            decided.question,
            decided.answer,
            decided.reason,
            decided.facts
        from decided
        union all
        select
            told.subject,
            told.started_at,
            told.point_id,
            told.job_id,
            told.type,
            further.place,
            further.n,
            further.question,
            further.answer,
            further.reason,
            further.facts
        from told
        cross join lateral scooters_ops.why_told(told.told_id) as further
    )

    select
        listed.started_at,
        listed.point_id,
        listed.job_id,
        listed.type,
        listed.subject,
        row_number() over (
            partition by listed.subject
            order by listed.place, listed.within
        ),
        listed.question,
        listed.answer,
        listed.reason,
        listed.facts
    from listed
    order by listed.subject, listed.place, listed.within;
end
$$;

comment on function scooters_ops.why_facts(text, timestamptz) is
'For each interval and skip of a mission as of that time (subject: its number, in the order of time; skips carry their job_id) the questions that decided what was told of it, in their order (n), each with its answer, and why: a reason (a word that stays the same) and its facts (JSON object; keys that end in _seconds are durations, in _at times; null: unknown). docs/analyst.md lists the questions and answers. An answer is no where nobody was told, and ends the questions. No rows: no such mission, or nothing has happened yet.';

revoke execute on function scooters_ops.why_facts(text, timestamptz) from public;
grant execute on function scooters_ops.why_facts(text, timestamptz)
to scooters_ops_analyst;
