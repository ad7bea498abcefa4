-- What is left of a test when it is over? Nothing.
-- A message that a notifier is sending right now still arrives.
create or replace function scooters_ops.end_test(token text)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    asked_id bigint;
begin
    select notification_id
    into asked_id
    from scooters_ops.monitoring_notifications
    where
        idempotency_token = token
        and type = 'test';

    perform
    from scooters_ops.notification_recipients
    where notification_id = asked_id
    order by recipient_id
    for update;

    delete from scooters_ops.monitoring_notifications
    where notification_id = asked_id;
    return found;
end
$$;

comment on function scooters_ops.end_test(text) is
'Removes the test with this token; what was not sent yet never is. Returns whether there was one.';

revoke execute on function scooters_ops.end_test(text) from public;
grant execute on function scooters_ops.end_test(text)
to scooters_ops_notifier, scooters_ops_operator;
