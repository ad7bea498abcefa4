-- Which time stands in a JSON object under this key?
-- Whatever cannot be read as a time is none: a bad row must not hide the others. The
-- pattern has every day that the calendar has, because a cast refuses the others.
create or replace function scooters_ops.why_moment(at text)
returns timestamptz
language sql stable parallel safe
begin atomic -- noqa: disable=all
select case
    when
        why_moment.at
        ~ ('^(?!0000)('
        || '[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])'
        || '|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))'
        || '|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)'
        || 'T([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\.[0-9]{1,6})?'
        || '[-+](0[0-9]|1[0-4])(:[0-5][0-9]){1,2}$')
        then why_moment.at::timestamptz
end;
end; -- noqa: enable=all

comment on function scooters_ops.why_moment(text) is
'A time as JSON has it; null: it is not such a time.';

revoke execute on function scooters_ops.why_moment(text) from public;
grant execute on function scooters_ops.why_moment(text) to scooters_ops_analyst;
