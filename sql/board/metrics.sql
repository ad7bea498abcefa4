-- What do dashboards and alerts need to know? One number per row.
-- Its cost does not grow: totals are kept where they are made, and what is counted is
-- counted as far as delivery_status counts it. It checks a few random missions, because
-- it is asked often.
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
),

-- One snapshot shows each duration either folded or not.
duration as materialized (
    select
        folded.stage,
        folded.type,
        folded.late_because,
        folded.le,
        folded.durations,
        folded.total
    from scooters_ops.duration_totals as folded
    union all
    select
        appended.stage,
        appended.type,
        coalesce(appended.late_because, '') as late_because,
        extract(epoch from appended.duration) as le,
        1 as durations,
        appended.duration as total
    from scooters_ops.new_durations as appended
),

response as (
    select
        stage.*,
        known.type
    from (
        values
        (
            'noticed',
            false,
            'From when the limit passed until it was noticed; no skip waits for that.'
        ),
        (
            'told',
            true,
            'From when it was noticed until its first alert was sent.'
        ),
        (
            'acknowledged',
            true,
            'From when its first alert was sent until it was acknowledged; if none was'
            || ' sent before: from when it was noticed.'
        ),
        (
            'resolved',
            false,
            'From when it was noticed until the interval ended, if it ended later.'
        )
    ) as stage (stage, has_skips, help)
    cross join
        unnest(
            enum_range(null::scooters_ops.monitoring_notification_type)
        ) as known (type)
    where
        known.type::text <> 'test'
        and (stage.has_skips or known.type <> 'job_skipped')
)

select
    metric.name,
    jsonb '{}' as labels,
    metric.value,
    metric.help
from scooters_ops.detection_status as status
cross join
    lateral (
        values
        (
            'detection_enabled',
            status.is_enabled::integer::double precision,
            'Whether the config in force enables detection.'
        ),
        (
            'detection_stalled',
            status.is_stalled::integer::double precision,
            'Whether detection is enabled but no pass runs.'
        ),
        (
            'detection_waiting_missions',
            status.missions_waiting::double precision,
            'Missions that the next pass has to record (a lower bound from 10,000'
            || ' wake-ups on).'
        ),
        (
            'detection_unrecorded_missions',
            cardinality(
                scooters_ops.unrecorded_missions(10)
            )::double precision,
            'Missions, of 10 random ones under way, whose recorded intervals are not'
            || ' what their events say: passes missed them.'
        )
    ) as metric (name, value, help)
union all
select
    metric.name,
    jsonb '{}' as labels,
    metric.value,
    metric.help
from last_pass
cross join
    lateral (
        values
        (
            'detection_passes_total',
            last_pass.pass_id::double precision,
            'Detection passes.'
        ),
        (
            'detection_pass_seconds_total',
            extract(epoch from last_pass.total_elapsed)::double precision,
            'Duration of all passes together.'
        ),
        (
            'detection_inserted_total',
            last_pass.total_inserted::double precision,
            'Notifications that passes inserted.'
        ),
        (
            'detection_recorded_total',
            last_pass.total_recorded::double precision,
            'Recorded intervals that passes inserted, changed or deleted.'
        ),
        (
            'detection_judged_total',
            last_pass.total_judged::double precision,
            'Recorded intervals that passes judged.'
        ),
        (
            'detection_resolved_total',
            last_pass.total_resolved::double precision,
            'Notifications that passes resolved.'
        ),
        (
            'detection_last_pass_age_seconds',
            extract(epoch from now() - last_pass.started_at)::double precision,
            'Time since the last pass started.'
        ),
        (
            'detection_last_pass_duration_seconds',
            extract(epoch from last_pass.elapsed)::double precision,
            'Duration of the last pass.'
        ),
        (
            'detection_last_pass_missions',
            last_pass.missions::double precision,
            'Missions that the last pass evaluated.'
        ),
        (
            'detection_last_pass_inserted',
            last_pass.inserted::double precision,
            'Notifications that the last pass inserted.'
        ),
        (
            'detection_still_due_missions',
            last_pass.still_due::double precision,
            'Missions that the last pass left to the next one.'
        )
    ) as metric (name, value, help)
union all
select
    metric.name,
    jsonb '{}' as labels,
    metric.value,
    metric.help
from scooters_ops.input_status as input
cross join
    lateral (
        values
        (
            'newest_event_age_seconds',
            extract(epoch from now() - input.newest_event_at)::double precision,
            'Age of the newest event of any mission, by the time that it carries; none:'
            || ' there is no event.'
        ),
        (
            'input_silent',
            input.is_silent::integer::double precision,
            'Whether missions are active but no event has come for'
            || ' detection.silent_input_after_seconds.'
        )
    ) as metric (name, value, help)
where metric.value is not null
union all
select
    'notifications_total' as name,
    jsonb_build_object('type', counter.type) as labels,
    counter.planned::double precision as value,
    'Notifications whose recipients have been planned.' as help
from scooters_ops.planned_totals() as counter
union all
select
    metric.name,
    jsonb '{}' as labels,
    metric.value,
    metric.help
from (
    select
        coalesce(sum(recipients) filter (where state = 'unplanned'), 0) as unplanned,
        coalesce(sum(recipients) filter (where state = 'unrouted'), 0) as unrouted,
        coalesce(sum(recipients) filter (where state = 'silenced'), 0) as silenced,
        (select count(*) from scooters_ops.active_silences) as active_silences,
        min(oldest_created_at) filter (where state = 'unplanned') as oldest_unplanned_at
    from unsent
) as counted
cross join
    lateral (
        values
        (
            'unplanned_notifications',
            counted.unplanned::double precision,
            'Notifications whose recipients are not planned yet'
            || ' (a lower bound where delivery_status says so).'
        ),
        (
            'unplanned_oldest_age_seconds',
            coalesce(
                extract(epoch from now() - counted.oldest_unplanned_at), 0
            )::double precision,
            'Age of the oldest unplanned notification; 0: there is none.'
        ),
        (
            'unrouted_notifications',
            counted.unrouted::double precision,
            'Notifications that no route matches, so that nobody receives them'
            || ' (a lower bound where delivery_status says so).'
        ),
        (
            'silenced_alerts',
            counted.silenced::double precision,
            'Alerts that silences hold, one for each recipient'
            || ' (a lower bound where delivery_status says so).'
        ),
        (
            'active_silences',
            counted.active_silences::double precision,
            'Silences that are not over.'
        )
    ) as metric (name, value, help)
union all
select
    metric.name,
    jsonb_build_object('channel', channel.channel, 'state', known.state) as labels,
    metric.value,
    metric.help
from channel
cross join (
    values ('pending'), ('retrying'), ('blocked'), ('sending'), ('failed'), ('in_doubt')
) as known (state)
left join unsent
    on channel.channel = unsent.channel and known.state = unsent.state
cross join
    lateral (
        values
        (
            'recipients',
            coalesce(unsent.recipients, 0)::double precision,
            'Unsent recipients; sending: leased by a notifier; blocked: a person must'
            || ' fix something (a lower bound where delivery_status says so).'
        ),
        (
            'recipients_oldest_age_seconds',
            coalesce(
                extract(epoch from now() - unsent.oldest_created_at), 0
            )::double precision,
            'Age of the oldest of these recipients; 0: there is none.'
        )
    ) as metric (name, value, help)
union all
select
    'delivery_stuck' as name,
    jsonb_build_object('channel', channel.channel) as labels,
    coalesce(bool_or(unsent.is_stuck), false)::integer as value,
    'Whether a recipient has been due for longer than notifier.stuck_after_seconds and'
    || ' no notifier takes it.' as help
from channel
left join unsent using (channel)
group by channel.channel
union all
select
    'channel_paused' as name,
    jsonb_build_object('channel', channel.channel) as labels,
    (channel.failures > 0)::integer as value,
    'Whether the channel refuses all our requests.' as help
from channel
union all
select
    'long_holds' as name,
    jsonb_build_object('channel', channel.channel) as labels,
    count(*) filter (where hold.is_long)::double precision as value,
    'Chats and queues that are held for longer than notifier.stuck_after_seconds from'
    || ' now on.' as help
from channel
left join scooters_ops.delivery_holds as hold using (channel)
group by channel.channel
union all
select
    response.stage || '_after_seconds_bucket' as name,
    jsonb_build_object(
        'type', response.type,
        'le', case when bound.le < 'infinity' then bound.le::text else '+Inf' end
    ) as labels,
    coalesce(sum(duration.durations), 0)::double precision as value,
    response.help
from response
cross join
    unnest(
        scooters_ops.duration_bounds() || double precision 'infinity'
    ) as bound (le)
left join duration
    on
        response.stage = duration.stage
        and response.type = duration.type
        and bound.le >= duration.le
group by response.stage, response.type, bound.le, response.help
union all
select
    response.stage || '_after_seconds_sum' as name,
    jsonb_build_object('type', response.type) as labels,
    coalesce(extract(epoch from sum(duration.total)), 0)::double precision as value,
    response.help
from response
left join duration using (stage, type)
group by response.stage, response.type, response.help
union all
select
    late.stage || '_late_total' as name,
    jsonb_build_object(
        'type', response.type, 'late_because', cause.late_because
    ) as labels,
    coalesce(sum(duration.durations), 0)::double precision as value,
    late.help
from (
    values
    (
        'noticed',
        array['event_late', 'config_changed', 'detection_down'],
        'Notifications that were noticed later than detection.stalled_after_seconds, by'
        || ' what delayed them longest.'
    ),
    (
        'told',
        array['unrouted', 'no_notifier', 'silenced', 'on_hold', 'limits', 'failing'],
        'Notifications whose first alert was sent later than'
        || ' notifier.stuck_after_seconds, by the first thing that alone took so long.'
    )
) as late (stage, causes, help)
inner join response on late.stage = response.stage
cross join unnest(late.causes) as cause (late_because)
left join duration
    on
        response.stage = duration.stage
        and response.type = duration.type
        and cause.late_because = duration.late_because
group by late.stage, response.type, cause.late_because, late.help
union all
select
    'notifiers' as name,
    jsonb_build_object('state', known.state) as labels,
    count(notifier.name) as value,
    'Notifiers; alive: seen lately.' as help
from (values ('alive', true), ('dead', false)) as known (state, is_alive)
left join scooters_ops.notifier_status as notifier using (is_alive)
group by known.state;

comment on view scooters_ops.metrics is
'What /metrics exports of the database, one number per row. It reads no more than delivery_status does, however much waits.';
comment on column scooters_ops.metrics.name is
'The name of the metric, without its prefix scooters_ops_. One that ends in _total is a counter; two that end in _bucket and _sum are a histogram, whose label le is the upper bound of a bucket and which counts what is not longer; any other is a gauge.';
comment on column scooters_ops.metrics.labels is
'The labels of the metric (JSON object of text): channel, state, type, le or late_because; never an identifier.';
comment on column scooters_ops.metrics.value is
'The current value (a number: seconds where the name says so; 1 for yes, 0 for no).';
comment on column scooters_ops.metrics.help is
'What the metric means; /metrics exports it as the help text.';

grant select on scooters_ops.metrics to scooters_ops_analyst, scooters_ops_notifier;
