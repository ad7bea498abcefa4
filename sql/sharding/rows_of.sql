-- What do all shards say in this view?
-- One row for each row of each shard, as JSON, whatever columns the view has there. A
-- shard that gives no answer is left out, so that the rest can be shown, and so is one
-- of a version that has no such view yet; shard_status names both.
create or replace function scooters_router.rows_of(view_name text)
returns table (shard_name text, content jsonb)
language plpgsql stable
security definer
set search_path = pg_catalog, pg_temp
set intervalstyle = 'postgres'
set timezone = 'UTC'
set client_min_messages = 'warning'
as $$
declare
    asked record;
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
            return query execute format(
                'select %L::text, content from scooters_router.%I(%s) as content',
                asked.name,
                'rows_of_' || view_name,
                asked.shard
            );
        exception when others then
            get stacked diagnostics
                error_code = returned_sqlstate,
                error_message = message_text,
                error_detail = pg_exception_detail,
                error_hint = pg_exception_hint;
            if
                scooters_router.is_answer(error_code, error_message)
                and error_code <> '42P01' -- undefined_table
            then
                perform scooters_router.answer_as_ours(
                    asked.shard, error_code, error_message, error_detail, error_hint
                );
            end if;
        end;
    end loop;
end
$$;

comment on function scooters_router.rows_of(text) is
'The rows of a view in all shards that answer and have it, each with the name of its shard.';

revoke execute on function scooters_router.rows_of(text) from public;
-- The views that call it do so as the user that reads them. Nobody has the right to use
-- the schema, so nobody else can name it.
grant execute on function scooters_router.rows_of(text)
to scooters_ops_analyst, scooters_ops_notifier;
