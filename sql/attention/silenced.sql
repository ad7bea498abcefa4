-- What does a message say of the silence that held it?
create or replace function scooters_ops.silenced(silence_id bigint)
returns jsonb
language sql stable
begin atomic -- noqa: disable=all
select jsonb_build_object(
    'until', coalesce(silence.ended_at, silence.ends_at),
    'by', silence.created_by,
    'comment', silence.comment
)
from scooters_ops.silences as silence
where silence.silence_id = silenced.silence_id;
end; -- noqa: enable=all

comment on function scooters_ops.silenced(bigint) is
'Until when this silence held what it matches, who made it, and why: {until, by, comment}; null: it is not known any more.';

revoke execute on function scooters_ops.silenced(bigint) from public;
