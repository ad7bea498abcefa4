-- May this notifier ask for the presses of a channel's buttons, and from where on?
-- A right with an end, held in a row: an advisory lock can be taken by anybody who can
-- connect. An end that is too far away was set before the clock was set back.
create or replace function scooters_ops.poll_buttons(
    worker text,
    channel text,
    lease_seconds double precision
)
returns bigint
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
insert into scooters_ops.button_polls as poll (channel, polled_by, polled_until)
values (
    poll_buttons.channel,
    poll_buttons.worker,
    now() + make_interval(secs => lease_seconds)
)
on conflict (channel) do update
set
    polled_by = excluded.polled_by,
    polled_until = excluded.polled_until
where
    poll.polled_by = excluded.polled_by
    or lease_seconds > 0
    and (
        poll.polled_by is null
        or poll.polled_until < now()
        or poll.polled_until > now() + make_interval(secs => 2 * lease_seconds)
    )
returning next_update_id
$$;

comment on function scooters_ops.poll_buttons(text, text, double precision) is
'Takes or renews, for lease_seconds, the right to ask a channel for the presses of its buttons, which one notifier at a time has; 0 gives it back. Returns the id of the update to go on from; null: another notifier has the right.';

revoke execute on function scooters_ops.poll_buttons(text, text, double precision)
from public;
grant execute on function scooters_ops.poll_buttons(text, text, double precision)
to scooters_ops_notifier;
