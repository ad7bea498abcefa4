-- What does a button to acknowledge a notification send back?
-- Channels allow 64 bytes, and a token may be longer. The hash keeps a press from
-- reaching another database's notification of the same number.
create or replace function scooters_ops.acknowledge_data(
    notification_id bigint,
    token text
)
returns text
language sql immutable parallel safe
return 'ack:' || notification_id::text || ':' || md5(token);

comment on function scooters_ops.acknowledge_data(bigint, text) is
'What a button to acknowledge this notification sends back when it is pressed: ack:{number}:{MD5 of the token}, at most 56 bytes.';

revoke execute on function scooters_ops.acknowledge_data(bigint, text) from public;
