-- Which number did a notification record under this key?
create or replace function scooters_ops.why_number(details jsonb, key text)
returns numeric
language sql immutable parallel safe
begin atomic -- noqa: disable=all
select case
    when jsonb_typeof(why_number.details -> why_number.key) = 'number'
        then (why_number.details ->> why_number.key)::numeric
end;
end; -- noqa: enable=all

comment on function scooters_ops.why_number(jsonb, text) is
'The number under this key of a notification''s details (JSON object); null: there is none.';

revoke execute on function scooters_ops.why_number(jsonb, text) from public;
