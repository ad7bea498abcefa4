-- How does somebody silence a match in all shards?
-- The silence has one number everywhere. The first shard says whether the match is
-- valid. A shard that is away cannot be silenced, and the others need not wait for it:
-- the error names it, and says that the silence holds elsewhere.
create or replace function scooters_ops.silence(
    match jsonb,
    duration interval,
    comment text,
    by text default session_user
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- As in build_function.sql.
set client_min_messages = warning
set datestyle = 'ISO, YMD'
set intervalstyle = postgres
as $$
declare
    new_id bigint;
    asked record;
    silenced text[] := '{}';
    missing text[] := '{}';
    error_code text;
    error_message text;
    error_detail text;
    error_hint text;
    answer text;
begin
    -- Silences get their numbers one after the other.
    lock table scooters_router.shards in share row exclusive mode;
    new_id := nextval('scooters_router.silence_numbers');
    for asked in
        select
            known.shard,
            known.name
        from scooters_router.shards as known
        order by known.shard
    loop
        begin
            new_id := greatest(new_id, scooters_router.newest_silence(asked.shard) + 1);
        exception when others then
            get stacked diagnostics
                error_code = returned_sqlstate,
                error_message = message_text;
            -- Asking it again would take time. What a shard says, it says below as well.
            if not scooters_router.is_answer(error_code, error_message) then
                missing := missing || asked.name;
            end if;
        end;
    end loop;
    perform setval('scooters_router.silence_numbers', new_id);

    for asked in
        select
            known.shard,
            known.name
        from scooters_router.shards as known
        where known.name <> all(missing)
        order by known.shard
    loop
        begin
            perform scooters_router.place_silence(
                asked.shard, new_id, match, duration, comment, by
            );
            silenced := silenced || asked.name;
        exception when others then
            get stacked diagnostics
                error_code = returned_sqlstate,
                error_message = message_text,
                error_detail = pg_exception_detail,
                error_hint = pg_exception_hint;
            if
                scooters_router.is_answer(error_code, error_message)
                and silenced = '{}'
            then
                perform scooters_router.answer_as_ours(
                    asked.shard, error_code, error_message, error_detail, error_hint
                );
            end if;
            answer := substring(error_message from 'REMOTE ERROR: (.*)$');
            missing := missing || concat_ws(': ', asked.name, answer);
        end;
    end loop;

    if silenced = '{}' then
        raise exception using
            errcode = 'connection_failure',
            message = format(
                'no answer from %s: nothing is silenced', array_to_string(missing, ', ')
            );
    elsif missing <> '{}' then
        raise exception using
            errcode = 'connection_failure',
            message = format(
                'no answer from %s: silence %s holds in %s only',
                array_to_string(missing, ', '),
                new_id,
                array_to_string(silenced, ', ')
            ),
            hint = 'When all shards answer, silence the match again, and end this silence.';
    end if;
    return new_id;
end
$$;
