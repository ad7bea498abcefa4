-- What does the HTTP face need?
-- The keys by which a repeated event is known again, and totals for graphs that cost
-- nothing to read: of notifications by type, counted when they are planned, so that
-- neither passes nor skip_job ever wait for a counter; of passes, counted by the
-- passes. The config in force knows the new keys from now on, as if it had left them
-- out when it was applied.

create table scooters_ops.event_keys (
    mission_id text collate "C" not null,
    idempotency_key text collate "C" not null,
    event jsonb not null,
    history_id bigint not null,
    created_at timestamptz not null default now(),
    constraint event_keys_pkey primary key (mission_id, idempotency_key),
    constraint event_keys_idempotency_key_check
    check (octet_length(idempotency_key) between 1 and 255)
);

create index event_keys_created_at_idx on scooters_ops.event_keys (created_at);

-- A few rows, hence no key: see its comment.
create table scooters_ops.notification_counts (
    type scooters_ops.monitoring_notification_type not null,
    part int generated always as identity,
    planned bigint not null
);

insert into scooters_ops.notification_counts (type, planned)
select
    type,
    count(*) as planned
from scooters_ops.monitoring_notifications
where planned_at is not null
group by type;

alter table scooters_ops.detection_passes
add column total_elapsed interval not null default '0',
add column total_inserted bigint not null default 0;

update scooters_ops.configs
set
    config = jsonb '{"http": {"token_env": "SCOOTERS_OPS_HTTP_TOKEN"}}' || jsonb_set(
        config,
        '{retention}',
        jsonb '{"idempotency_keys_seconds": 604800}' || (config -> 'retention')
    );

-- What sql/ rebuilds cannot change a function's result.
drop function if exists scooters_ops.lease_deliveries(text, jsonb, double precision);
