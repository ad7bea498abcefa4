-- How is a mission woken whose rows were written without firing triggers?
-- That is what a logical subscription or session_replication_role = replica does.
-- Two forms: by mission_id, and by time.
create or replace function scooters_ops.wake_missions(mission_ids text[])
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    woken_count bigint;
begin
    insert into scooters_ops.mission_wakeups (mission_id, due_at)
    select
        mission.mission_id,
        '-infinity'
    from scooters_ops.missions as mission
    where mission.mission_id = any(wake_missions.mission_ids);

    get diagnostics woken_count = row_count;
    return woken_count;
end
$$;

comment on function scooters_ops.wake_missions(text[]) is
'Makes the next pass look at these missions again; returns how many of them exist. For rows that were written without firing triggers; otherwise harmless.';

revoke execute on function scooters_ops.wake_missions(text[]) from public;
grant execute on function scooters_ops.wake_missions(text[]) to scooters_ops_operator;

create or replace function scooters_ops.wake_missions(
    since timestamptz,
    until timestamptz
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if since is null or until is null then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'since and until must not be null; -infinity and infinity are allowed';
    end if;
    return scooters_ops.wake_missions(
        array(
            select event.mission_id
            from scooters_ops.missions_history as event
            where
                event.occurred_at >= since
                and event.occurred_at < until
            union
            select mission.mission_id
            from scooters_ops.missions as mission
            where
                mission.created_at >= since
                and mission.created_at < until
        )
    );
end
$$;

comment on function scooters_ops.wake_missions(timestamptz, timestamptz) is
'Makes the next pass look again at each mission that was created, or has an event that occurred, at or after since and before until; returns how many. When the rows arrived does not matter. Reads the whole missions table. SQLSTATE 22023: since or until is null.';

revoke execute on function
scooters_ops.wake_missions(timestamptz, timestamptz) from public;
grant execute on function
scooters_ops.wake_missions(timestamptz, timestamptz) to scooters_ops_operator;
