-- What does a public function look like in a router?
-- It has the signature that it has in a shard, decides which shards to ask, and answers
-- as one database would. definition: as definitions.sql says.
create or replace function scooters_router.build_function(
    definition jsonb,
    route text,
    key text,
    merge text
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    name constant text := definition ->> 'name';
    arguments constant text := definition ->> 'arguments';
    result constant text := definition ->> 'result';
    is_set constant boolean := definition ->> 'is_set';
    parameters constant text[] := array(
        select parameter.value
        from jsonb_array_elements_text(
            coalesce(nullif(definition -> 'parameters', 'null'), '[]')
        )
            with ordinality as parameter (value, n)
        order by parameter.n
    );
    call constant text := format(
        'scooters_router.%I(%s)',
        name,
        array_to_string(
            array['in_shard'] || array(select quote_ident(p) from unnest(parameters) as p), ', '
        )
    );
    answer constant text := format(
        case when is_set then 'return query select * from %s; return;' else 'return %s;' end,
        case
            when route = 'any' and merge is not null then replace(merge, '{}', call)
            else call
        end
    );
    -- Rows of all shards, for a select of what to make of them.
    is_merged constant boolean := is_set and merge <> 'rows' and route = 'all';
    addition constant text := format(
        case
            when is_merged
                then
                    'whole := whole || coalesce('
                    '(select jsonb_agg(to_jsonb(answer)) from %s as answer), ''[]'');'
            when merge = 'rows' then 'return query select * from %s;'
            when merge = 'arrays' then 'whole := whole || %s;'
            else 'whole := coalesce(whole, 0) + coalesce(%s, 0);'
        end,
        call
    );
    -- What to do with one shard's answer, and when its error is the answer.
    question constant text := $part$
        begin
            %s
        exception when others then
            get stacked diagnostics
                error_code = returned_sqlstate,
                error_message = message_text,
                error_detail = pg_exception_detail,
                error_hint = pg_exception_hint;
            if %s then
                perform scooters_router.answer_as_ours(
                    in_shard, error_code, error_message, error_detail, error_hint
                );
            end if;
            missing := missing || scooters_router.shard_name(in_shard);
        end;
        $part$;
    of_mission constant text := format(
        'in_shard := scooters_router.shard_of(%s);',
        case route when 'token' then format('scooters_router.mission_of(%s)', key) else key end
    )
    || format(question, answer, 'true');
    -- What the shards that answer did is done; the error names those that did not.
    of_all constant text := format(
        $part$
        for in_shard in select known.shard from scooters_router.shards as known order by 1
        loop
            %s
        end loop;
        if missing <> '{}' then
            raise exception using
                errcode = 'connection_failure',
                message = format('no answer from %%s', array_to_string(missing, ', '));
        end if;
        %s
        $part$,
        format(
            question,
            case route when 'any' then answer else addition end,
            'scooters_router.is_answer(error_code, error_message)'
        ),
        case
            when is_merged
                then format(
                    'return query %s;',
                    replace(
                        merge,
                        '{}',
                        format(
                            'jsonb_to_recordset(whole) as answer (%s)',
                            substring(result from '^TABLE\((.*)\)$')
                        )
                    )
                )
            when is_set then 'return;'
            when route = 'any' then 'return null;'
            else 'return whole;'
        end
    );
begin
    perform scooters_router.build_question(definition);
    execute format(
        'create or replace function scooters_ops.%I(%s) returns %s language plpgsql'
        ' security definer set search_path = pg_catalog, pg_temp'
        -- PL/Proxy says when it connects again, and sends values as text, which must
        -- mean the same in the shard (place_shard.sql).
        ' set client_min_messages = warning set datestyle = ''ISO, YMD'''
        ' set intervalstyle = postgres set extra_float_digits = 1 as %L',
        name,
        arguments,
        result,
        format(
            $body$
            #variable_conflict use_variable
            declare
                in_shard integer;
                error_code text;
                error_message text;
                error_detail text;
                error_hint text;
                missing text[] := '{}';
                %s
            begin
                %s
            end
            $body$,
            case
                when is_merged then 'whole jsonb := ''[]'';'
                when is_set or route not in ('all', 'token') then ''
                else 'whole ' || result || ';'
            end,
            case route
                when 'mission' then of_mission
                when 'token' then format(
                    'if %s is null then %s end if; %s', key, of_all, of_mission
                )
                else of_all
            end
        )
    );
end
$$;

comment on function scooters_router.build_function(jsonb, text, text, text) is
'Makes or updates a public function of the router.';

revoke execute on function
scooters_router.build_function(jsonb, text, text, text) from public;
