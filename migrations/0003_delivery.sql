-- What does delivery need besides?
-- Whether a lease was taken over is kept, so that it can be given back without its
-- doubt being forgotten; what a notifier holds has an index. retry_deliveries takes a
-- channel too: what sql/ rebuilds cannot change its parameters.

alter table scooters_ops.notification_recipients
add column is_taken_over boolean not null default false;

create index notification_recipients_leased_by_idx
on scooters_ops.notification_recipients (leased_by)
where state = 'sending';

drop function if exists scooters_ops.retry_deliveries(text);
