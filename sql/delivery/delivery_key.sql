-- Under which idempotency key does a channel know this delivery?
-- One for each notification, recipient and step: of two queues that are told of one
-- notification, each gets a ticket of its own. The channel and its address come before
-- whatever else the target has, such as a topic.
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
'The idempotency key of a delivery: {token}/{channel}/{chat or queue}/{step}, with the rest of the target, where there is any, as JSON before the step.';

revoke execute on function scooters_ops.delivery_key(
    text, text, jsonb, text
) from public;
