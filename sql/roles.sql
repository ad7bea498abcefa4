-- Which roles are there? Four without login, to be granted to users.
-- An operator is also an analyst.
-- Roles belong to the whole cluster: another database may have created them, or be
-- creating them at the same time.
do $$
declare
    role_name text;
begin
    foreach role_name in array array[
        'scooters_ops_writer',
        'scooters_ops_notifier',
        'scooters_ops_analyst',
        'scooters_ops_operator'
    ]
    loop
        begin
            if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
                execute format('create role %I nologin', role_name);
            end if;
        exception
            when duplicate_object or unique_violation then null;
        end;
    end loop;

    if not pg_catalog.pg_has_role('scooters_ops_operator', 'scooters_ops_analyst', 'member') then
        begin
            grant scooters_ops_analyst to scooters_ops_operator;
        exception
            when unique_violation then null;
        end;
    end if;
end
$$;

grant usage on schema scooters_ops
to
scooters_ops_writer,
scooters_ops_notifier,
scooters_ops_analyst,
scooters_ops_operator;
