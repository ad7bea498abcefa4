-- Which part of a config decides what passes report of an interval?
-- Calendars count where overrides name them. What stored configs of earlier versions do
-- not have yet is the default.
create or replace function scooters_ops.judging_part(config jsonb)
returns jsonb
language sql immutable parallel safe
begin atomic -- noqa: disable=all
select jsonb_build_array(
    judging_part.config #> '{detection,enabled}',
    judging_part.config #> '{detection,timeouts}',
    judging_part.config #> '{detection,job_eta_seconds}',
    judging_part.config #> '{detection,default_job_eta_seconds}',
    judging_part.config #> '{detection,notify_within_seconds}',
    coalesce(judging_part.config #> '{detection,overrides}', '[]'),
    case
        when jsonb_path_exists(judging_part.config, '$.detection.overrides[*].match.at')
            then jsonb_build_array(
                judging_part.config -> 'calendars',
                judging_part.config #> '{notifier,time_zone}'
            )
    end
);
end; -- noqa: enable=all

comment on function scooters_ops.judging_part(jsonb) is
'What decides in a config with its defaults which intervals passes report (JSON): two configs with the same judge the same.';

revoke execute on function scooters_ops.judging_part(jsonb) from public;
