-- What happens when somebody silences a match?
-- The alerts that match and that nobody may have seen yet are held at once, those to
-- come when they are planned. One that is planned while this commits is held or sent.
-- Silences are made and ended one at a time; passes and planning only read them.
create or replace function scooters_ops.place_silence(
    silence_id bigint,
    match jsonb,
    duration interval,
    comment text,
    by text
)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
    longest_comment constant integer := 500;
    -- From here on a router gives the numbers, so that ours and its never meet.
    routers_first constant bigint := 1099511627776; -- 2 ^ 40
    new_id bigint;
begin
    perform scooters_ops.require_silence(match, duration);

    if comment is null or comment !~ '\S' then
        raise exception using
            errcode = 'null_value_not_allowed',
            message = 'comment must not be empty: it says why';
    elsif char_length(comment) > longest_comment then
        raise exception using
            errcode = 'string_data_right_truncation',
            message = format('comment is longer than %s characters', longest_comment);
    end if;
    perform scooters_ops.require_name(by, 'who silences');

    lock table scooters_ops.silences in share row exclusive mode;
    new_id := coalesce(
        place_silence.silence_id, nextval('scooters_ops.silences_silence_id_seq')
    );

    if new_id < routers_first then
        perform setval(
            'scooters_ops.silences_silence_id_seq', greatest(new_id, known.last_value)
        )
        from scooters_ops.silences_silence_id_seq as known;
    end if;

    insert into scooters_ops.silences (
        silence_id, match, starts_at, ends_at, comment, created_by
    )
    values (
        new_id,
        match,
        now(),
        now() + duration,
        btrim(comment, E' \t\r\n'),
        btrim(by, E' \t\r\n')
    );
    perform scooters_ops.compile_match('silence', new_id, match);

    perform scooters_ops.hold_alerts(
        array(
            select notification.notification_id
            from scooters_ops.monitoring_notifications as notification
            where
                notification.notification_id = any(
                    array(
                        select unsent.notification_id
                        from scooters_ops.notification_recipients as unsent
                        where
                            unsent.state in ('pending', 'sending')
                            and unsent.state = 'pending'
                            and unsent.attempts = 0
                            and unsent.step ~ '^(alert$|escalation_)'
                    )
                )
                and notification.type::text <> 'test'
                and new_id in (
                    select matching.match_id
                    from scooters_ops.matches_for(
                        'silence',
                        scooters_ops.match_facts(notification),
                        notification.created_at
                    ) as matching (match_id)
                )
        )
    );
    return new_id;
end
$$;

comment on function scooters_ops.place_silence(bigint, jsonb, interval, text, text) is
'What silence() does, under a number that the caller chooses (a router: 2 ^ 40 and more); null: the next one.';

revoke execute on function
scooters_ops.place_silence(bigint, jsonb, interval, text, text) from public;
