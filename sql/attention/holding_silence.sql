-- Which of these silences holds the alerts of a notification, the one that ends last?
-- What a match says of calendars is about the time of the notification, so that the
-- answer does not change while its alerts wait.
create or replace function scooters_ops.holding_silence(
    notification scooters_ops.monitoring_notifications,
    silence_ids bigint[],
    out silence_id bigint,
    out ends_at timestamptz
)
language sql stable
begin atomic -- noqa: disable=all
select
    active.silence_id,
    active.ends_at
from scooters_ops.matches_for(
    'silence', scooters_ops.match_facts(notification), (notification).created_at
) as matching (match_id)
inner join scooters_ops.active_silences as active
    on matching.match_id = active.silence_id
where
    active.silence_id = any(holding_silence.silence_ids)
    and (notification).type::text <> 'test'
order by active.ends_at desc, active.silence_id
limit 1;
end; -- noqa: enable=all

comment on function
scooters_ops.holding_silence(scooters_ops.monitoring_notifications, bigint[]) is
'Of these silences that are active and match a notification, the one that ends last, and its end; nulls: none does. Messages of notifier test are never held.';

revoke execute on function
scooters_ops.holding_silence(scooters_ops.monitoring_notifications, bigint[])
from public;
