-- What shall be tried once more, since a person has mended what was wrong?
create or replace function scooters_ops.retry_deliveries(
    token text default null,
    channel text default null
)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    undelivered_ids bigint[];
begin
    undelivered_ids := scooters_ops.lock_undelivered(
        token, channel, '{failed,in_doubt}'
    );

    update scooters_ops.notification_recipients
    set
        state = 'pending',
        attempts = 0,
        next_attempt_at = now()
    where recipient_id = any(undelivered_ids);

    if undelivered_ids is not null then
        notify scooters_ops;
    end if;
    return coalesce(cardinality(undelivered_ids), 0);
end
$$;

comment on function scooters_ops.retry_deliveries(text, text) is
'Gives failed and in-doubt recipients a new life: of the notification with this token (null: of all), of this channel (null: of all). Returns how many. SQLSTATE P0002: no such notification; 22023: no such channel.';

revoke execute on function scooters_ops.retry_deliveries(text, text) from public;
grant execute on function scooters_ops.retry_deliveries(text, text)
to scooters_ops_notifier, scooters_ops_operator;
