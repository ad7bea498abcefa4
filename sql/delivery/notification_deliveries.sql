-- Who was notified of what, and was it sent?
-- Alerts alone; notification_steps also has what follows them.
create or replace view scooters_ops.notification_deliveries as
select
    notification_id,
    idempotency_token,
    type,
    mission_id,
    point_id,
    job_id,
    channel,
    target,
    sended,
    state,
    attempts,
    last_error,
    reference,
    created_at,
    next_attempt_at,
    sent_at
from scooters_ops.notification_steps
where step = 'alert';

comment on view scooters_ops.notification_deliveries is
'Each recipient of each notification, and the state of its alert. notification_steps also has what follows the alert.';

grant select on scooters_ops.notification_deliveries
to scooters_ops_analyst, scooters_ops_notifier;
