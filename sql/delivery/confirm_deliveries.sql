-- What has arrived after all, since a person has looked?
create or replace function scooters_ops.confirm_deliveries(
    token text,
    channel text default null
)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    doubtful_ids bigint[];
    confirmed_ids bigint[];
begin
    if token is null then
        raise exception using
            errcode = 'null_value_not_allowed',
            message = 'which notification arrived?';
    end if;

    doubtful_ids := scooters_ops.lock_undelivered(token, channel, '{in_doubt}');

    with confirmed as (
        update scooters_ops.notification_recipients
        set
            state = 'sent',
            sent_at = now()
        where recipient_id = any(doubtful_ids)
        returning notification_id
    )

    select array_agg(distinct notification_id)
    into confirmed_ids
    from confirmed;

    perform scooters_ops.refresh_notifications(confirmed_ids);
    return coalesce(cardinality(doubtful_ids), 0);
end
$$;

comment on function scooters_ops.confirm_deliveries(text, text) is
'Records the in-doubt recipients of the notification with this token, of this channel (null: of all), as sent, since a person found that it arrived: they have no reference, and their last error still says why they were in doubt. Returns how many. SQLSTATE P0002: no such notification; 22023: no such channel.';

revoke execute on function scooters_ops.confirm_deliveries(text, text) from public;
grant execute on function scooters_ops.confirm_deliveries(text, text)
to scooters_ops_notifier, scooters_ops_operator;
