-- How do error messages write the path of a key? For example routes[0].match.city.
-- The name of an unknown key is masked unless it looks like a name: it may be a secret
-- that somebody pasted. A name that could control a terminal is masked as well.
create or replace function scooters_ops.json_path(path text, key text, is_known boolean)
returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
select concat_ws(
    '.',
    nullif(path, ''),
    case
        when is_known and length(key) <= 100 and key !~ case getdatabaseencoding()
            when 'UTF8'
                then e'[\\u0001-\\u001f\\u007f-\\u009f\\u061c\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e'
                || e'\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\U000e0000-\\U000e007f]'
            else e'[\\x01-\\x1f\\x7f]'
        end
            then key
        when key ~ '^[A-Za-z][A-Za-z_]{0,38}[0-9]?$' then key
        else '***'
    end
)
$$;

comment on function scooters_ops.json_path(text, text, boolean) is
'The path of a key of the object at a path, as error messages write it. is_known: whether the schema allows the key. An unknown key is written as *** unless it is a plain word.';

revoke execute on function scooters_ops.json_path(text, text, boolean) from public;
