-- How does a notifier report that it is alive?
create or replace function scooters_ops.report_notifier(
    worker text,
    config_id bigint,
    version text
)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
select scooters_ops.adjust_for_clock_step();

insert into scooters_ops.notifiers (name, config_id, version)
values (report_notifier.worker, report_notifier.config_id, report_notifier.version)
on conflict (name) do update
set
    seen_at = now(),
    config_id = excluded.config_id,
    version = excluded.version
$$;

comment on function scooters_ops.report_notifier(text, bigint, text) is
'Stores that this notifier is alive, which config it uses, and its version. A notifier calls it every notifier.poll_seconds.';

revoke execute on function scooters_ops.report_notifier(text, bigint, text) from public;
grant execute on function scooters_ops.report_notifier(text, bigint, text)
to scooters_ops_notifier;
