-- What became of the alerts that a digest tells of?
-- The same as of its leader. One that was certainly not sent is dissolved, so that the
-- next lease makes a digest of whatever waits then; one that may have been sent stays
-- as it is, and so says the same when it is sent again.
create or replace function scooters_ops.record_digests(leader_ids bigint[])
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    told_ids bigint[];
begin
    with recorded as (
        update scooters_ops.notification_recipients as member
        set
            state = case leader.state when 'pending' then 'waiting' else leader.state end,
            attempts = leader.attempts,
            next_attempt_at = leader.next_attempt_at,
            last_error = leader.last_error,
            is_blocked = leader.is_blocked,
            is_taken_over = leader.state = 'failed' and leader.is_taken_over,
            reference = leader.reference,
            sent_to = leader.sent_to,
            sent_at = leader.sent_at,
            shows = leader.shows
        from scooters_ops.notification_recipients as leader
        where
            leader.recipient_id = any(record_digests.leader_ids)
            and member.digest_id = leader.recipient_id
            and member.digest_id is not null
            and member.recipient_id <> leader.recipient_id
            and member.follows is null
            and member.state <> 'sent'
        returning
            member.notification_id,
            member.state
    )

    select array_agg(recorded.notification_id)
    into told_ids
    from recorded
    where recorded.state = 'sent';

    perform scooters_ops.dissolve_digests(array_agg(leader.recipient_id))
    from scooters_ops.notification_recipients as leader
    where
        leader.recipient_id = any(record_digests.leader_ids)
        and leader.state = 'pending'
        and not leader.is_taken_over
    having count(*) > 0;

    return told_ids;
end
$$;

comment on function scooters_ops.record_digests(bigint[]) is
'Records for the members of these leaders'' digests what was recorded for the leader, and dissolves those that were certainly not sent. Returns the notifications of the members that were sent.';

revoke execute on function scooters_ops.record_digests(bigint[]) from public;
