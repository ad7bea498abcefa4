-- Which limits hold for a chat or queue?
-- Telegram's groups and public channels are a negative number, or @name.
create or replace function scooters_ops.target_rules(limits jsonb, address text)
returns jsonb
language sql immutable parallel safe
begin atomic -- noqa: disable=all
select limits -> 'per_target'
    || case
        when address ~ '^[-@]' then coalesce(limits -> 'per_group', '[]')
        else '[]'
    end;
end; -- noqa: enable=all

comment on function scooters_ops.target_rules(jsonb, text) is
'The rules (as in send_allowance) that a channel''s limits have for this chat or queue; null: the channel has no limits.';

revoke execute on function scooters_ops.target_rules(jsonb, text) from public;
grant execute on function scooters_ops.target_rules(jsonb, text)
to scooters_ops_analyst, scooters_ops_notifier;
