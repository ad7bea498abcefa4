-- What are the results of the messages that this worker leased?
-- A success is always recorded: it remains true if another worker holds the lease now,
-- unless that one is changing an earlier message, because the next change must wait for
-- it. Any other result counts only while this worker holds the lease. What is recorded
-- of a digest's leader is recorded of all that the digest tells of. All notifiers
-- learn what the channel said about itself, a chat or a queue: refused, accepted, on
-- hold or moved.
create or replace function scooters_ops.record_deliveries(worker text, results jsonb)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    asked_ids bigint[];
    recorded_ids bigint[];
    leader_ids bigint[];
    recorded_count integer;
begin
    asked_ids := array(
        select (result.value -> 'recipient_id')::bigint
        from jsonb_array_elements(results) as result (value)
    );

    asked_ids := asked_ids || array(
        select member.recipient_id
        from scooters_ops.notification_recipients as member
        where
            member.digest_id = any(asked_ids)
            and member.digest_id is not null
    );

    perform
    from scooters_ops.notification_recipients
    where recipient_id = any(asked_ids)
    order by recipient_id
    for update;

    with recorded as (
        update scooters_ops.notification_recipients as recipient
        set
            state = result.state,
            attempts = recipient.attempts - (not result.is_attempt)::integer,
            next_attempt_at = now() + make_interval(secs => result.delay_seconds),
            leased_by = null,
            is_taken_over = result.state in ('pending', 'failed')
            and (recipient.is_taken_over or coalesce(result.is_in_doubt, false)),
            is_blocked = coalesce(result.is_blocked, false),
            last_error = coalesce(result.error, recipient.last_error),
            reference = result.reference,
            sent_to = result.sent_to,
            -- Of a late success, and of one that an earlier attempt made, nobody knows
            -- what it shows: a later lease has overwritten that.
            shows = case
                when
                    recipient.leased_by = record_deliveries.worker
                    and not coalesce(result.is_earlier, false)
                    then recipient.shows
            end,
            sent_at = case when result.state = 'sent' then now() end
        from jsonb_to_recordset(results) as result (
            recipient_id bigint,
            state text,
            is_attempt boolean,
            is_blocked boolean,
            delay_seconds double precision,
            error text,
            reference text,
            sent_to text,
            is_earlier boolean,
            is_in_doubt boolean
        )
        where
            recipient.recipient_id = result.recipient_id
            and recipient.state <> 'sent'
            and (
                (
                    recipient.state = 'sending'
                    and recipient.leased_by = record_deliveries.worker
                )
                or (
                    result.state = 'sent'
                    and not (
                        recipient.state = 'sending'
                        and recipient.step ~ '^(acknowledged|resolved)'
                    )
                )
            )
        returning
            recipient.notification_id,
            recipient.recipient_id,
            recipient.digest_id
    )

    select
        array_agg(distinct notification_id),
        count(*)::integer,
        array_agg(recipient_id) filter (where digest_id = recipient_id)
    into recorded_ids, recorded_count, leader_ids
    from recorded;

    if leader_ids is not null then
        recorded_ids := array(
            select told.notification_id
            from unnest(
                recorded_ids || scooters_ops.record_digests(leader_ids)
            ) as told (notification_id)
            group by told.notification_id
        );
    end if;

    perform scooters_ops.refresh_notifications(recorded_ids);

    -- As lease_deliveries, this locks the channel's row before those of its addresses,
    -- so that the two cannot deadlock.
    perform
    from scooters_ops.delivery_targets
    where
        address = ''
        and channel in (
            select recipient.channel
            from jsonb_to_recordset(results) as result (recipient_id bigint)
            inner join scooters_ops.notification_recipients as recipient
                using (recipient_id)
        )
    order by channel
    for update;

    perform scooters_ops.restart_rate_limits(results);
    perform scooters_ops.pause_channels(results);
    perform scooters_ops.hold_addresses(results);
    return recorded_count;
end
$$;

comment on function scooters_ops.record_deliveries(text, jsonb) is
'Records the results of leased recipients, an array of {recipient_id, state, is_attempt, is_blocked, delay_seconds, error, reference, sent_to, is_earlier, is_in_doubt, hold_seconds, is_channel_refused, is_channel_accepted, moved_to}. state: sent, pending (due again after delay_seconds), failed or in_doubt; is_attempt: false if the attempt does not count; is_blocked: no message can be made of it until a person fixes something; sent_to: the chat that has the message, if the channel names it; is_earlier: the message is one that an earlier attempt made; is_in_doubt: the message may have been sent; hold_seconds: how long nothing may be sent to this chat or queue; is_channel_refused: the channel refuses us as a whole; is_channel_accepted: the channel accepted our credentials, which ends a pause; moved_to: the fields of the target that changed. Returns how many results it recorded: a result whose lease was lost is ignored unless it is sent.';

revoke execute on function scooters_ops.record_deliveries(text, jsonb) from public;
grant execute on function scooters_ops.record_deliveries(text, jsonb)
to scooters_ops_notifier;
