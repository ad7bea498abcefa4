-- Who may do what? Three roles without login, granted to whatever users exist.
-- Roles belong to the whole cluster: another database may have made them, or be making
-- them at this very moment.
do $$
declare
    role_name text;
begin
    foreach role_name in array array[
        'scooters_ops_writer', 'scooters_ops_notifier', 'scooters_ops_analyst'
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
end
$$;

grant usage on schema scooters_ops
to scooters_ops_writer, scooters_ops_notifier, scooters_ops_analyst;
