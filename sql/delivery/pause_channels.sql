-- Do these results pause a channel, or end its pause?
-- Each refusal of a channel as a whole pauses it for longer, as notifier.retry says;
-- refusals of messages that were in flight together count once. The first answer that
-- proves that the channel accepts our credentials ends the pause, even if it refuses
-- that one message.
create or replace function scooters_ops.pause_channels(results jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    with answer as (
        select
            recipient.channel,
            max(result.error) filter (where result.is_channel_refused) as refusal
        from jsonb_to_recordset(results) as result (
            recipient_id bigint,
            state text,
            error text,
            is_channel_refused boolean,
            is_channel_accepted boolean
        )
        inner join scooters_ops.notification_recipients as recipient using (recipient_id)
        where
            result.state = 'sent'
            or result.is_channel_refused
            or result.is_channel_accepted
        group by recipient.channel
    )

    update scooters_ops.delivery_targets as known
    set
        failures = case when answer.refusal is null then 0 else known.failures + 1 end,
        hold_reason = answer.refusal,
        held_until = case
            when answer.refusal is not null then now() + make_interval(
                secs => least(
                    (policy.retry ->> 'max_seconds')::double precision,
                    (policy.retry ->> 'first_seconds')::double precision
                    * (policy.retry ->> 'factor')::double precision
                    ^ least(known.failures, 100)
                )
            )
            -- What was held waited until now.
            else now()
        end
    from answer
    cross join (
        select config -> 'notifier' -> 'retry' as retry
        from scooters_ops.config_in_force
    ) as policy
    where
        known.channel = answer.channel
        and known.address = ''
        and case
            when answer.refusal is null then known.failures > 0
            else coalesce(known.held_until <= now(), true)
        end;
end
$$;

comment on function scooters_ops.pause_channels(jsonb) is
'Pauses the channels that refused us in these results (as in record_deliveries), and ends the pause of those that accepted us.';

revoke execute on function scooters_ops.pause_channels(jsonb) from public;
