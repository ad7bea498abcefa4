-- Which digests can say that all is over?
-- What follows an alert is of one notification, and must not replace a message that
-- tells of many: settle_steps leaves all that a digest tells of to this function.
-- The leader's notification may be locked by somebody else: whoever locks one to change
-- it says "no key update", for which an insert that refers to it does not wait.
create or replace function scooters_ops.settle_digests(
    notification_ids bigint[],
    channels text[]
)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    inserted_count integer;
begin
    insert into scooters_ops.notification_recipients (
        notification_id, channel, target, step, follows, digest_id
    )
    select
        leader.notification_id,
        leader.channel,
        leader.target,
        'resolved',
        leader.recipient_id,
        leader.recipient_id
    from scooters_ops.notification_recipients as leader
    where
        leader.recipient_id in (
            select member.digest_id
            from scooters_ops.notification_recipients as member
            where
                member.notification_id = any(settle_digests.notification_ids)
                and member.digest_id is not null
                and member.follows is null
        )
        and leader.digest_id = leader.recipient_id
        and leader.state = 'sent'
        and leader.shows is distinct from 'resolved'
        and leader.channel = any(settle_digests.channels)
        and scooters_ops.is_digest_over(leader.recipient_id)
        and not exists (
            select
            from scooters_ops.notification_recipients as existing
            where
                existing.notification_id = leader.notification_id
                and existing.target = leader.target
                and existing.step = 'resolved'
        )
    order by leader.recipient_id
    on conflict (notification_id, target, step) do nothing;
    get diagnostics inserted_count = row_count;

    return inserted_count;
end
$$;

comment on function scooters_ops.settle_digests(bigint[], text[]) is
'Inserts the step "resolved" of each digest that tells of one of these notifications, was sent through one of these channels, and whose timeouts are all resolved. Returns how many. The caller has locked the notifications.';

revoke execute on function scooters_ops.settle_digests(bigint[], text[]) from public;
