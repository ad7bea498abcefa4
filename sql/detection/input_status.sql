-- Do events still come, or has the mission service stopped writing?
--
-- When nobody's events come while missions are active, the mission service or its
-- connection to this database is broken, not the couriers. The history has no time of
-- insertion, so the newest occurred_at of the events that arrived last counts: of a
-- thousand, because a phone that was offline reports its old events all at once. What
-- carries a time in the future counts once its time has come.
--
-- Missions are active while they have an open interval. It must be older than the
-- silence may be, because an event of today may be the first after a quiet night. A
-- mission that had stood still for notify_within_seconds when the newest event happened
-- was abandoned; without that, it would be missed every night.
-- missions_waiting explains the settings.
create or replace function scooters_ops.input_status(as_of timestamptz default now())
returns table (
    newest_event_at timestamptz,
    silent_after interval,
    is_silent boolean
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set max_parallel_workers_per_gather = 0
set jit = off
as $$
#variable_conflict use_variable
declare
    latest_events constant integer := 1000;
    is_enabled boolean;
    notify_within interval;
begin
    select
        config.detection_enabled,
        config.notify_within,
        make_interval(
            secs => (
                config.config #>> '{detection,silent_input_after_seconds}'
            )::double precision
        )
    into is_enabled, notify_within, silent_after
    from scooters_ops.config_in_force as config;

    select max(latest.occurred_at)
    into newest_event_at
    from (
        select event.occurred_at
        from scooters_ops.missions_history as event
        order by event.history_id desc
        limit latest_events
    ) as latest
    where latest.occurred_at <= as_of;

    is_silent := coalesce(is_enabled and newest_event_at < as_of - silent_after, false);
    if is_silent then
        is_silent := exists (
            select
            from (
                select
                    recorded.mission_id,
                    recorded.started_at
                from scooters_ops.recorded_intervals as recorded
                where recorded.finished_at is null
                order by recorded.deadline, recorded.mission_id
                limit scooters_ops.counting_limit()
            ) as open_interval
            inner join scooters_ops.missions as mission
                on open_interval.mission_id = mission.mission_id
            where
                mission.status = 'active'
                and open_interval.started_at < as_of - silent_after
                and (
                    notify_within is null
                    or open_interval.started_at > newest_event_at - notify_within
                )
        );
    end if;
    return next;
end
$$;

comment on function scooters_ops.input_status(timestamptz) is
'Whether events still come, as the view input_status says; as_of: as if it were that time.';

revoke execute on function scooters_ops.input_status(timestamptz) from public;
grant execute on function scooters_ops.input_status(timestamptz)
to scooters_ops_analyst, scooters_ops_notifier;

create or replace view scooters_ops.input_status as
select
    input.newest_event_at,
    input.silent_after,
    input.is_silent,
    '{}'::text[] as silent_shards
from scooters_ops.input_status() as input;

comment on view scooters_ops.input_status is
'One row: whether events still come, or the mission service has stopped writing them.';
comment on column scooters_ops.input_status.newest_event_at is
'The newest occurred_at that is not in the future, of the 1,000 events that arrived last, whatever their type; null: there is none.';
comment on column scooters_ops.input_status.silent_after is
'detection.silent_input_after_seconds (interval); null: off, and is_silent is always false.';
comment on column scooters_ops.input_status.is_silent is
'Whether the newest event is older than that although missions are active: they have an open interval that is older too, but did not stand still for detection.notify_within_seconds before the newest event.';
comment on column scooters_ops.input_status.silent_shards is
'On a router: the shards (an array of text) that are silent while others get events; empty if all are silent, or none is, or this is no router.';

grant select on scooters_ops.input_status
to scooters_ops_analyst, scooters_ops_notifier;
