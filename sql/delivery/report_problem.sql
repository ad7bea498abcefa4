-- How does a notifier report what it cannot do?
create or replace function scooters_ops.report_problem(worker text, problem text)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
update scooters_ops.notifiers
set problem = report_problem.problem
where name = report_problem.worker
$$;

comment on function scooters_ops.report_problem(text, text) is
'Stores what the database refuses to do for this notifier, which goes on with its other work; null: nothing any more.';

revoke execute on function scooters_ops.report_problem(text, text) from public;
grant execute on function scooters_ops.report_problem(text, text)
to scooters_ops_notifier;
