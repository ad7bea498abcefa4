-- Of which mission is the notification with this token?
-- It undoes what idempotency_token() does: the mission is what stands before the first
-- "_" that is not escaped.
create or replace function scooters_router.mission_of(token text)
returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
select
    regexp_replace(
        substring(token from '^((?:[^\\_]|\\.)*)_'), '\\(.)', '\1', 'g'
    )
$$;

comment on function scooters_router.mission_of(text) is
'The mission_id in a notification''s token; null: it is not such a token.';

revoke execute on function scooters_router.mission_of(text) from public;
