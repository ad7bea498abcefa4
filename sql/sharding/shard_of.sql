-- In which shard does this mission live?
-- In the one that PostgreSQL's own hash partitioning chooses, so that functions and
-- partitioned views agree: a test compares it with satisfies_hash_partition(). The
-- number of shards is a power of two, so the lowest bits of the sum decide; the sum of
-- the lowest 30 bits cannot overflow.
create or replace function scooters_router.shard_of(mission_id text)
returns integer
language sql stable
set search_path = pg_catalog, pg_temp
as $$
select
    (
        (hashtextextended(coalesce(mission_id, ''), 8816678312871386365) & 1073741823)
        + (5305509591434766563 & 1073741823)
    )::bigint::bit(30)::bigint::integer
    & ((select count(*)::integer from scooters_router.shards) - 1)
$$;

comment on function scooters_router.shard_of(text) is
'The number of the shard that a mission lives in, from 0.';

revoke execute on function scooters_router.shard_of(text) from public;
