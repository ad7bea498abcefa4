-- Which part of a channel's limits may follow-ups use?
-- Half of each, so that however many messages are to be edited, a new alert finds room.
create or replace function scooters_ops.follow_up_limits(limits jsonb)
returns jsonb
language sql immutable parallel safe
begin atomic -- noqa: disable=all
select jsonb_object_agg(
    setting.key,
    case jsonb_typeof(setting.value)
        when 'array' then (
            select coalesce(
                jsonb_agg(
                    rule.value || jsonb_build_object(
                        'messages', ceil((rule.value ->> 'messages')::numeric / 2)
                    )
                    order by rule.n
                ),
                '[]'
            )
            from jsonb_array_elements(setting.value) with ordinality as rule (value, n)
        )
        when 'number' then to_jsonb(ceil((setting.value #>> '{}')::numeric / 2))
        else setting.value
    end
)
from jsonb_each(limits) as setting;
end; -- noqa: enable=all

comment on function scooters_ops.follow_up_limits(jsonb) is
'The limits of a channel (channels.X.limits of the config) for follow-ups: half of each, rounded up; null: none.';

revoke execute on function scooters_ops.follow_up_limits(jsonb) from public;
grant execute on function scooters_ops.follow_up_limits(jsonb)
to scooters_ops_analyst, scooters_ops_notifier;
