-- Which leases does this notifier no longer need?
-- A worker is a notifier and the number of its connection, "host:7:c0ffee#00000002".
-- When a connection breaks, the server may still commit what that connection asked for,
-- under its own worker name. The leases that the notifier keeps move to its current
-- connection. It never sent the others: the answer to the lease was lost, or its host
-- was suspended until the lease expired. Any notifier may lease them at once.
-- is_taken_over does not change: an earlier holder may have sent the message. A digest
-- that nobody has sent is dissolved.
create or replace function scooters_ops.release_deliveries(
    worker text,
    kept_ids bigint[] default '{}'
)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    notifier constant text := split_part(worker, '#', 1) || '#';
    released_count integer;
    leader_ids bigint[];
begin
    with held as (
        select
            leased.recipient_id,
            leased.leased_by,
            leased.recipient_id = any(kept_ids) as is_kept
        from scooters_ops.notification_recipients as leased
        where
            leased.state = 'sending'
            and (
                leased.leased_by = worker
                or (
                    starts_with(leased.leased_by, notifier)
                    and leased.leased_by < worker collate "C"
                )
            )
        order by leased.recipient_id
        for update
    ),

    kept as (
        update scooters_ops.notification_recipients as recipient
        set leased_by = worker
        from held
        where
            recipient.recipient_id = held.recipient_id
            and held.is_kept
            and held.leased_by <> worker
    ),

    released as (
        update scooters_ops.notification_recipients as recipient
        set
            state = 'pending',
            leased_by = null,
            attempts = recipient.attempts - 1,
            next_attempt_at = now()
        from held
        where
            recipient.recipient_id = held.recipient_id
            and not held.is_kept
        returning
            recipient.recipient_id,
            recipient.digest_id,
            recipient.is_taken_over
    )

    select
        count(*)::integer,
        array_agg(recipient_id) filter (
            where digest_id = recipient_id and not is_taken_over
        )
    into released_count, leader_ids
    from released;

    if leader_ids is not null then
        perform scooters_ops.dissolve_digests(leader_ids);
    end if;

    if released_count > 0 then
        notify scooters_ops;
    end if;
    return released_count;
end
$$;

comment on function scooters_ops.release_deliveries(text, bigint[]) is
'Gives back the leases of this worker, "{notifier}#{number of its connection}", and of earlier connections of the same notifier, except those of kept_ids: recipients whose request may have gone out or whose result is still to be recorded. Those become leases of this worker; the others are due at once, and the attempt does not count. Returns how many it gave back. Connection numbers have a fixed length, so that they compare as text.';

revoke execute on function scooters_ops.release_deliveries(text, bigint[]) from public;
grant execute on function scooters_ops.release_deliveries(text, bigint[])
to scooters_ops_notifier;
