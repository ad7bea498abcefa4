"""The database as the notifier sees it: functions and views of scooters_ops, never its tables."""
