-- How does somebody end a silence early?
-- What it held goes out now, unless another silence holds it.
create or replace function scooters_ops.unsilence(
    silence_id bigint,
    by text default session_user
)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
    is_over boolean;
begin
    perform scooters_ops.require_name(by, 'who ends the silence');

    lock table scooters_ops.silences in share row exclusive mode;
    select known.ended_at is not null or known.ends_at <= now()
    into is_over
    from scooters_ops.silences as known
    where known.silence_id = unsilence.silence_id;

    if not found then
        raise exception using
            errcode = 'no_data_found',
            message = format('no silence %s', coalesce(silence_id::text, 'null'));
    elsif is_over then
        return false;
    end if;

    update scooters_ops.silences as ended
    set
        ended_at = now(),
        ended_by = btrim(by)
    where ended.silence_id = unsilence.silence_id;
    perform scooters_ops.forget_match('silence', silence_id);

    perform scooters_ops.hold_alerts(
        array(
            select distinct held.notification_id
            from scooters_ops.notification_recipients as held
            where
                held.silence_id = unsilence.silence_id
                and held.state = 'pending'
        )
    );
    notify scooters_ops;
    return true;
end
$$;

comment on function scooters_ops.unsilence(bigint, text) is
'Ends a silence early: what it held goes out now, unless another silence holds it. True the first time, false when the silence is over already. SQLSTATE P0002: no such silence; 22004: no name; 22001: the name is too long.';

revoke execute on function scooters_ops.unsilence(bigint, text) from public;
grant execute on function scooters_ops.unsilence(bigint, text)
to scooters_ops_operator;
