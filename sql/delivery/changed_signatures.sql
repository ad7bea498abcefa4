-- Which functions of earlier versions cannot be replaced by this version's?
-- "create or replace" changes neither a function's columns nor its parameters' names.
-- They are dropped here and not by a migration, because notifiers call them until this
-- transaction commits.
do $$
declare
    earlier regprocedure;
    caller regrole;
begin
    -- Who could apply a config still can.
    for caller in
        select granted.grantee
        from pg_catalog.pg_proc as routine
        cross join lateral aclexplode(routine.proacl) as granted
        where
            routine.oid = to_regprocedure('scooters_ops.apply_config(jsonb)')
            and granted.grantee not in (0, routine.proowner)
    loop
        execute format(
            'grant execute on function scooters_ops.apply_config(jsonb, text, bigint) to %s',
            caller
        );
    end loop;

    for earlier in
        select oid::regprocedure
        from pg_catalog.pg_proc
        where
            oid = to_regprocedure('scooters_ops.apply_config(jsonb)')
            or oid = to_regprocedure(
                'scooters_ops.lease_deliveries(text, jsonb, double precision)'
            )
            or oid = to_regprocedure(
                'scooters_ops.lease_deliveries(text, jsonb, double precision, jsonb)'
            )
            or oid = to_regprocedure('scooters_ops.next_delivery(text[])')
            or oid = to_regprocedure('scooters_ops.plan_deliveries(integer)')
            and not 'max_notifications' = any(proargnames)
    loop
        execute format('drop function %s', earlier);
    end loop;
end
$$;
