-- How does a reason read, with its facts filled in?
-- Times are by the clock of notifier.time_zone. A fact that is null is unknown.
create or replace function scooters_ops.why_sentence(
    sentence text,
    facts jsonb,
    time_zone text
)
returns text
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    filled text := '';
    rest text := sentence;
    key text;
    shown text;
begin
    -- From left to right, so that a fact that looks like a placeholder stays as it is.
    loop
        key := substring(rest from '\{([a-z_]+)\}');
        exit when key is null;
        filled := filled || left(rest, strpos(rest, '{' || key || '}') - 1);
        rest := substr(rest, strpos(rest, '{' || key || '}') + length(key) + 2);
        shown := case
            when jsonb_typeof(facts -> key) = 'null' or facts -> key is null
                then 'unknown'
            when key ~ '_seconds$'
                then scooters_ops.why_duration((facts ->> key)::numeric)
            when key ~ '(^|_)at$' then scooters_ops.why_time(facts ->> key, time_zone)
            when jsonb_typeof(facts -> key) = 'array'
                then coalesce(
                    (
                        select string_agg(listed.value, ', ' order by listed.n)
                        from jsonb_array_elements_text(facts -> key)
                            with ordinality as listed (value, n)
                    ),
                    'none'
                )
            else facts ->> key
        end;
        filled := filled || coalesce(shown, 'unknown');
    end loop;
    return filled || rest;
end
$$;

comment on function scooters_ops.why_sentence(text, jsonb, text) is
'This sentence of why_sentences() with these facts (JSON object, as in why_facts) filled in, its times by the clock of this time zone.';

revoke execute on function scooters_ops.why_sentence(text, jsonb, text) from public;
