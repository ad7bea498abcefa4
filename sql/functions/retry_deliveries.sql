-- What shall be tried once more, since a person has mended what was wrong?
create or replace function scooters_ops.retry_deliveries(token text default null)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    revived_count integer;
begin
    if
        token is not null
        and not exists (
            select
            from scooters_ops.monitoring_notifications
            where idempotency_token = token
        )
    then
        raise exception using
            errcode = 'no_data_found',
            message = format('no notification "%s"', token);
    end if;

    update scooters_ops.notification_recipients as recipient
    set
        state = 'pending',
        attempts = 0,
        next_attempt_at = now()
    from scooters_ops.monitoring_notifications as notification
    where
        recipient.notification_id = notification.notification_id
        and recipient.state in ('failed', 'in_doubt')
        and (token is null or notification.idempotency_token = token);
    get diagnostics revived_count = row_count;

    notify scooters_ops;
    return revived_count;
end
$$;

comment on function scooters_ops.retry_deliveries(text) is
'Gives failed and in-doubt recipients a new life: of the notification with this token, or of all (null). Returns how many. SQLSTATE P0002: no such notification.';

revoke execute on function scooters_ops.retry_deliveries(text) from public;
grant execute on function scooters_ops.retry_deliveries(text) to scooters_ops_notifier;
