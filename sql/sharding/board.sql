-- What does the board show of all shards?
-- Each shard says what it would show alone; the missions that are furthest over their
-- limit come first, whichever shard they live in. A shard that gives no answer is named
-- in missing, and the rest is shown.
create or replace function scooters_ops.board(
    of_type scooters_ops.monitoring_notification_type default null,
    of_city text default null,
    of_performer text default null,
    only_overdue boolean default false,
    max_missions integer default 200,
    as_of timestamptz default now()
)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- As in build_function.sql.
set client_min_messages = warning
set datestyle = 'ISO, YMD'
set timezone = 'UTC'
as $$
declare
    asked record;
    boards jsonb := '[]';
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
            boards := boards || (
                scooters_router.board(
                    asked.shard,
                    of_type,
                    of_city,
                    of_performer,
                    only_overdue,
                    max_missions,
                    as_of
                )
                || jsonb_build_object('shard', asked.name)
            );
        exception when others then
            get stacked diagnostics
                error_code = returned_sqlstate,
                error_message = message_text,
                error_detail = pg_exception_detail,
                error_hint = pg_exception_hint;
            if scooters_router.is_answer(error_code, error_message) then
                perform scooters_router.answer_as_ours(
                    asked.shard, error_code, error_message, error_detail, error_hint
                );
            end if;
            missing := missing || asked.name;
        end;
    end loop;
    if boards = '[]' then
        raise exception using
            errcode = 'connection_failure', message = 'no shard gives an answer';
    end if;
    return scooters_router.merged_board(boards, max_missions)
    || jsonb_build_object('missing', missing);
end
$$;
