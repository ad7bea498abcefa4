-- Which number does a silence get that is made through the router?
-- One for all shards. Silences that are made in a shard itself have smaller ones.
create sequence if not exists scooters_router.silence_numbers
minvalue 1099511627776; -- 2 ^ 40

-- The shards may have silences of an earlier router.
create or replace function scooters_router.newest_silence(in_shard integer)
returns bigint
language plproxy
as $$
cluster scooters_router.cluster_of(in_shard);
run on 0;
select max(silence_id) from scooters_ops.silences;
$$;

comment on function scooters_router.newest_silence(integer) is
'The highest number of a silence in one shard; null: it has none.';

revoke execute on function scooters_router.newest_silence(integer) from public;

-- Only shards' owners may call place_silence, and the router logs in as the owner.
create or replace function scooters_router.place_silence(
    in_shard integer,
    silence_id bigint,
    match jsonb,
    duration interval,
    comment text,
    by text
)
returns bigint
language plproxy
as $$
cluster scooters_router.cluster_of(in_shard);
run on 0;
select scooters_ops.place_silence($2, $3, $4, $5, $6);
$$;

comment on function scooters_router.place_silence(
    integer, bigint, jsonb, interval, text, text
) is
'Makes a silence with this number in one shard.';

revoke execute on function scooters_router.place_silence(
    integer, bigint, jsonb, interval, text, text
) from public;
