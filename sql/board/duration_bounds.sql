-- Up to how long do the buckets of the metrics' histograms reach?
-- A pass every 10 s and a notifier that polls every 5 s show in the first ones, the
-- defaults of detection.stalled_after_seconds (180) and notifier.stuck_after_seconds
-- (300) are bounds, and people answer within minutes to hours.
create or replace function scooters_ops.duration_bounds()
returns double precision[]
language sql immutable parallel safe
return array[5, 10, 30, 60, 180, 300, 900, 1800, 3600, 7200, 14400, 86400];

comment on function scooters_ops.duration_bounds() is
'The upper bounds of the buckets of the histograms in metrics (seconds), rising. One bucket more has no bound.';

revoke execute on function scooters_ops.duration_bounds() from public;
grant execute on function scooters_ops.duration_bounds()
to scooters_ops_analyst, scooters_ops_notifier;
