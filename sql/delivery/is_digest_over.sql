-- Are all that a digest tells of over?
-- A skipped job is never over, so a digest of nothing else is not either.
create or replace function scooters_ops.is_digest_over(digest_id bigint)
returns boolean
language sql stable
begin atomic -- noqa: disable=all
select coalesce(bool_and(notification.resolved_at is not null), false)
from scooters_ops.notification_recipients as member
inner join scooters_ops.monitoring_notifications as notification
    on member.notification_id = notification.notification_id
where
    member.digest_id = is_digest_over.digest_id
    and member.digest_id is not null
    and member.follows is null
    and notification.type <> 'job_skipped';
end; -- noqa: enable=all

comment on function scooters_ops.is_digest_over(bigint) is
'Whether all timeouts of the digest with this leader are resolved, and there is one at least.';

revoke execute on function scooters_ops.is_digest_over(bigint) from public;
