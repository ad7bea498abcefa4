-- What happens when the mission service reports an event?
create or replace function scooters_ops.record_event(
    mission_id text,
    type text,
    point_id text default null,
    occurred_at timestamptz default now()
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    new_history_id bigint;
begin
    if not exists (
        select
        from scooters_ops.missions
        where mission_id = record_event.mission_id
    ) then
        raise exception using
            errcode = 'no_data_found',
            message = format('no mission "%s"', record_event.mission_id);
    end if;
    if coalesce(record_event.type, '') = '' then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('mission "%s": an event needs a type', record_event.mission_id);
    end if;
    if octet_length(record_event.type) > 255 then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                'mission "%s": type: must have 255 bytes or less', record_event.mission_id
            );
    end if;
    if
        record_event.type = any(scooters_ops.point_event_types())
        and record_event.point_id is null
    then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                'mission "%s": %s needs a point_id',
                record_event.mission_id,
                record_event.type
            );
    end if;
    if
        record_event.type = any(
            scooters_ops.mission_start_types() || scooters_ops.mission_end_types()
        )
        and record_event.point_id is not null
    then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                'mission "%s": %s concerns the whole mission and takes no point_id ("%s")',
                record_event.mission_id,
                record_event.type,
                record_event.point_id
            );
    end if;
    if
        record_event.point_id is not null
        and not exists (
            select
            from scooters_ops.mission_points
            where
                mission_id = record_event.mission_id
                and point_id = record_event.point_id
        )
    then
        raise exception using
            errcode = 'no_data_found',
            message = format(
                'mission "%s" has no point "%s"',
                record_event.mission_id,
                record_event.point_id
            );
    end if;
    if
        record_event.occurred_at is null
        or record_event.occurred_at < timestamptz '1970-01-01 00:00:00+00'
        or record_event.occurred_at >= timestamptz '10000-01-01 00:00:00+00'
    then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                'mission "%s": occurred_at must be from 1970 to 9999, not %s',
                record_event.mission_id,
                coalesce(record_event.occurred_at::text, 'null')
            );
    end if;

    insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
    values (
        record_event.mission_id,
        record_event.point_id,
        record_event.type,
        record_event.occurred_at
    )
    returning history_id into new_history_id;

    if record_event.type = any(scooters_ops.mission_start_types()) then
        update scooters_ops.missions
        set status = 'active'
        where
            mission_id = record_event.mission_id
            and status = 'created';
    elsif record_event.type = any(scooters_ops.mission_end_types()) then
        perform scooters_ops.update_mission_status(array[record_event.mission_id]);
    end if;
    return new_history_id;
end
$$;

comment on function scooters_ops.record_event(text, text, text, timestamptz) is
'Appends an event to missions_history and returns its history_id. Updates the mission''s status: active when it starts, completed or cancelled by the earliest event that ends it. Not idempotent, which does no harm: only the earliest of repeated events counts. SQLSTATE P0002: unknown mission or point. SQLSTATE 22023: a type that is missing or longer than 255 bytes, a point_id that is missing or not allowed, an occurred_at out of range. opens_or_closes_interval() tells whether a type counts.';

revoke execute on function scooters_ops.record_event(text, text, text, timestamptz)
from public;
grant execute on function scooters_ops.record_event(text, text, text, timestamptz)
to scooters_ops_writer;
