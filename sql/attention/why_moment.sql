-- Which time stands in a JSON object under this key?
-- Whatever cannot be read as a time is none: a bad row must not hide the others.
create or replace function scooters_ops.why_moment(at text)
returns timestamptz
language sql stable parallel safe
begin atomic -- noqa: disable=all
select case
    when
        why_moment.at
        ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T[0-9:.]+[-+][0-9:]+$'
        then why_moment.at::timestamptz
end;
end; -- noqa: enable=all

comment on function scooters_ops.why_moment(text) is
'A time as JSON has it; null: it is not such a time.';

revoke execute on function scooters_ops.why_moment(text) from public;
