-- Which idempotency key does a channel get with this delivery?
-- There is one key for each notification, recipient and step, so that each of two
-- queues gets a ticket of its own for one notification. The other fields of the target,
-- such as a topic, follow the channel and the address.
create or replace function scooters_ops.delivery_key(
    token text,
    channel text,
    target jsonb,
    step text
)
returns text
language sql stable parallel safe
begin atomic -- noqa: disable=all
select concat_ws(
    '/',
    token,
    channel,
    coalesce(target ->> 'chat_id', target ->> 'queue'),
    nullif(target - array['type', 'chat_id', 'queue'], '{}')::text,
    step
);
end; -- noqa: enable=all

comment on function scooters_ops.delivery_key(text, text, jsonb, text) is
'The idempotency key of a delivery: {token}/{channel}/{chat or queue}/{step}. If the target has other fields, they stand before the step as JSON.';

revoke execute on function scooters_ops.delivery_key(
    text, text, jsonb, text
) from public;
