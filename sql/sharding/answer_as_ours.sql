-- What do callers see of an error that a shard raised, or of a shard that is away?
-- An error of ours keeps its SQLSTATE and its words: PL/Proxy puts the function and the
-- shard before the message, and "Remote detail" and "Remote hint" before the rest.
-- Everything else means that the shard gave no answer: is_answer() says which is which.
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
    our_message constant text := substring(message from 'REMOTE ERROR: (.*)$');
    our_detail constant text := regexp_replace(detail, '^Remote detail: ', '');
    our_hint constant text := regexp_replace(hint, '^Remote hint: ', '');
    -- PL/Proxy drops these fields, and the HTTP API reads them.
    our_constraint constant text[] := regexp_match(
        our_message, '^new row for relation "(.*)" violates check constraint "(.*)"$'
    );
begin
    case
        when not scooters_router.is_answer(code, message)
            then raise exception using
                errcode = 'connection_failure',
                message = format(
                    'shard %s gives no answer', scooters_router.shard_name(failed_shard)
                ),
                detail = message;
        when code = '23514' and our_constraint[2] is not null -- check_violation
            then raise exception using
                errcode = code,
                message = our_message,
                detail = coalesce(our_detail, ''),
                schema = 'scooters_ops',
                table = our_constraint[1],
                constraint = our_constraint[2];
        when our_hint <> '' and our_detail <> ''
            then raise exception using
                errcode = code,
                message = our_message,
                detail = our_detail,
                hint = our_hint;
        when our_hint <> ''
            then raise exception using
                errcode = code, message = our_message, hint = our_hint;
        when our_detail <> ''
            then raise exception using
                errcode = code, message = our_message, detail = our_detail;
        else raise exception using errcode = code, message = our_message;
    end case;
end
$$;

comment on function scooters_router.answer_as_ours(integer, text, text, text, text) is
'Raises a shard''s error as the shard raised it. SQLSTATE 08006: the shard gives no answer.';

revoke execute on function
scooters_router.answer_as_ours(integer, text, text, text, text) from public;
