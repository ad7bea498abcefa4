-- Which notifiers are there, when did they last report, and what do they hold?
create or replace view scooters_ops.notifier_status as
select
    notifier.name,
    notifier.started_at,
    notifier.seen_at,
    notifier.config_id,
    notifier.version,
    -- abs(): seen_at may be ahead of now if the clock was set back since.
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
'The notifiers that run and, for retention.notifiers_seconds, those that died. A notifier that was stopped is not listed.';
comment on column scooters_ops.notifier_status.name is
'Its name: host, process and a random part. In leases a # and the number of its connection follow.';
comment on column scooters_ops.notifier_status.started_at is
'When it first reported.';
comment on column scooters_ops.notifier_status.seen_at is
'When it last reported; it reports every notifier.poll_seconds.';
comment on column scooters_ops.notifier_status.config_id is
'The config that it uses.';
comment on column scooters_ops.notifier_status.version is
'Its version: the newest migration that it knows.';
comment on column scooters_ops.notifier_status.is_alive is
'Whether it reported within the last notifier.poll_seconds plus lease_seconds. The leases of a dead notifier expire, and another notifier takes them over.';
comment on column scooters_ops.notifier_status.leases is
'How many recipients it has leased (a count).';
comment on column scooters_ops.notifier_status.problem is
'What the database refuses to do for it, while it goes on with its other work; null: nothing.';

grant select on scooters_ops.notifier_status
to scooters_ops_analyst, scooters_ops_notifier;
