-- What does each override make of the rules of a timeout type?
create or replace view scooters_ops.override_rules as
select
    match_id,
    type,
    name,
    factor,
    minimum,
    job_eta_seconds,
    default_job_eta,
    binary_factor
from scooters_ops.compiled_overrides;

comment on view scooters_ops.override_rules is
'The overrides of the config in force, one row for each timeout type. What an override does not say is the default''s.';
comment on column scooters_ops.override_rules.match_id is
'Its place among the overrides, from 1: the first whose match holds decides.';
comment on column scooters_ops.override_rules.type is
'timeout_in_point or timeout_between_points.';
comment on column scooters_ops.override_rules.name is
'What views and messages call it.';
comment on column scooters_ops.override_rules.factor is
'How many times its eta an interval may last (a number without unit).';
comment on column scooters_ops.override_rules.minimum is
'No limit is shorter than this (interval).';
comment on column scooters_ops.override_rules.job_eta_seconds is
'Planned time of a job by its type (JSON object of numbers, in seconds), those of the default included; null: the override has no etas of jobs.';
comment on column scooters_ops.override_rules.default_job_eta is
'Planned time of a job whose type has no eta of its own (interval).';
comment on column scooters_ops.override_rules.binary_factor is
'The factor as a double (a number without unit).';

grant select on scooters_ops.override_rules to scooters_ops_analyst;
