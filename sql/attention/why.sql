-- Why was each interval and skip of this mission reported, or not?
create or replace function scooters_ops.why(mission_id text)
returns table (
    started_at timestamptz,
    point_id text,
    type scooters_ops.monitoring_notification_type,
    question text,
    answer text,
    because text
)
language plpgsql stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if
        not exists (
            select
            from scooters_ops.missions as mission
            where mission.mission_id = why.mission_id
        )
        and not exists (
            select
            from scooters_ops.monitoring_notifications as kept
            where kept.mission_id = why.mission_id
        )
    then
        raise exception using
            errcode = 'no_data_found',
            message = case
                when why.mission_id is null then 'mission_id: must not be null'
                else format('no mission "%s"', why.mission_id)
            end;
    end if;

    return query
    select
        found.started_at,
        found.point_id,
        found.type,
        found.question,
        found.answer,
        scooters_ops.why_sentence(
            listed.sentence,
            found.facts,
            coalesce(
                (
                    select in_force.config #>> '{notifier,time_zone}'
                    from scooters_ops.config_in_force as in_force
                ),
                'UTC'
            )
        )
    from scooters_ops.why_facts(why.mission_id) as found
    inner join scooters_ops.why_sentences() as listed using (reason)
    order by found.subject, found.n;
end
$$;

comment on function scooters_ops.why(text) is
'Each interval and skip of this mission, in the order of time, and question by question why it was reported or was not, and what came of it. docs/analyst.md lists the questions and their answers. What was not told ends with its one answer no. SQLSTATE P0002: no such mission.';

revoke execute on function scooters_ops.why(text) from public;
grant execute on function scooters_ops.why(text) to scooters_ops_analyst;
