-- Which rate limits apply to this chat or queue?
-- Telegram's groups and public channels have a negative number or an @name.
create or replace function scooters_ops.target_rate_limits(limits jsonb, address text)
returns jsonb
language sql immutable parallel safe
begin atomic -- noqa: disable=all
select limits -> 'per_target'
    || case
        when address ~ '^[-@]' then coalesce(limits -> 'per_group', '[]')
        else '[]'
    end;
end; -- noqa: enable=all

comment on function scooters_ops.target_rate_limits(jsonb, text) is
'The rules (as in rate_limit_status) that a channel''s limits contain for this chat or queue; null: the channel has no limits.';

revoke execute on function scooters_ops.target_rate_limits(jsonb, text) from public;
grant execute on function scooters_ops.target_rate_limits(jsonb, text)
to scooters_ops_analyst, scooters_ops_notifier;
