-- Do messages of this channel show how things ended?
create or replace function scooters_ops.follows_resolution(channel text)
returns boolean
language sql stable
begin atomic -- noqa: disable=all
select
    scooters_ops.is_configured(follows_resolution.channel)
    and (
        select
            coalesce(
                in_force.config
                #>> array['channels', follows_resolution.channel, 'on_resolved']
                <> 'nothing',
                true
            )
        from scooters_ops.config_in_force as in_force
    );
end; -- noqa: enable=all

comment on function scooters_ops.follows_resolution(text) is
'Whether messages of this channel show how things ended: channels.X.on_resolved of the config in force is not "nothing".';

revoke execute on function scooters_ops.follows_resolution(text) from public;
