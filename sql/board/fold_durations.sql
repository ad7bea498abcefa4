-- How many durations of each kind were there so far?
-- It takes what was appended and committed until now, and waits for nobody: rows that
-- are appended meanwhile stay for the next call. A reader of both tables counts each
-- duration once, in whichever table its snapshot shows it.
create or replace function scooters_ops.fold_durations()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
as $$
begin
    with taken as (
        delete from scooters_ops.new_durations
        returning
            stage,
            type,
            coalesce(late_because, '') as late_because,
            duration
    )

    insert into scooters_ops.duration_totals as known (
        stage, type, late_because, le, durations, total
    )
    select
        taken.stage,
        taken.type,
        taken.late_because,
        bucket.le,
        count(*),
        sum(taken.duration)
    from taken
    cross join lateral (
        select coalesce(min(bound.le), 'infinity') as le
        from unnest(scooters_ops.duration_bounds()) as bound (le)
        where extract(epoch from taken.duration) <= bound.le
    ) as bucket
    group by taken.stage, taken.type, taken.late_because, bucket.le
    on conflict (stage, type, late_because, le) do update
    set
        durations = known.durations + excluded.durations,
        total = known.total + excluded.total;
end
$$;

comment on function scooters_ops.fold_durations() is
'Adds new_durations to duration_totals and empties it. The caller holds the detection lock.';

revoke execute on function scooters_ops.fold_durations() from public;
