-- Which chats and queues asked us to wait, and which have moved?
create or replace function scooters_ops.hold_addresses(results jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into scooters_ops.delivery_targets as known (
        channel, address, held_until, hold_reason, moved_to
    )
    select
        recipient.channel,
        place.address,
        now() + make_interval(secs => max(result.hold_seconds)),
        max(result.error),
        max(result.moved_to::text)::jsonb
    from jsonb_to_recordset(results) as result (
        recipient_id bigint,
        error text,
        hold_seconds double precision,
        moved_to jsonb
    )
    inner join scooters_ops.notification_recipients as recipient using (recipient_id)
    left join scooters_ops.delivery_targets as moved
        on
            moved.channel = recipient.channel
            and moved.address = recipient.address
    cross join lateral (
        select
            case
                when result.moved_to is null
                    then coalesce(moved.moved_address, recipient.address)
                else recipient.address
            end as address
    ) as place
    where result.hold_seconds > 0 or result.moved_to is not null
    group by recipient.channel, place.address
    order by place.address, recipient.channel
    on conflict (address, channel) do update
    set
        held_until = greatest(known.held_until, excluded.held_until),
        hold_reason = coalesce(excluded.hold_reason, known.hold_reason),
        moved_to = coalesce(excluded.moved_to, known.moved_to);
end
$$;

comment on function scooters_ops.hold_addresses(jsonb) is
'Stores the holds and moves of chats and queues that these results (as in record_deliveries) report.';

revoke execute on function scooters_ops.hold_addresses(jsonb) from public;
