-- Which leases of this notifier does it know of? The others are given back.
-- A worker is a notifier and the number of its connection, "host:7:c0ffee#00000002".
-- What the server does late for a connection that was lost, it does under a name that
-- nobody uses any more. What the notifier knows of is this connection's from now on.
-- The rest was leased by a statement whose answer was lost, or was dropped since its
-- notifier had slept through the lease: it was never sent.
create or replace function scooters_ops.adopt_leases(worker text, kept_ids bigint[])
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    notifier constant text := split_part(worker, '#', 1) || '#';
    released_count integer;
begin
    update scooters_ops.notification_recipients as recipient
    set leased_by = worker
    from (
        select leased.recipient_id
        from scooters_ops.notification_recipients as leased
        where
            leased.state = 'sending'
            and starts_with(leased.leased_by, notifier)
            and leased.leased_by < worker collate "C"
            and leased.recipient_id = any(kept_ids)
        order by leased.recipient_id
        for update
    ) as held
    where recipient.recipient_id = held.recipient_id;

    select coalesce(
        sum(scooters_ops.release_deliveries(holder.worker, kept_ids)), 0
    )::integer
    into released_count
    from (
        select distinct leased.leased_by as worker
        from scooters_ops.notification_recipients as leased
        where
            leased.state = 'sending'
            and starts_with(leased.leased_by, notifier)
            and leased.leased_by <= worker collate "C"
    ) as holder;

    return released_count;
end
$$;

comment on function scooters_ops.adopt_leases(text, bigint[]) is
'Lets this worker, "{notifier}#{number of its connection}", hold what earlier connections of the same notifier leased, as far as it is in kept_ids (those whose request may have gone out, or whose result is still to be recorded), and gives back, as release_deliveries does, whatever else they or this worker leased. Returns how many it gave back. Numbers have one length, so that they compare as text.';

revoke execute on function scooters_ops.adopt_leases(text, bigint[]) from public;
grant execute on function scooters_ops.adopt_leases(text, bigint[])
to scooters_ops_notifier;
