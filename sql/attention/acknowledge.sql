-- Who takes care of this notification?
-- The first one to say so has it. What was not sent yet of its escalations and
-- reminders is cancelled, and every message that was sent shows who it is.
create or replace function scooters_ops.acknowledge(token text, by text)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    known record;
begin
    perform scooters_ops.require_name(by, 'who takes care');

    select
        notification_id,
        type,
        created_at,
        told_at,
        resolved_at,
        acknowledged_at
    into known
    from scooters_ops.monitoring_notifications
    where
        idempotency_token = token
        and type::text <> 'test'
    for no key update;

    if not found then
        raise exception using
            errcode = 'no_data_found',
            message = format('no notification "%s"', token);
    elsif known.acknowledged_at is not null then
        return false;
    elsif known.resolved_at is not null then
        raise exception using
            errcode = 'object_not_in_prerequisite_state',
            message = format('notification "%s" is resolved already', token);
    end if;

    update scooters_ops.monitoring_notifications
    set
        acknowledged_at = now(),
        acknowledged_by = btrim(by)
    where notification_id = known.notification_id;

    -- As response_times says it.
    insert into scooters_ops.new_durations (stage, type, duration)
    values (
        'acknowledged',
        known.type,
        greatest(
            now() - case
                when known.told_at < now() then known.told_at
                else known.created_at
            end,
            '0'
        )
    );

    perform scooters_ops.settle_steps(array[known.notification_id]);
    return true;
end
$$;

comment on function scooters_ops.acknowledge(text, text) is
'Records who takes care of the notification with this token (at most 200 characters): nobody else is alarmed, and its messages show the name. True the first time, false when somebody has acknowledged it already. SQLSTATE P0002: no such notification; 55000: it is resolved already; 22004: no name; 22001: the name is too long.';

revoke execute on function scooters_ops.acknowledge(text, text) from public;
grant execute on function scooters_ops.acknowledge(text, text)
to scooters_ops_operator, scooters_ops_notifier;
