-- What do operators need besides?
-- Which notifiers are alive, and from when on events are still news: what retention has
-- pruned of notifications can never be noticed a second time. The config in force knows
-- the new keys from now on, as if it had left them out when it was applied.

create table scooters_ops.notifiers (
    name text collate "C" not null,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    config_id bigint not null,
    version text not null,
    constraint notifiers_pkey primary key (name)
);

-- One row, for good.
create table scooters_ops.news_horizon (
    news_since timestamptz not null
);

insert into scooters_ops.news_horizon (news_since) values ('-infinity');

update scooters_ops.configs
set
    config = jsonb_set(
        config,
        '{retention}',
        jsonb '{
            "notifications_seconds": 7776000,
            "notifiers_seconds": 86400,
            "batch_size": 1000
        }' || (config -> 'retention')
    );
