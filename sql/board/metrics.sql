-- What do dashboards and alerts want to know? A number a row.
-- Nothing here grows: the totals are kept where they are made, and what is counted is
-- counted as far as delivery_status shows it.
create or replace view scooters_ops.metrics as
with last_pass as (
    select *
    from scooters_ops.detection_passes
    order by pass_id desc
    limit 1
),

unsent as materialized (
    select *
    from scooters_ops.delivery_status
),

channel as materialized (
    select
        channel,
        failures
    from scooters_ops.delivery_channels
)

select
    detection.name,
    jsonb '{}' as labels,
    detection.value
from scooters_ops.detection_status as status
cross join
    lateral (
        values
        ('detection_enabled', status.is_enabled::integer::double precision),
        ('detection_stalled', status.is_stalled::integer::double precision)
    ) as detection (name, value)
union all
select
    detection.name,
    jsonb '{}' as labels,
    detection.value
from last_pass
cross join
    lateral (
        values
        ('detection_passes_total', last_pass.pass_id::double precision),
        (
            'detection_pass_seconds_total',
            extract(epoch from last_pass.total_elapsed)::double precision
        ),
        ('detection_inserted_total', last_pass.total_inserted::double precision),
        (
            'detection_last_pass_age_seconds',
            extract(epoch from now() - last_pass.started_at)::double precision
        ),
        (
            'detection_last_pass_duration_seconds',
            extract(epoch from last_pass.elapsed)::double precision
        ),
        ('detection_last_pass_missions', last_pass.missions::double precision),
        ('detection_last_pass_inserted', last_pass.inserted::double precision),
        ('detection_still_due_missions', last_pass.still_due::double precision)
    ) as detection (name, value)
union all
select
    'notifications_total' as name,
    jsonb_build_object('type', counter.type) as labels,
    counter.planned::double precision as value
from scooters_ops.planned_totals() as counter
union all
select
    'unplanned_notifications' as name,
    jsonb '{}' as labels,
    coalesce(sum(recipients), 0)::double precision as value
from unsent
where state = 'unplanned'
union all
select
    'unplanned_oldest_age_seconds' as name,
    jsonb '{}' as labels,
    coalesce(extract(epoch from now() - min(oldest_created_at)), 0)::double precision
        as value
from unsent
where state = 'unplanned'
union all
select
    'unrouted_notifications' as name,
    jsonb '{}' as labels,
    coalesce(sum(recipients), 0)::double precision as value
from unsent
where state = 'unrouted'
union all
select
    measured.name,
    jsonb_build_object('channel', channel.channel, 'state', known.state) as labels,
    measured.value
from channel
cross join (
    values ('pending'), ('retrying'), ('blocked'), ('sending'), ('failed'), ('in_doubt')
) as known (state)
left join unsent
    on channel.channel = unsent.channel and known.state = unsent.state
cross join
    lateral (
        values
        ('recipients', coalesce(unsent.recipients, 0)::double precision),
        (
            'recipients_oldest_age_seconds',
            coalesce(
                extract(epoch from now() - unsent.oldest_created_at), 0
            )::double precision
        )
    ) as measured (name, value)
union all
select
    'delivery_stuck' as name,
    jsonb_build_object('channel', channel.channel) as labels,
    coalesce(bool_or(unsent.is_stuck), false)::integer as value
from channel
left join unsent using (channel)
group by channel.channel
union all
select
    'channel_paused' as name,
    jsonb_build_object('channel', channel.channel) as labels,
    (channel.failures > 0)::integer as value
from channel
union all
select
    'long_holds' as name,
    jsonb_build_object('channel', channel.channel) as labels,
    count(*) filter (where hold.is_long)::double precision as value
from channel
left join scooters_ops.delivery_holds as hold using (channel)
group by channel.channel
union all
select
    'notifiers' as name,
    jsonb_build_object('state', known.state) as labels,
    count(notifier.name) as value
from (values ('alive', true), ('dead', false)) as known (state, is_alive)
left join scooters_ops.notifier_status as notifier using (is_alive)
group by known.state;

comment on view scooters_ops.metrics is
'What /metrics says of the database, a number a row. It reads no more than delivery_status does, however much there is.';
comment on column scooters_ops.metrics.name is
'The metric, without its prefix scooters_ops_; its help text there says what it is.';
comment on column scooters_ops.metrics.labels is
'Its labels (JSON object of text): channel, state or type; never an identifier.';
comment on column scooters_ops.metrics.value is
'What it is now (a number: seconds where the name says so; 1 for yes, 0 for no).';

grant select on scooters_ops.metrics to scooters_ops_analyst, scooters_ops_notifier;
