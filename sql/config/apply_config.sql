-- What happens when a config is applied?
-- It is validated against the schema that notifier/config/models.py generates, and
-- stored beside all earlier configs. If it can change what a pass finds, it wakes the
-- missions concerned: those with an open interval, and those that can get one.
create or replace function scooters_ops.apply_config(
    config jsonb,
    comment text default null,
    expected_config_id bigint default null
)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    -- These keys do not change what a pass finds.
    scheduling_keys constant text[] := array[
        'schedule', 'batch_size', 'stalled_after_seconds', 'silent_input_after_seconds'
    ];
    checked jsonb;
    problem text;
    before scooters_ops.config_in_force;
    new_config_id bigint;
begin
    perform scooters_ops.require_config_comment(comment);
    checked := scooters_ops.checked_config(config);

    -- Those who apply configs take turns.
    lock table scooters_ops.compiled_config in share row exclusive mode;
    select * into before from scooters_ops.config_in_force;
    if before.config = checked then
        return before.config_id;
    end if;
    perform scooters_ops.require_config_in_force(expected_config_id);

    -- Only if they changed: reading all time zones takes a tenth of a second.
    if
        (checked -> 'calendars', checked #> '{notifier,time_zone}')
        is distinct from (before.config -> 'calendars', before.config #> '{notifier,time_zone}')
    then
        problem := scooters_ops.time_zone_problem(checked);
        if problem is not null then
            raise exception using
                errcode = 'invalid_parameter_value',
                message = problem;
        end if;
    end if;

    insert into scooters_ops.configs (config, comment)
    values (checked, nullif(btrim(comment), ''))
    returning config_id into new_config_id;

    -- Release paused channels: the new config may have fixed the cause.
    insert into scooters_ops.delivery_targets as known (channel, address)
    select
        channel.key,
        ''
    from jsonb_each(checked -> 'channels') as channel
    where channel.value <> 'null'
    order by channel.key
    on conflict (address, channel) do update
    set
        failures = 0,
        held_until = null
    where known.failures > 0;

    if
        (before.config -> 'detection') - scheduling_keys
        is distinct from (checked -> 'detection') - scheduling_keys
        or (
            checked #> '{detection,overrides}' <> '[]'
            and (before.config -> 'calendars', before.config #> '{notifier,time_zone}')
            is distinct from (checked -> 'calendars', checked #> '{notifier,time_zone}')
        )
    then
        perform scooters_ops.wake_missions_under_way();
    end if;

    notify scooters_ops;
    return new_config_id;
end
$$;

comment on function scooters_ops.apply_config(jsonb, text, bigint) is
'Validates a config (JSON, see config.schema.json) and stores it, with a comment that says why (null: none); it takes effect with the next pass. Returns its config_id, or the current one if nothing changed. expected_config_id: the config that was read before this one was written; null: any. SQLSTATE 22023: names the path of the first bad key; 22001: the comment is too long; 55000: the expected config is no longer in force, the error names who applied which config when. Nothing is changed then.';

revoke execute on function scooters_ops.apply_config(jsonb, text, bigint) from public;
