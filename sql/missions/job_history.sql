-- Which jobs were planned, what became of them, and which skips were reported?
create or replace view scooters_ops.job_history as
select
    job.mission_id,
    mission.performer_id,
    job.point_id,
    job.job_id,
    job.type,
    job.eta,
    job.status,
    mission.attributes,
    mission.created_at,
    notification.idempotency_token,
    notification.created_at as skipped_at
from scooters_ops.mission_jobs as job
inner join scooters_ops.missions as mission
    on job.mission_id = mission.mission_id
left join scooters_ops.monitoring_notifications as notification
    -- Making the token of each job would take longer than all the rest.
    on
        notification.idempotency_token
        = case
            when job.status = 'skipped'
                then scooters_ops.idempotency_token(
                    job.mission_id, job.point_id, job.job_id, 'job_skipped'
                )
        end;

comment on view scooters_ops.job_history is
'Every job of every mission with its status and, if it was skipped, its notification: what skips are a share of.';
comment on column scooters_ops.job_history.mission_id is
'The mission.';
comment on column scooters_ops.job_history.performer_id is
'The courier who carries it out.';
comment on column scooters_ops.job_history.point_id is
'The point where the job is to be done.';
comment on column scooters_ops.job_history.job_id is
'The job.';
comment on column scooters_ops.job_history.type is
'What is to be done: battery_exchange, pickup, dropoff, ...';
comment on column scooters_ops.job_history.eta is
'Planned time of the job (interval); null: config says it for the type.';
comment on column scooters_ops.job_history.status is
'planned, completed or skipped.';
comment on column scooters_ops.job_history.attributes is
'The mission''s attributes (JSON object): city, zone, performer_name, ...';
comment on column scooters_ops.job_history.created_at is
'When the mission was created.';
comment on column scooters_ops.job_history.idempotency_token is
'Token of the notification of the skip; null: it was not skipped, or the notification was pruned.';
comment on column scooters_ops.job_history.skipped_at is
'When the skip was reported; null: it was not skipped, or the notification was pruned.';

grant select on scooters_ops.job_history to scooters_ops_analyst;
