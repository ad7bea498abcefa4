-- What does a router keep? Where its shards are, and what they look like.
create schema if not exists scooters_ops;
create schema if not exists scooters_router;

-- name: how messages and the board call it.
create table if not exists scooters_router.shards (
    shard integer not null,
    name text collate "C" not null,
    constraint shards_pkey primary key (shard),
    -- Names may change places when shards move.
    constraint shards_name_key unique (name) deferrable initially deferred
);

comment on schema scooters_router is
'What stands behind the functions and views of scooters_ops in a router: nothing in it is for users.';
comment on table scooters_router.shards is
'The databases that missions live in.';
comment on column scooters_router.shards.shard is
'Its number, from 0: the remainder of a mission''s hash.';
comment on column scooters_router.shards.name is
'Its database and server, as messages name it.';

create table if not exists scooters_ops.configs (
    config_id bigint generated always as identity,
    config jsonb not null,
    applied_at timestamptz not null default now(),
    applied_by text collate "C" not null default session_user,
    constraint configs_pkey primary key (config_id)
);

comment on table scooters_ops.configs is
'Every config that was applied through the router, as it was written. Each shard has its part of it.';

alter table scooters_ops.configs add column if not exists comment text collate "C";

-- As in a shard, and held_since.
create table if not exists scooters_ops.button_polls (
    channel text not null,
    polled_by text collate "C",
    polled_until timestamptz not null default '-infinity',
    next_update_id bigint not null default 0,
    problem text,
    held_since timestamptz,
    constraint button_polls_pkey primary key (channel)
);

comment on table scooters_ops.button_polls is
'Who asks for the presses of a channel''s buttons, and from where on. Shards do not ask.';
comment on column scooters_ops.button_polls.held_since is
'Since when a press waits for a shard that is away; null: none does.';
