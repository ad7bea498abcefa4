-- What comes of one press of a button?
-- A message that has been tried counts as one that the chat has: the answer may be
-- lost.
create or replace function scooters_ops.press_button(
    channel text,
    press jsonb,
    out result text,
    out acknowledged_by text,
    out acknowledged_at timestamptz
)
language plpgsql
set search_path = pg_catalog, pg_temp
-- Others wait for this press.
set lock_timeout = '3s'
as $$
#variable_conflict use_column
declare
    asked text[] := regexp_match(press ->> 'data', '^ack:([0-9]{1,18}):');
    asked_id bigint;
    asked_token text;
begin
    select
        notification.notification_id,
        notification.idempotency_token
    into asked_id, asked_token
    from scooters_ops.monitoring_notifications as notification
    where
        notification.notification_id = asked[1]::bigint
        and press ->> 'data' = scooters_ops.acknowledge_data(
            notification.notification_id, notification.idempotency_token
        );

    if asked_id is null then
        result := 'unknown';
        return;
    end if;

    if not exists (
        select
        from scooters_ops.notification_recipients as told
        left join scooters_ops.delivery_targets as target
            on
                told.channel = target.channel
                and told.address = target.address
        where
            told.notification_id = asked_id
            and told.channel = press_button.channel
            and (told.state = 'sent' or told.attempts > 0)
            and (
                press ->> 'chat_id' in (
                    told.sent_to, told.address, target.moved_address
                )
                or lower(press ->> 'chat_name') = lower(told.address)
            )
    ) then
        result := 'elsewhere';
        return;
    end if;

    begin
        result := case
            when scooters_ops.acknowledge(asked_token, press ->> 'by')
                then 'acknowledged'
            else 'already'
        end;
    exception
        when no_data_found then
            result := 'unknown';
        when object_not_in_prerequisite_state then
            result := 'resolved';
    end;

    select
        notification.acknowledged_by,
        notification.acknowledged_at
    into acknowledged_by, acknowledged_at
    from scooters_ops.monitoring_notifications as notification
    where notification.notification_id = asked_id;
end
$$;

comment on function scooters_ops.press_button(text, jsonb) is
'Acknowledges what this press asks for, if it comes from a chat that was told. Parameters and result as in press_buttons.';

revoke execute on function scooters_ops.press_button(text, jsonb) from public;
