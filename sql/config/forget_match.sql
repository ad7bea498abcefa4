-- Which match no longer counts?
create or replace function scooters_ops.forget_match(scope text, match_id bigint)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
delete from scooters_ops.compiled_terms as term
where
    term.scope = forget_match.scope
    and term.match_id = forget_match.match_id;

delete from scooters_ops.compiled_lookups as lookup
where
    lookup.scope = forget_match.scope
    and lookup.match_id = forget_match.match_id;

delete from scooters_ops.compiled_matches as known
where
    known.scope = forget_match.scope
    and known.match_id = forget_match.match_id;
$$;

comment on function scooters_ops.forget_match(text, bigint) is
'Deletes the rows of a match that compile_match() stored.';

revoke execute on function scooters_ops.forget_match(text, bigint) from public;
