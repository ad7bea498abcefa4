-- Was the clock set back, as after a failover? Then nothing waits for the old one.
-- What was "now" when it was stored, a lease or a notifier's sign of life, is never
-- ahead of the clock unless the clock was set back. By how much it is ahead, all else
-- that is still to come moves back: attempts, leases and holds. What was granted ahead
-- of now no longer counts for limits.
-- Whoever stores such moments holds the channel's row, so the channels' rows make
-- those who find it at once take turns.
create or replace function scooters_ops.follow_clock()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    step interval;
    is_locked boolean := false;
begin
    loop
        select max(latest.known_at) - clock_timestamp()
        into step
        from (
            select max(seen_at) as known_at
            from scooters_ops.notifiers
            union all
            select max(granted_at[cardinality(granted_at)])
            from scooters_ops.delivery_targets
            where address = ''
        ) as latest;
        if coalesce(step < interval '1 second', true) then
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

    -- Whose result is being recorded gets its moment from that.
    update scooters_ops.notification_recipients as recipient
    set next_attempt_at = recipient.next_attempt_at - step
    from (
        select waiting.recipient_id
        from scooters_ops.notification_recipients as waiting
        where
            waiting.state in ('pending', 'sending')
            and waiting.next_attempt_at > clock_timestamp()
        order by waiting.recipient_id
        for update skip locked
    ) as ahead
    where recipient.recipient_id = ahead.recipient_id;

    update scooters_ops.delivery_targets
    set
        held_until = case
            when held_until > clock_timestamp() then held_until - step
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

comment on function scooters_ops.follow_clock() is
'Where the clock was set back by a second or more, moves attempts, leases and holds back with it, and forgets what limits counted since, so that nothing waits for the old clock. Costs a look at the notifiers and channels otherwise.';

revoke execute on function scooters_ops.follow_clock() from public;
