-- What became of the recipients that this worker had leased?
-- A success is always recorded: it is true whoever holds the lease by now. Anything
-- else counts only while the lease is held. What the channel said of the chat, of the
-- queue or of itself is news for all notifiers: hold it, or it has moved.
create or replace function scooters_ops.record_deliveries(worker text, results jsonb)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    recorded_ids bigint[];
    recorded_count integer;
begin
    perform
    from scooters_ops.notification_recipients
    where
        recipient_id in (
            select (result.value -> 'recipient_id')::bigint
            from jsonb_array_elements(results) as result (value)
        )
    order by recipient_id
    for update;

    with recorded as (
        update scooters_ops.notification_recipients as recipient
        set
            state = result.state,
            attempts = recipient.attempts - (not result.is_attempt)::integer,
            next_attempt_at = now() + make_interval(secs => result.delay_seconds),
            leased_by = null,
            is_blocked = coalesce(result.is_blocked, false),
            last_error = coalesce(result.error, recipient.last_error),
            reference = result.reference,
            sent_at = case when result.state = 'sent' then now() end
        from jsonb_to_recordset(results) as result (
            recipient_id bigint,
            state text,
            is_attempt boolean,
            is_blocked boolean,
            delay_seconds double precision,
            error text,
            reference text
        )
        where
            recipient.recipient_id = result.recipient_id
            and recipient.state <> 'sent'
            and (
                result.state = 'sent'
                or (
                    recipient.state = 'sending'
                    and recipient.leased_by = record_deliveries.worker
                )
            )
        returning recipient.notification_id
    )

    select
        array_agg(distinct notification_id),
        count(*)::integer
    into recorded_ids, recorded_count
    from recorded;

    perform scooters_ops.refresh_notifications(recorded_ids);
    perform scooters_ops.note_channels(results);
    return recorded_count;
end
$$;

comment on function scooters_ops.record_deliveries(text, jsonb) is
'Records results of leased recipients, an array of {recipient_id, state, is_attempt, is_blocked, delay_seconds, error, reference, hold_seconds, is_channel_refused, is_channel_accepted, moved_to}: state sent, pending (again after delay_seconds), failed or in_doubt; is_attempt false gives the attempt back; is_blocked: no message can be made of it until a person mends something; hold_seconds: nothing goes to this chat or queue for so long; is_channel_refused: the channel refuses us as a whole; is_channel_accepted: it accepted our credentials, which ends a pause; moved_to: the fields of the target that are new. Returns how many it recorded: those whose lease was lost are left alone, unless they were sent.';

revoke execute on function scooters_ops.record_deliveries(text, jsonb) from public;
grant execute on function scooters_ops.record_deliveries(text, jsonb)
to scooters_ops_notifier;
