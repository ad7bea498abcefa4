-- What comes of the presses of buttons that a channel has reported?
-- Their effects and the place to go on from are committed together. A press that fails
-- does not hold up the others; what may pass, such as a deadlock, fails as a whole and
-- is to be repeated. Notifications are locked in the order of their numbers.
create or replace function scooters_ops.press_buttons(
    worker text,
    channel text,
    presses jsonb,
    next_update_id bigint
)
returns table (
    press_id text,
    result text,
    acknowledged_by text,
    acknowledged_at timestamptz
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    press jsonb;
begin
    update scooters_ops.button_polls as poll
    set next_update_id = press_buttons.next_update_id
    where
        poll.channel = press_buttons.channel
        and poll.polled_by = press_buttons.worker;

    if not found then
        return;
    end if;

    for press in
        select listed.press
        from jsonb_array_elements(presses) with ordinality as listed (press, n)
        order by substring(listed.press ->> 'data', '^ack:([0-9]{1,18}):')::bigint, listed.n
    loop
        press_id := press ->> 'press_id';
        begin
            select
                pressed.result,
                pressed.acknowledged_by,
                pressed.acknowledged_at
            into result, acknowledged_by, acknowledged_at
            from scooters_ops.press_button(press_buttons.channel, press) as pressed;
        exception
            when others then
                -- What may pass: transaction rollback, insufficient resources, a lock
                -- that is not available, operator intervention, system error.
                if left(sqlstate, 2) in ('40', '53', '57', '58') or sqlstate = '55P03' then
                    raise;
                end if;
                raise warning 'a press of a button failed: %', sqlerrm;
                result := 'failed';
                acknowledged_by := null;
                acknowledged_at := null;
        end;
        return next;
    end loop;
end
$$;

comment on function scooters_ops.press_buttons(text, text, jsonb, bigint) is
'Acknowledges what was pressed: an array of {press_id, data, chat_id, chat_name, message_id, by}; chat_name: the @name of the chat, if it has one; by: who pressed. Stores next_update_id, from which poll_buttons goes on. result: acknowledged, already (as acknowledged_by says, somebody has it), resolved (it is over), elsewhere (this chat was not told), unknown (no such notification any more) or failed. Nothing happens, and there are no rows, if this worker does not have the right to poll any more.';

revoke execute on function scooters_ops.press_buttons(text, text, jsonb, bigint)
from public;
grant execute on function scooters_ops.press_buttons(text, text, jsonb, bigint)
to scooters_ops_notifier;
