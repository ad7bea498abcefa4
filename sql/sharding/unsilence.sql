-- How does somebody end a silence in all shards?
-- It ends wherever it holds. One that was made in a shard itself ends there only: other
-- shards may have given its number to another one.
create or replace function scooters_ops.unsilence(
    silence_id bigint,
    by text default session_user
)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- As in build_function.sql.
set client_min_messages = warning
set datestyle = 'ISO, YMD'
as $$
declare
    first_number constant bigint := (
        select sequence.seqmin
        from pg_sequence as sequence
        where sequence.seqrelid = 'scooters_router.silence_numbers'::regclass
    );
    asked record;
    is_known boolean := false;
    has_ended boolean := false;
    missing text[] := '{}';
    error_code text;
    error_message text;
    error_detail text;
    error_hint text;
begin
    for asked in
        select
            known.shard,
            known.name
        from scooters_router.shards as known
        order by known.shard
    loop
        begin
            has_ended :=
                scooters_router.unsilence(
                    asked.shard,
                    case when unsilence.silence_id >= first_number then unsilence.silence_id end,
                    by
                )
                or has_ended;
            is_known := true;
        exception when others then
            get stacked diagnostics
                error_code = returned_sqlstate,
                error_message = message_text,
                error_detail = pg_exception_detail,
                error_hint = pg_exception_hint;
            if not scooters_router.is_answer(error_code, error_message) then
                missing := missing || asked.name;
            elsif error_code <> 'P0002' then -- no_data_found
                perform scooters_router.answer_as_ours(
                    asked.shard, error_code, error_message, error_detail, error_hint
                );
            end if;
        end;
    end loop;

    if missing <> '{}' then
        raise exception using
            errcode = 'connection_failure',
            message = format(
                'no answer from %s: silence %s may hold there; it has ended elsewhere',
                array_to_string(missing, ', '),
                silence_id
            ),
            hint = 'Call unsilence again when all shards answer.';
    elsif not is_known and silence_id < first_number then
        raise exception using
            errcode = 'no_data_found',
            message = format('no silence %s', silence_id),
            hint = 'A silence with such a number was made in a shard: end it there.';
    elsif not is_known then
        raise exception using
            errcode = 'no_data_found',
            message = format('no silence %s', coalesce(silence_id::text, 'null'));
    end if;
    return has_ended;
end
$$;
