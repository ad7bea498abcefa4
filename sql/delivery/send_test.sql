-- How does a person find out whether messages arrive?
-- A test is a notification of a type of its own. It goes through the same queue, limits
-- and templates as any other, and nothing follows it. Whoever sends it waits for the
-- results and ends it, so that status and reports keep nothing of it.
create or replace function scooters_ops.send_test(
    recipients jsonb,
    asked_by text,
    asked_from text
)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    most_recipients constant integer := 1000;
    token text;
    checked jsonb;
    unknown_path text;
    unknown_channel text;
    new_id bigint;
begin
    checked := scooters_ops.validate_json(
        recipients,
        scooters_ops.config_schema() #> '{$defs,Route,properties,recipients}',
        'recipients',
        scooters_ops.config_schema() -> '$defs'
    );
    if jsonb_array_length(checked) not between 1 and most_recipients then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('recipients: must be 1 to %s', most_recipients);
    end if;

    select
        format('recipients[%s].type', recipient.n - 1),
        recipient.value ->> 'type'
    into
        unknown_path,
        unknown_channel
    from jsonb_array_elements(checked) with ordinality as recipient (value, n)
    where not exists (
        select
        from scooters_ops.config_in_force as in_force
        where in_force.config -> 'channels' -> (recipient.value ->> 'type') <> 'null'
    )
    order by recipient.n
    limit 1;
    if found then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                '%s: channel ''%s'' is not configured under channels',
                unknown_path,
                unknown_channel
            );
    end if;

    token := scooters_ops.idempotency_token(
        'test', null, left(gen_random_uuid()::text, 13), 'test'
    );

    insert into scooters_ops.monitoring_notifications (
        idempotency_token, mission_id, type, planned_at, details
    )
    values (
        token,
        'test',
        'test',
        now(),
        jsonb_build_object(
            'asked_by', left(asked_by, 200),
            'asked_from', left(asked_from, 200),
            'asked_at', now()
        )
    )
    returning notification_id into new_id;

    insert into scooters_ops.notification_recipients (notification_id, channel, target)
    select
        new_id,
        recipient.value ->> 'type',
        recipient.value
    from jsonb_array_elements(checked) with ordinality as recipient (value, n)
    group by recipient.value
    order by min(recipient.n);

    perform scooters_ops.refresh_notifications(array[new_id]);
    return token;
end
$$;

comment on function scooters_ops.send_test(jsonb, text, text) is
'Sends a test message to these recipients (JSON array of {"type": channel, ...}, at most 1000) through the queue and returns its token. asked_by, asked_from: who asked for it, and on which host; the message says so. test_results() has the outcome, and end_test() removes it; a test that nobody ended is pruned after a day. SQLSTATE 22023: names what is wrong with the recipients.';

revoke execute on function scooters_ops.send_test(jsonb, text, text) from public;
grant execute on function scooters_ops.send_test(jsonb, text, text)
to scooters_ops_notifier, scooters_ops_operator;
