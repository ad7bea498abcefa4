-- Which recipients may have been sent by a notifier that died?
-- From now on is_taken_over says so until a result is recorded. So far it kept its
-- value after a result.
update scooters_ops.notification_recipients
set is_taken_over = false
where
    is_taken_over
    and state in ('pending', 'failed', 'in_doubt');
