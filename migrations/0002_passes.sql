-- What do passes leave, and how is the table of wake-ups kept small?
-- Each pass tells how many missions it left for the next one. Wake-ups come and go by
-- the thousand while the table stays small: autovacuum looks at their number and not
-- at their share of the table, so that a pass never wades through dead ones. It never
-- cuts the file's end off, since for that it would lock out writers for a moment; the
-- room is used again instead.

alter table scooters_ops.detection_passes
add column still_due int not null default 0;

create index detection_passes_started_at_idx
on scooters_ops.detection_passes (started_at);

-- "Look now" is found by its moment alone, so that writers need not keep it in a second
-- index: each entry would cost them a tenth of their rate.
drop index scooters_ops.mission_wakeups_mission_id_idx;

create index mission_wakeups_mission_id_idx
on scooters_ops.mission_wakeups (mission_id)
where due_at > '-infinity';

alter table scooters_ops.mission_wakeups set (
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_analyze_threshold = 5000,
    autovacuum_analyze_scale_factor = 0,
    vacuum_truncate = false
);

-- The config in force knows the size of a pass from now on, as if it had left the new
-- key out when it was applied.
update scooters_ops.configs
set config = jsonb_set(config, '{detection,batch_size}', '5000')
where not config -> 'detection' ? 'batch_size';

-- It returns a set from now on; sql/ makes it anew.
drop function if exists scooters_ops.mission_facts(text, text);
