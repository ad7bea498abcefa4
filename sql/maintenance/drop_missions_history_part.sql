-- How is an old part of missions_history dropped?
-- psql -X -v part=NAME -f sql/maintenance/drop_missions_history_part.sql
-- The script refuses if detection still needs the part: each mission with an event in
-- it must be over and have no event that may still be news (one newer than
-- notify_within_seconds or, if config sets no such bound, one outside this part).
-- If it ends with a lock timeout, nothing has changed: run it again.
\set ON_ERROR_STOP on
\set QUIET on

begin;

-- Shorter than deadlock_timeout: in a deadlock this transaction gives up first.
set local lock_timeout = '500ms';

select
    format(
        'create temporary view old_part as table scooters_ops.%I', :'part'
    ) as command
\gexec
select set_config('scooters_ops.old_part', :'part', true) as old_part
\gset

do $$
declare
    old_part constant regclass := format(
        'scooters_ops.%I', current_setting('scooters_ops.old_part')
    )::regclass;
    needed_count bigint;
    needed_mission_id text;
begin
    if
        not exists (
            select
            from pg_catalog.pg_inherits
            where
                inhrelid = old_part
                and inhparent = 'scooters_ops.missions_history'::regclass
        )
    then
        raise exception '% is not a part of missions_history', old_part;
    end if;

    select
        count(*),
        min(mission.mission_id)
    into
        needed_count,
        needed_mission_id
    from scooters_ops.missions as mission
    left join scooters_ops.config_in_force as config on true
    where
        mission.mission_id in (select mission_id from pg_temp.old_part)
        and (
            mission.status in ('created', 'active')
            or exists (
                select
                from scooters_ops.missions_history as event
                where
                    event.mission_id = mission.mission_id
                    and case
                        when config.notify_within is null then event.tableoid <> old_part
                        else event.occurred_at >= now() - config.notify_within
                    end
            )
        );
    if needed_count > 0 then
        raise exception using
            message = format(
                '%s is still needed, for example by mission %s (%s missions in all)',
                old_part,
                needed_mission_id,
                needed_count
            ),
            hint = 'They are not over, or one of their events may still be news.';
    end if;
end
$$;

drop view pg_temp.old_part;

select format('drop table scooters_ops.%I', :'part') as command
\gexec

commit;
