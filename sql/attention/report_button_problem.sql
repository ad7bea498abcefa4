-- How does a notifier report that it does not get the presses of buttons?
create or replace function scooters_ops.report_button_problem(
    channel text,
    problem text
)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
update scooters_ops.button_polls as poll
set problem = report_button_problem.problem
where poll.channel = report_button_problem.channel
$$;

comment on function scooters_ops.report_button_problem(text, text) is
'Stores why a channel does not report the presses of its buttons, for button_status; null: it does.';

revoke execute on function scooters_ops.report_button_problem(text, text) from public;
grant execute on function scooters_ops.report_button_problem(text, text)
to scooters_ops_notifier;
