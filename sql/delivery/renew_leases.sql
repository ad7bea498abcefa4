-- Which of these leases does this worker still hold?
-- It renews them, and also expired leases that nobody took over.
create or replace function scooters_ops.renew_leases(
    worker text,
    recipient_ids bigint[],
    lease_seconds double precision
)
returns setof bigint
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
with held as (
    select leased.recipient_id
    from scooters_ops.notification_recipients as leased
    where
        leased.recipient_id = any(renew_leases.recipient_ids)
        and leased.state = 'sending'
        and leased.leased_by = renew_leases.worker
    order by leased.recipient_id
    for update
)

update scooters_ops.notification_recipients as recipient
set next_attempt_at = now() + make_interval(secs => renew_leases.lease_seconds)
from held
where recipient.recipient_id = held.recipient_id
returning recipient.recipient_id
$$;

comment on function scooters_ops.renew_leases(text, bigint[], double precision) is
'Extends the leases that this worker holds on these recipients to lease_seconds from now, and returns the recipients that it holds. The others were taken over or have a result.';

revoke execute on function scooters_ops.renew_leases(text, bigint[], double precision)
from public;
grant execute on function scooters_ops.renew_leases(text, bigint[], double precision)
to scooters_ops_notifier;
