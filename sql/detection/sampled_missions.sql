-- Which missions under way does one check look at?
-- Random ones, so that repeated checks reach all of them. It reads random pages of the
-- table. If these hold too few missions under way, it adds those that follow each by
-- mission_id.
create or replace function scooters_ops.sampled_missions(sample_size integer)
returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set max_parallel_workers_per_gather = 0
set jit = off
as $$
declare
    page_share constant double precision := least(
        100,
        -- 20 pages of the table, in percent.
        100 * 20 * current_setting('block_size')::double precision
        / greatest(pg_relation_size('scooters_ops.missions'), 1)
    );
begin
    return array(
        with found as (
            select
                mission.mission_id,
                rank() over (
                    order by mission.status in ('created', 'active') desc
                ) as preference
            from scooters_ops.missions as mission tablesample system (page_share)
        ),

        preferred as (
            select
                found.mission_id,
                count(*) over () as starts
            from found
            where found.preference = 1
            order by random()
            limit sample_size
        )

        select nearby.mission_id
        from preferred
        cross join lateral (
            select mission.mission_id
            from scooters_ops.missions as mission
            where
                mission.status in ('created', 'active')
                and mission.mission_id >= preferred.mission_id
            order by mission.mission_id
            limit (sample_size + preferred.starts - 1) / preferred.starts
        ) as nearby
        group by nearby.mission_id
        limit sample_size
    );
end
$$;

comment on function scooters_ops.sampled_missions(integer) is
'The mission_ids of at most sample_size random missions that are created or active.';

revoke execute on function scooters_ops.sampled_missions(integer) from public;
