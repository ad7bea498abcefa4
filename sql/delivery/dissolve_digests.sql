-- Which alerts are on their own again?
create or replace function scooters_ops.dissolve_digests(leader_ids bigint[])
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
update scooters_ops.notification_recipients
set
    digest_id = null,
    state = case when state = 'waiting' then 'pending' else state end
where
    digest_id = any(dissolve_digests.leader_ids)
    and digest_id is not null
    and follows is null
$$;

comment on function scooters_ops.dissolve_digests(bigint[]) is
'Dissolves the digests with these leaders, none of which was sent: each alert is due again by itself.';

revoke execute on function scooters_ops.dissolve_digests(bigint[]) from public;
