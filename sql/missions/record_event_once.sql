-- How is an event recorded once although its sender repeats the request?
-- The first call with a key records the event and its key in one transaction. A second
-- call at the same time waits for the first at the key's unique index, which only those
-- who may write to the table can lock.
create or replace function scooters_ops.record_event_once(
    mission_id text,
    type text,
    point_id text,
    occurred_at timestamptz,
    idempotency_key text
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    reported_event constant jsonb := jsonb_build_object(
        'type', record_event_once.type,
        'point_id', record_event_once.point_id,
        'occurred_at', extract(epoch from record_event_once.occurred_at)
    );
    known_event jsonb;
    known_history_id bigint;
begin
    if record_event_once.idempotency_key is null then
        return scooters_ops.record_event(
            record_event_once.mission_id,
            record_event_once.type,
            record_event_once.point_id,
            coalesce(record_event_once.occurred_at, now())
        );
    end if;

    -- The caller who inserts the key records the event; any other caller waits here for
    -- that commit. For an unknown mission nothing is inserted, and record_event raises.
    insert into scooters_ops.event_keys (
        mission_id, idempotency_key, event, history_id
    )
    select
        mission_id,
        record_event_once.idempotency_key,
        reported_event,
        0
    from scooters_ops.missions
    where mission_id = record_event_once.mission_id
    on conflict do nothing;
    if not found then
        select
            event,
            history_id
        into known_event, known_history_id
        from scooters_ops.event_keys
        where
            mission_id = record_event_once.mission_id
            and idempotency_key = record_event_once.idempotency_key;
        if known_event <> reported_event then
            raise exception using
                errcode = 'invalid_parameter_value',
                message = format(
                    'mission "%s": idempotency key "%s" was used for another event',
                    record_event_once.mission_id,
                    record_event_once.idempotency_key
                );
        end if;
        if known_event is not null then
            return known_history_id;
        end if;
    end if;

    known_history_id := scooters_ops.record_event(
        record_event_once.mission_id,
        record_event_once.type,
        record_event_once.point_id,
        coalesce(record_event_once.occurred_at, now())
    );
    update scooters_ops.event_keys
    set history_id = known_history_id
    where
        mission_id = record_event_once.mission_id
        and idempotency_key = record_event_once.idempotency_key;
    return known_history_id;
end
$$;

comment on function scooters_ops.record_event_once(text, text, text, timestamptz, text) is
'Calls record_event at most once for each idempotency_key of a mission; a repeated call returns the history_id of the first, for retention.idempotency_keys_seconds. occurred_at null: now. idempotency_key null: the same as record_event. SQLSTATE 22023: the key was used for another event. Also raises what record_event raises.';

revoke execute on function
scooters_ops.record_event_once(text, text, text, timestamptz, text) from public;
grant execute on function
scooters_ops.record_event_once(text, text, text, timestamptz, text)
to scooters_ops_writer;
