-- What does a mission say of a key that a match asks for?
create or replace function scooters_ops.mission_fact(
    key text,
    mission_id text,
    performer_id text,
    attributes jsonb
)
returns jsonb
language sql stable parallel safe
return case mission_fact.key
    when 'mission_id' then to_jsonb(mission_fact.mission_id)
    when 'performer_id' then to_jsonb(mission_fact.performer_id)
    else mission_fact.attributes -> mission_fact.key
end;

comment on function scooters_ops.mission_fact(text, text, text, jsonb) is
'The mission_id, the performer_id, or the attribute with this key (JSON), of a mission with this courier and these attributes (JSON object); null: it has none.';

revoke execute on function scooters_ops.mission_fact(text, text, text, jsonb)
from public;
grant execute on function scooters_ops.mission_fact(text, text, text, jsonb)
to scooters_ops_analyst, scooters_ops_notifier;
