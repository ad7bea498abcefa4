-- What does the database refuse to a notifier that runs?
alter table scooters_ops.notifiers add column problem text;
