-- What comes of the presses of buttons that a channel has reported to the router?
-- Each press is done in the shard that knows it, and committed there. The place to go
-- on from is stored afterwards: after a crash in between, presses are reported and done
-- again, and whoever has the notification is told again that it is his. A press that no
-- other shard knows waits for those that are away: it gets no row, and all that were
-- reported with it are reported again. It does not wait for ever, nor once there may be
-- presses behind it that are not reported.
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
-- As in build_function.sql.
set client_min_messages = warning
set datestyle = 'ISO, YMD'
as $$
#variable_conflict use_column
declare
    longest_wait constant interval := '1 hour';
    most_presses constant integer := 100; -- that a channel reports at once
    -- A shard whose machine is gone takes seconds, and the right to poll ends.
    ask_until constant timestamptz := clock_timestamp() + interval '5 seconds';
    -- In another order each time, so that all are asked in the end.
    shards constant integer[] := array(
        select known.shard
        from scooters_router.shards as known
        order by random()
    );
    missing integer[] := '{}';
    may_wait boolean;
    is_waiting boolean := false;
    is_final boolean;
    press jsonb;
    in_shard integer;
    answer record;
    error_code text;
    error_message text;
begin
    select
        jsonb_array_length(presses) < most_presses
        and coalesce(now() - poll.held_since < longest_wait, true)
    into may_wait
    from scooters_ops.button_polls as poll
    where
        poll.channel = press_buttons.channel
        and poll.polled_by = press_buttons.worker
    for update;

    if not found then
        return;
    end if;

    for press in
        select listed.press
        from jsonb_array_elements(presses) with ordinality as listed (press, n)
        order by listed.n
    loop
        press_id := press ->> 'press_id';
        result := 'unknown';
        acknowledged_by := null;
        acknowledged_at := null;
        is_final := true;

        foreach in_shard in array shards
        loop
            if in_shard = any(missing) or clock_timestamp() > ask_until then
                is_final := false;
                continue;
            end if;

            begin
                select
                    pressed.result,
                    pressed.acknowledged_by,
                    pressed.acknowledged_at
                into answer
                from scooters_router.press_button(
                    in_shard, press_buttons.channel, press
                ) as pressed;
                if answer.result <> 'unknown' then
                    result := answer.result;
                    acknowledged_by := answer.acknowledged_by;
                    acknowledged_at := answer.acknowledged_at;
                    is_final := true;
                    exit;
                end if;
            exception
                when others then
                    get stacked diagnostics
                        error_code = returned_sqlstate,
                        error_message = message_text;
                    case
                        -- What may pass, as in a shard. A shard that moves is read-only.
                        when
                            not scooters_router.is_answer(error_code, error_message)
                            or left(error_code, 2) in ('40', '53', '57', '58')
                            or error_code in ('55P03', '25006')
                            then
                                missing := missing || in_shard;
                                is_final := false;
                        -- A shard of an older version has sent no buttons.
                        when error_code = '42883' then null;
                        else
                            raise warning 'a press of a button failed: %', error_message;
                            result := 'failed';
                    end case;
            end;
        end loop;

        if not is_final and may_wait then
            is_waiting := true;
            continue;
        end if;
        result := case
            when not is_final then 'failed'
            -- Done before a crash, or pressed twice.
            when result = 'already' and acknowledged_by = btrim(press ->> 'by')
                then 'acknowledged'
            else result
        end;
        return next;
    end loop;

    update scooters_ops.button_polls as poll
    set
        next_update_id = case
            when is_waiting then poll.next_update_id else press_buttons.next_update_id
        end,
        held_since = case when is_waiting then least(poll.held_since, now()) end
    where poll.channel = press_buttons.channel;
end
$$;
