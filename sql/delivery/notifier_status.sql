-- Which notifiers are there, when were they last seen, and what do they hold?
create or replace view scooters_ops.notifier_status as
select
    notifier.name,
    notifier.started_at,
    notifier.seen_at,
    notifier.config_id,
    notifier.version,
    -- Seen ahead of now: by a clock that has been set back since.
    abs(extract(epoch from now() - notifier.seen_at)) <= (
        select extract(epoch from in_force.notifier_missing_after)
        from scooters_ops.config_in_force as in_force
    ) as is_alive,
    (
        select count(*)
        from scooters_ops.notification_recipients as leased
        where
            leased.state = 'sending'
            and split_part(leased.leased_by, '#', 1) = notifier.name
    ) as leases,
    notifier.problem
from scooters_ops.notifiers as notifier;

comment on view scooters_ops.notifier_status is
'The notifiers that run, and for retention.notifiers_seconds those that died. One that was stopped is not here.';
comment on column scooters_ops.notifier_status.name is
'Its name: host, process and a random part. In leases the number of its connection follows, after a #.';
comment on column scooters_ops.notifier_status.started_at is
'When it was first seen.';
comment on column scooters_ops.notifier_status.seen_at is
'When it was last seen; it says so each notifier.poll_seconds.';
comment on column scooters_ops.notifier_status.config_id is
'The config that it follows.';
comment on column scooters_ops.notifier_status.version is
'Its version: the newest migration that it knows.';
comment on column scooters_ops.notifier_status.is_alive is
'Whether it was seen within notifier.poll_seconds and lease_seconds together. What a dead one holds comes back by itself.';
comment on column scooters_ops.notifier_status.leases is
'How many recipients it is sending to (a count).';
comment on column scooters_ops.notifier_status.problem is
'What the database refuses to it, while it goes on with the rest; null: nothing.';

grant select on scooters_ops.notifier_status
to scooters_ops_analyst, scooters_ops_notifier;
