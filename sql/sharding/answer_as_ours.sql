-- What do callers see of an error that a shard raised, or of a shard that is away?
-- An error of ours keeps its SQLSTATE and its words: PL/Proxy puts the function and the
-- shard before them. Everything else means that the shard gave no answer.
create or replace function scooters_router.answer_as_ours(
    failed_shard integer,
    code text,
    message text,
    detail text,
    hint text
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    ours constant text := substring(message from 'REMOTE ERROR: (.*)$');
begin
    case
        when ours is null
            then raise exception using
                errcode = 'connection_failure',
                message = format(
                    'shard %s gives no answer', scooters_router.shard_name(failed_shard)
                ),
                detail = message;
        when hint <> ''
            then raise exception using
                errcode = code,
                message = ours,
                detail = detail,
                hint = hint;
        when detail <> ''
            then raise exception using errcode = code, message = ours, detail = detail;
        else raise exception using errcode = code, message = ours;
    end case;
end
$$;

comment on function scooters_router.answer_as_ours(integer, text, text, text, text) is
'Raises a shard''s error as the shard raised it. SQLSTATE 08006: the shard gives no answer.';

revoke execute on function
scooters_router.answer_as_ours(integer, text, text, text, text) from public;
