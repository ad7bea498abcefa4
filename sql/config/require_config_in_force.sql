-- Is this config still in force, or did somebody apply another one meanwhile?
-- The caller holds the lock by which those who apply configs take turns.
create or replace function scooters_ops.require_config_in_force(
    expected_config_id bigint
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    shown_configs constant integer := 3;
    later_configs text;
begin
    if
        expected_config_id is null
        or expected_config_id = (
            select in_force.config_id from scooters_ops.config_in_force as in_force
        )
    then
        return;
    end if;

    -- Those after it; where there are none, the one in force.
    select
        string_agg(
            format(
                '%s applied config %s at %s%s',
                later.applied_by,
                later.config_id,
                to_char(
                    later.applied_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'
                ),
                ' (' || left(later.comment, 100) || ')'
            ),
            ', ' order by later.config_id desc
        )
    into later_configs
    from (
        select
            history.config_id,
            history.applied_by,
            history.applied_at,
            history.comment
        from scooters_ops.config_history as history
        where
            history.config_id > least(
                expected_config_id,
                (
                    select in_force.config_id - 1
                    from scooters_ops.config_in_force as in_force
                )
            )
        order by history.config_id desc
        limit shown_configs
    ) as later;

    raise exception using
        errcode = 'object_not_in_prerequisite_state',
        message = format(
            'expected_config_id: config %s is not in force: %s',
            expected_config_id,
            coalesce(later_configs, 'none is')
        );
end
$$;

comment on function scooters_ops.require_config_in_force(bigint) is
'Refuses a config that is not in force; null: any. SQLSTATE 55000: names the argument, and who applied which config when, the latest first.';

revoke execute on function scooters_ops.require_config_in_force(bigint) from public;
