-- By which index are the wake-ups of given missions taken?
-- "Look now" is left out of it by a predicate that no other index can answer: by a
-- range of due_at, and statistics from a moment when everything was due, a pass would
-- compare every wake-up of the fleet with its list of missions.
drop index scooters_ops.mission_wakeups_mission_id_idx;

create index mission_wakeups_mission_id_idx
on scooters_ops.mission_wakeups (mission_id)
where due_at <> '-infinity';
