-- What happens when a courier skips a job?
-- The job is marked as skipped and a notification is inserted, in one transaction.
create or replace function scooters_ops.skip_job(
    mission_id text,
    point_id text,
    job_id text
)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
#variable_conflict use_column
declare
    skipped_type text;
    current_status text;
begin
    -- A second call at the same time waits here, and then finds no planned job.
    update scooters_ops.mission_jobs
    set status = 'skipped'
    where
        mission_id = skip_job.mission_id
        and point_id = skip_job.point_id
        and job_id = skip_job.job_id
        and status = 'planned'
    returning type into skipped_type;

    if found then
        insert into scooters_ops.monitoring_notifications (
            idempotency_token, mission_id, point_id, job_id, type, details, config_id
        )
        values (
            scooters_ops.idempotency_token(
                skip_job.mission_id, skip_job.point_id, skip_job.job_id, 'job_skipped'
            ),
            skip_job.mission_id,
            skip_job.point_id,
            skip_job.job_id,
            'job_skipped',
            (
                select mission.facts
                from scooters_ops.mission_facts(
                    skip_job.mission_id, skip_job.point_id
                ) as mission (facts)
            )
            || jsonb_build_object('job_type', skipped_type, 'skipped_at', now()),
            (select in_force.config_id from scooters_ops.config_in_force as in_force)
        )
        on conflict (idempotency_token) do nothing;
        return true;
    end if;

    select status
    into current_status
    from scooters_ops.mission_jobs
    where
        mission_id = skip_job.mission_id
        and point_id = skip_job.point_id
        and job_id = skip_job.job_id;
    if current_status = 'skipped' then
        return false;
    end if;
    raise exception using
        errcode = case
            when current_status is null then 'no_data_found'
            else 'object_not_in_prerequisite_state'
        end,
        message = format(
            case
                when current_status is null
                    then 'no job "%s" at point "%s" of mission "%s"'
                else 'job "%s" at point "%s" of mission "%s" is completed: it cannot be skipped'
            end,
            skip_job.job_id,
            skip_job.point_id,
            skip_job.mission_id
        );
end
$$;

comment on function scooters_ops.skip_job(text, text, text) is
'Marks a job as skipped and inserts its job_skipped notification, in one transaction. Returns true the first time, false if it was already skipped. SQLSTATE P0002: unknown job. SQLSTATE 55000: the job is completed.';

revoke execute on function scooters_ops.skip_job(text, text, text) from public;
grant execute on function scooters_ops.skip_job(text, text, text)
to scooters_ops_writer;
