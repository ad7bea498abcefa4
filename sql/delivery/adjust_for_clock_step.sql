-- Was the clock set back, as after a failover? Then nothing may wait for old times.
-- The time of a notifier's last report and of a channel's last lease was "now" when it
-- was stored. If one of them is ahead of the clock, the clock was set back by as much:
-- future attempts, leases and holds move back by the same interval, and rate limits
-- forget the messages that were leased ahead of now. What a silence holds waits for its
-- end, as status and messages say it.
-- Every session that stores such times locks the channels' rows, so sessions that
-- notice the step at the same time take turns.
create or replace function scooters_ops.adjust_for_clock_step()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    clock_step interval;
    is_locked boolean := false;
begin
    loop
        select max(latest.stored_at) - clock_timestamp()
        into clock_step
        from (
            select max(seen_at) as stored_at
            from scooters_ops.notifiers
            union all
            select max(granted_at[cardinality(granted_at)])
            from scooters_ops.delivery_targets
            where address = ''
        ) as latest;
        if coalesce(clock_step < interval '1 second', true) then
            return;
        end if;
        exit when is_locked;

        perform
        from scooters_ops.delivery_targets
        where address = ''
        order by channel
        for update;
        is_locked := true;
    end loop;

    -- A locked row is being recorded, which sets its next_attempt_at.
    update scooters_ops.notification_recipients as recipient
    set next_attempt_at = recipient.next_attempt_at - clock_step
    from (
        select waiting.recipient_id
        from scooters_ops.notification_recipients as waiting
        where
            waiting.state in ('pending', 'sending')
            and waiting.next_attempt_at > clock_timestamp()
            and not exists (
                select
                from scooters_ops.active_silences as holding
                where
                    holding.silence_id = waiting.silence_id
                    and waiting.state = 'pending'
                    and waiting.attempts = 0
            )
        order by waiting.recipient_id
        for update skip locked
    ) as ahead
    where recipient.recipient_id = ahead.recipient_id;

    update scooters_ops.delivery_targets
    set
        held_until = case
            when held_until > clock_timestamp() then held_until - clock_step
            else held_until
        end,
        granted_at = array(
            select granted.at
            from unnest(granted_at) with ordinality as granted (at, n)
            where granted.at <= clock_timestamp()
            order by granted.n
        ),
        leased_at = least(leased_at, clock_timestamp()),
        leased_due_at = least(leased_due_at, clock_timestamp())
    where
        held_until > clock_timestamp()
        or clock_timestamp() < any(granted_at)
        or greatest(leased_at, leased_due_at) > clock_timestamp();

    update scooters_ops.notifiers
    set
        started_at = least(started_at, clock_timestamp()),
        seen_at = clock_timestamp()
    where seen_at > clock_timestamp();
end
$$;

comment on function scooters_ops.adjust_for_clock_step() is
'If the clock was set back by a second or more, moves attempts, leases and holds back by the same interval and forgets the messages that rate limits counted after the new time, so that nothing waits for the old time. Otherwise it only reads the notifiers and channels.';

revoke execute on function scooters_ops.adjust_for_clock_step() from public;
