-- Which failed or in-doubt recipients may the caller change?
-- With a notification come all others that the same digest tells of, and what follows
-- its message.
-- Every function locks recipients in the order of recipient_id, so that there are no
-- deadlocks.
create or replace function scooters_ops.lock_recipients(
    token text,
    channel text,
    states text[]
)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    asked_id bigint;
    digest_ids bigint[];
    locked_ids bigint[];
begin
    if not scooters_ops.config_schema() #> '{$defs,Channels,properties}' ? channel then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('no channel "%s"', channel);
    end if;

    select notification_id
    into asked_id
    from scooters_ops.monitoring_notifications
    where idempotency_token = token;

    if token is not null and asked_id is null then
        raise exception using
            errcode = 'no_data_found',
            message = format('no notification "%s"', token);
    end if;

    digest_ids := array(
        select recipient.digest_id
        from scooters_ops.notification_recipients as recipient
        where
            recipient.notification_id = asked_id
            and recipient.digest_id is not null
            and recipient.follows is null
    );

    select array_agg(locked.recipient_id)
    into locked_ids
    from (
        select recipient.recipient_id
        from scooters_ops.notification_recipients as recipient
        where
            recipient.state in ('failed', 'in_doubt')
            and recipient.state = any(lock_recipients.states)
            and (
                token is null
                or recipient.notification_id = asked_id
                or recipient.digest_id = any(digest_ids)
            )
            and (
                lock_recipients.channel is null
                or recipient.channel = lock_recipients.channel
            )
        order by recipient.recipient_id
        for update
    ) as locked;

    return locked_ids;
end
$$;

comment on function scooters_ops.lock_recipients(text, text, text[]) is
'Locks the recipients in these states (failed, in_doubt) of the notification with this token (null: of all), with all that the same digest tells of, and this channel (null: of all) and returns their ids; null: there are none. SQLSTATE P0002: no such notification; 22023: no such channel.';

revoke execute on function scooters_ops.lock_recipients(text, text, text[])
from public;
