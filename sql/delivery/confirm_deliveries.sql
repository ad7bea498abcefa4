-- Which in-doubt messages did a person find at their recipient?
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
    in_doubt_ids bigint[];
    confirmed_ids bigint[];
begin
    if token is null then
        raise exception using
            errcode = 'null_value_not_allowed',
            message = 'token must not be null: it names the notification that arrived';
    end if;

    in_doubt_ids := scooters_ops.lock_recipients(token, channel, '{in_doubt}');

    with confirmed as (
        update scooters_ops.notification_recipients
        set
            state = 'sent',
            sent_at = now()
        where recipient_id = any(in_doubt_ids)
        returning notification_id
    )

    select array_agg(distinct notification_id)
    into confirmed_ids
    from confirmed;

    perform scooters_ops.refresh_notifications(confirmed_ids);
    return coalesce(cardinality(in_doubt_ids), 0);
end
$$;

comment on function scooters_ops.confirm_deliveries(text, text) is
'Records the in-doubt recipients of the notification with this token, with all that the same digest tells of, as sent, for this channel or, if null, for all: a person found that the message arrived. They have no reference, and last_error still says why they were in doubt. Returns how many. SQLSTATE P0002: no such notification; 22023: no such channel; 22004: no token.';

revoke execute on function scooters_ops.confirm_deliveries(text, text) from public;
grant execute on function scooters_ops.confirm_deliveries(text, text)
to scooters_ops_notifier, scooters_ops_operator;
