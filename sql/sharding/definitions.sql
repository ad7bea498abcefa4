-- What do the public functions and views of a shard look like?
-- Public is what a role of ours, or the owner by the contract, may use. It is asked of
-- a shard, so that a router's functions and views have the signatures, comments and
-- rights of this version without anybody writing them down again.
select
    jsonb_build_object(
        'types', (
            select
                jsonb_agg(
                    jsonb_build_object(
                        'name', kind.typname,
                        'labels', (
                            select
                                jsonb_agg(
                                    label.enumlabel order by label.enumsortorder
                                )
                            from pg_catalog.pg_enum as label
                            where label.enumtypid = kind.oid
                        ),
                        'columns', (
                            select
                                jsonb_agg(
                                    jsonb_build_object(
                                        'name', attribute.attname,
                                        'type', format_type(
                                            attribute.atttypid, attribute.atttypmod
                                        )
                                    )
                                    order by attribute.attnum
                                )
                            from pg_catalog.pg_attribute as attribute
                            where
                                attribute.attrelid = kind.typrelid
                                and attribute.attnum > 0
                                and not attribute.attisdropped
                        )
                    )
                    order by kind.typtype desc, kind.typname asc
                )
            from pg_catalog.pg_type as kind
            left join pg_catalog.pg_class as class on kind.typrelid = class.oid
            where
                kind.typnamespace = 'scooters_ops'::regnamespace
                and (kind.typtype = 'e' or class.relkind = 'c')
        ),
        'functions', (
            select
                jsonb_agg(
                    jsonb_build_object(
                        'name', routine.proname,
                        'signature', replace(
                            routine.oid::regprocedure::text, 'scooters_ops.', ''
                        ),
                        'types', regexp_replace(
                            routine.oid::regprocedure::text, '^[^(]*\((.*)\)$', '\1'
                        ),
                        'arguments', pg_get_function_arguments(routine.oid),
                        'result', pg_get_function_result(routine.oid),
                        'is_set', routine.proretset,
                        'parameters', (
                            select
                                jsonb_agg(
                                    coalesce(
                                        routine.proargnames[place.n], '$' || place.n
                                    )
                                    order by place.n
                                )
                            from generate_series(1, routine.pronargs) as place (n)
                        ),
                        'definition', pg_get_functiondef(routine.oid),
                        'comment', obj_description(routine.oid, 'pg_proc'),
                        'roles', (
                            select jsonb_agg(granted.grantee::regrole::text)
                            from aclexplode(routine.proacl) as granted
                            where granted.grantee not in (0, routine.proowner)
                        )
                    )
                    order by routine.oid
                )
            from pg_catalog.pg_proc as routine
            where
                routine.pronamespace = 'scooters_ops'::regnamespace
                and (
                    exists (
                        select
                        from aclexplode(routine.proacl) as granted
                        where granted.grantee not in (0, routine.proowner)
                    )
                    or routine.proname in (
                        'apply_config', 'require_config_in_force', 'detect_timeouts'
                    )
                )
        ),
        'views', (
            select
                jsonb_agg(
                    jsonb_build_object(
                        'name', class.relname,
                        'comment', obj_description(class.oid, 'pg_class'),
                        'definition', pg_get_viewdef(class.oid),
                        'columns', (
                            select
                                jsonb_agg(
                                    jsonb_build_object(
                                        'name', attribute.attname,
                                        'type', format_type(
                                            attribute.atttypid, attribute.atttypmod
                                        ),
                                        'comment',
                                        col_description(class.oid, attribute.attnum)
                                    )
                                    order by attribute.attnum
                                )
                            from pg_catalog.pg_attribute as attribute
                            where
                                attribute.attrelid = class.oid
                                and attribute.attnum > 0
                                and not attribute.attisdropped
                        ),
                        'roles', (
                            select jsonb_agg(granted.grantee::regrole::text)
                            from aclexplode(class.relacl) as granted
                            where granted.grantee not in (0, class.relowner)
                        )
                    )
                    order by class.oid
                )
            from pg_catalog.pg_class as class
            where
                class.relnamespace = 'scooters_ops'::regnamespace
                and class.relkind = 'v'
        )
    ) as definitions;
