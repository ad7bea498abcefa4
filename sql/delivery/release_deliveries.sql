-- What did this notifier lease, and is not going to send?
-- Whoever comes next may have it at once. A row that was taken over stays as doubtful
-- as it was: its lease ends, but whoever held it before may have sent the message.
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
    released_count integer;
begin
    update scooters_ops.notification_recipients as recipient
    set
        state = case when recipient.is_taken_over then 'sending' else 'pending' end,
        leased_by = case when recipient.is_taken_over then '' end,
        attempts = recipient.attempts - 1,
        next_attempt_at = now()
    from (
        select leased.recipient_id
        from scooters_ops.notification_recipients as leased
        where
            leased.state = 'sending'
            and leased.leased_by = release_deliveries.worker
            and leased.recipient_id <> all(release_deliveries.kept_ids)
        order by leased.recipient_id
        for update
    ) as held
    where recipient.recipient_id = held.recipient_id;
    get diagnostics released_count = row_count;

    if released_count > 0 then
        notify scooters_ops;
    end if;
    return released_count;
end
$$;

comment on function scooters_ops.release_deliveries(text, bigint[]) is
'Gives back what this worker has leased, but for kept_ids: those whose request may have gone out, or whose result is still to be recorded. The others are due at once, and the attempt does not count. Returns how many.';

revoke execute on function scooters_ops.release_deliveries(text, bigint[]) from public;
grant execute on function scooters_ops.release_deliveries(text, bigint[])
to scooters_ops_notifier;
