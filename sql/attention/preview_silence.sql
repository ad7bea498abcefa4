-- What would a silence have held in the last day?
-- The match is compiled for this question and forgotten again by a rollback.
create or replace function scooters_ops.preview_silence(
    match jsonb,
    duration interval default '1 hour'
)
returns table (
    idempotency_token text,
    type scooters_ops.monitoring_notification_type,
    mission_id text,
    created_at timestamptz,
    held interval,
    would_be_told boolean
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
    scope constant text := 'preview ' || pg_backend_pid();
    looked_back constant interval := interval '1 day';
    matching_ids bigint[];
begin
    perform scooters_ops.require_silence(match, duration);

    begin
        perform scooters_ops.compile_match(scope, 0, match);
        matching_ids := array(
            select latest.notification_id
            from (
                select *
                from scooters_ops.monitoring_notifications
                order by notification_id desc
                limit scooters_ops.counting_limit()
            ) as latest
            where
                latest.created_at > now() - looked_back
                and latest.type::text <> 'test'
                and 0 in (
                    select matching.match_id
                    from scooters_ops.matches_for(
                        scope,
                        scooters_ops.match_facts(
                            latest::scooters_ops.monitoring_notifications
                        ),
                        latest.created_at
                    ) as matching (match_id)
                )
        );
        raise exception using errcode = 'SP001', message = 'forget the match again';
    exception
        when sqlstate 'SP001' then null;
    end;

    return query
    select
        notification.idempotency_token,
        notification.type,
        notification.mission_id,
        notification.created_at,
        case when outcome.is_told then duration else outcome.resolved_after end,
        outcome.is_told
    from scooters_ops.monitoring_notifications as notification
    cross join lateral (
        select
            greatest(notification.resolved_at - notification.created_at, '0')
                as resolved_after,
            coalesce(
                notification.resolved_at - notification.created_at > duration, true
            ) as is_told
    ) as outcome
    where notification.notification_id = any(matching_ids)
    order by notification.notification_id;
end
$$;

comment on function scooters_ops.preview_silence(jsonb, interval) is
'The notifications of the last day (of the last counting_limit() ones) whose alerts a silence with this match would have held, had it begun with each of them and lasted for this duration: held is for how long (interval), would_be_told whether the alert would have gone out then (false: it was resolved by then). It changes nothing. SQLSTATE 22023 (null: 22004): a match or a duration that no silence may have.';

revoke execute on function scooters_ops.preview_silence(jsonb, interval) from public;
grant execute on function scooters_ops.preview_silence(jsonb, interval)
to scooters_ops_operator;
