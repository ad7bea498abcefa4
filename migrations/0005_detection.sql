-- What does detection ask now?
-- mission_intervals_of has a third parameter, which says openly that all missions are
-- meant: what sql/ rebuilds cannot change its parameters.
drop function if exists scooters_ops.mission_intervals_of(text[], timestamptz);
