-- What happens to a row that is too large and is written to a table directly?
create or replace function scooters_ops.refuse_oversized()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception using
        errcode = 'invalid_parameter_value',
        message = format(
            'mission "%s": %s.%s %s',
            left(new.mission_id, 255),
            tg_table_name,
            tg_argv[0],
            tg_argv[1]
        );
end
$$;

comment on function scooters_ops.refuse_oversized() is
'Trigger: refuses the row. SQLSTATE 22023: names its mission, the column (first argument) and the limit (second argument).';

revoke execute on function scooters_ops.refuse_oversized() from public;

-- Which rows are too large? The limits are those of mission_schema() and record_event.
-- Triggers rather than check constraints: a constraint would refuse every later update
-- of a row that is older than itself, and that mission could never end.
create or replace trigger refuse_oversized_performer
after insert or update of performer_id on scooters_ops.missions
for each row when (octet_length(new.performer_id) > 255)
execute function scooters_ops.refuse_oversized(
    'performer_id', 'must have 255 bytes or less'
);

create or replace trigger refuse_oversized_attributes
after insert or update of attributes on scooters_ops.missions
for each row when (octet_length(new.attributes::text) > 65536)
execute function scooters_ops.refuse_oversized(
    'attributes', 'must have 65536 bytes or less'
);

create or replace trigger refuse_deep_attributes
after insert or update of attributes on scooters_ops.missions
for each row when (
    jsonb_path_exists(
        new.attributes,
        'strict $.**{32} ? (@.type() == "object" || @.type() == "array")'
    )
)
execute function scooters_ops.refuse_oversized(
    'attributes', 'must be nested 32 deep or less'
);

create or replace trigger refuse_oversized_job_type
after insert or update of type on scooters_ops.mission_jobs
for each row when (octet_length(new.type) > 255)
execute function scooters_ops.refuse_oversized('type', 'must have 255 bytes or less');

create or replace trigger refuse_oversized_event_type
after insert or update of type on scooters_ops.missions_history
for each row when (octet_length(new.type) > 255)
execute function scooters_ops.refuse_oversized('type', 'must have 255 bytes or less');
