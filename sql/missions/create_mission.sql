-- How is a planned mission created? With its points, etas and jobs in one call.
create or replace function scooters_ops.create_mission(mission jsonb)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    schema constant jsonb := scooters_ops.mission_schema();
    max_jobs constant integer := (schema #> '{properties,points,maxJobs}')::integer;
    plan jsonb;
    new_mission_id text;
    culprit text;
begin
    plan := scooters_ops.validate_json(mission, schema);
    new_mission_id := plan ->> 'mission_id';
    if
        max_jobs < (
            select sum(jsonb_array_length(point.value -> 'jobs'))
            from jsonb_array_elements(plan -> 'points') as point (value)
        )
    then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                'mission "%s": points: must have %s jobs or less together',
                new_mission_id,
                max_jobs
            );
    end if;

    insert into scooters_ops.missions (mission_id, performer_id, status, attributes)
    values (
        new_mission_id,
        plan ->> 'performer_id',
        plan ->> 'status',
        plan -> 'attributes'
    )
    on conflict do nothing;
    if not found then
        raise exception using
            errcode = 'unique_violation',
            message = format('mission "%s" exists already', new_mission_id);
    end if;

    select
        case
            when point.id_count > 1 then format('point "%s" is listed twice', point.point_id)
            when point.position_count > 1
                then format('two points have position %s', point.position)
            when point.repeated_job_id is not null
                then format(
                    'job "%s" is listed twice at point "%s"',
                    point.repeated_job_id,
                    point.point_id
                )
        end
    into culprit
    from (
        select
            point.value ->> 'point_id' as point_id,
            coalesce((point.value -> 'position')::integer, point.n) as position,
            count(*) over (partition by point.value ->> 'point_id') as id_count,
            count(*) over (
                partition by coalesce((point.value -> 'position')::integer, point.n)
            ) as position_count,
            (
                select job.value ->> 'job_id'
                from jsonb_array_elements(point.value -> 'jobs') as job (value)
                group by job.value ->> 'job_id'
                having count(*) > 1
                limit 1
            ) as repeated_job_id
        from jsonb_array_elements(plan -> 'points') with ordinality as point (value, n)
    ) as point
    where
        point.id_count > 1
        or point.position_count > 1
        or point.repeated_job_id is not null
    limit 1;
    if found then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('mission "%s": %s', new_mission_id, culprit);
    end if;

    insert into scooters_ops.mission_points (mission_id, point_id, position, eta)
    select
        new_mission_id,
        point.value ->> 'point_id',
        coalesce((point.value -> 'position')::integer, point.n),
        make_interval(
            secs => round((point.value -> 'eta_seconds')::numeric, 6)::double precision
        )
    from jsonb_array_elements(plan -> 'points') with ordinality as point (value, n);

    insert into scooters_ops.mission_jobs (
        mission_id, point_id, job_id, type, eta, status
    )
    select
        new_mission_id,
        point.value ->> 'point_id',
        job.value ->> 'job_id',
        job.value ->> 'type',
        make_interval(
            secs => round((job.value ->> 'eta_seconds')::numeric, 6)::double precision
        ),
        job.value ->> 'status'
    from jsonb_array_elements(plan -> 'points') as point (value)
    cross join lateral jsonb_array_elements(point.value -> 'jobs') as job (value);

    return new_mission_id;
end
$$;

comment on function scooters_ops.create_mission(jsonb) is
'Creates a mission with its points and jobs, all or nothing, and returns its mission_id. mission_schema() describes the argument; points without "position" are visited in the order given. SQLSTATE 22023: a bad key, a repeated point or job, two points at one position, too many jobs. SQLSTATE 23505: the mission already exists, so this is not idempotent; to change a plan, update the tables.';

revoke execute on function scooters_ops.create_mission(jsonb) from public;
grant execute on function scooters_ops.create_mission(jsonb) to scooters_ops_writer;
