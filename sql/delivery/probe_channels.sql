-- Does a paused channel accept us again? The next message is the probe.
create or replace function scooters_ops.probe_channels(channels text[])
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

comment on function scooters_ops.probe_channels(text[]) is
'Ends the hold of these channels if they are paused, so that the next message probes them: a notifier that starts may have a new token.';

revoke execute on function scooters_ops.probe_channels(text[]) from public;
grant execute on function scooters_ops.probe_channels(text[])
to scooters_ops_notifier;
