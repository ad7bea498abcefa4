-- Does what a channel refused us for still hold? The next message will tell.
create or replace function scooters_ops.resume_channels(channels text[])
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
update scooters_ops.delivery_targets
set held_until = now()
where
    channel = any(channels)
    and address = ''
    and held_until > now()
$$;

comment on function scooters_ops.resume_channels(text[]) is
'Lets these channels be probed at once if they are paused: a notifier that starts may have a new token.';

revoke execute on function scooters_ops.resume_channels(text[]) from public;
grant execute on function scooters_ops.resume_channels(text[])
to scooters_ops_notifier;
