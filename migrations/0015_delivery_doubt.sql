-- Which messages may a dead notifier have sent?
-- From now on is_taken_over is true until a result is recorded. Earlier versions did
-- not reset it then.
update scooters_ops.notification_recipients
set is_taken_over = false
where
    is_taken_over
    and state in ('pending', 'failed', 'in_doubt');
