-- Which silences are over, and which of them is nobody asked about any more?
-- Silences take turns, because a new one may need a key that an old one has used.
create or replace function scooters_ops.prune_silences()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from scooters_ops.silences) then
        return;
    end if;
    lock table scooters_ops.silences in share row exclusive mode;

    perform scooters_ops.forget_match('silence', over.match_id)
    from (
        select known.match_id
        from scooters_ops.compiled_matches as known
        where
            known.scope = 'silence'
            and not exists (
                select
                from scooters_ops.active_silences as active
                where active.silence_id = known.match_id
            )
    ) as over;

    delete from scooters_ops.compiled_keys as asked
    where
        asked.scope = 'silence'
        and not exists (
            select
            from scooters_ops.compiled_terms as term
            where
                term.scope = asked.scope
                and term.key = asked.key
        );

    delete from scooters_ops.silences as over
    using scooters_ops.config_in_force as in_force
    where
        coalesce(over.ended_at, over.ends_at) < now() - in_force.notifications_kept
        and not exists (
            select
            from scooters_ops.notification_recipients as held
            where held.silence_id = over.silence_id
        );
end
$$;

comment on function scooters_ops.prune_silences() is
'Forgets the matches of silences that are over, and deletes those that ended longer ago than retention.notifications_seconds and whose alerts are gone.';

revoke execute on function scooters_ops.prune_silences() from public;
