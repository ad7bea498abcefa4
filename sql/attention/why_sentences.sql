-- Which sentence does each reason make?
-- The board has the same sentences in its languages (notifier/web/board/texts).
create or replace function scooters_ops.why_sentences()
returns table (reason text, sentence text)
language sql immutable parallel safe
begin atomic -- noqa: disable=all
select
    listed.reason,
    listed.sentence
from (
    values
    (
        'eta_own',
        'Its jobs have etas of their own: {own_jobs}. Together: {eta_seconds}.'
    ),
    (
        'eta_config',
        'Planned time of its jobs: {eta_seconds}. Jobs with an eta of their '
        || 'own: {own_jobs}. Job types with an eta in config {config_id}: '
        || '{typed_jobs}. Job types with its default: {default_jobs}.'
    ),
    (
        'eta_override',
        'Planned time of its jobs: {eta_seconds}, by the override {rule} of '
        || 'config {config_id}. Jobs with an eta of their own: {own_jobs}. Job '
        || 'types with an eta in the config: {typed_jobs}. Job types with the '
        || 'default: {default_jobs}.'
    ),
    (
        'eta_default',
        'The point has no jobs. It counts as one job of unknown type, for '
        || 'which config {config_id} plans {eta_seconds}.'
    ),
    (
        'eta_leg',
        'The route plans {eta_seconds} of travel to {points}.'
    ),
    (
        'eta_legs',
        'The route plans {eta_seconds} of travel, summed over {points}.'
    ),
    (
        'eta_changed',
        '{eta_seconds} was planned. The plan or the config has changed since, '
        || 'so what it came from is unknown.'
    ),
    (
        'eta_none',
        'The plan has no travel time to {point_id}, so there is no limit.'
    ),
    (
        'eta_none_config',
        'No config was in force, so no time was planned for the jobs at '
        || '{point_id}.'
    ),
    (
        'eta_unknown',
        'An earlier version reported it and did not record the planned time.'
    ),
    (
        'rule_default',
        'Its limit is {limit_seconds}: {factor} times the planned time, by the '
        || 'default rule of config {config_id}.'
    ),
    (
        'rule_default_minimum',
        'Its limit is {limit_seconds}: {factor} times the planned time is less '
        || 'than the minimum of {minimum_seconds}, by the default rule of config '
        || '{config_id}.'
    ),
    (
        'rule_override',
        'Its limit is {limit_seconds}: {factor} times the planned time, by the '
        || 'override {rule} of config {config_id}.'
    ),
    (
        'rule_override_minimum',
        'Its limit is {limit_seconds}: {factor} times the planned time is less '
        || 'than the minimum of {minimum_seconds}, by the override {rule} of '
        || 'config {config_id}.'
    ),
    (
        'rule_none',
        'No config is in force, so there is no limit.'
    ),
    (
        'rule_unknown',
        'An earlier version reported it and did not record the limit.'
    ),
    (
        'over_when_noticed',
        'When it was noticed, it had lasted {elapsed_seconds}, {over_seconds} '
        || 'over its limit of {limit_seconds}.'
    ),
    (
        'over',
        'It has lasted {elapsed_seconds}, {over_seconds} over its limit of '
        || '{limit_seconds}.'
    ),
    (
        'over_unknown',
        'An earlier version reported it and did not record how long it had '
        || 'lasted.'
    ),
    (
        'over_before',
        'It was over its limit when it was reported. Its limit has changed since.'
    ),
    (
        'in_time',
        'It lasted {elapsed_seconds}, within its limit of {limit_seconds}.'
    ),
    (
        'in_time_so_far',
        'It has lasted {elapsed_seconds}, and {left_seconds} of its limit of '
        || '{limit_seconds} are left.'
    ),
    (
        'enabled',
        'Detection and this type are enabled.'
    ),
    (
        'was_enabled',
        'Detection and this type were enabled.'
    ),
    (
        'detection_disabled',
        'Config {config_id} has detection disabled.'
    ),
    (
        'type_disabled',
        'Config {config_id} has {type} disabled.'
    ),
    (
        'news',
        'It was noticed {after_seconds} after its limit had passed, which was '
        || 'still news.'
    ),
    (
        'news_unknown',
        'An earlier version reported it and did not record how late.'
    ),
    (
        'news_still',
        'Its limit passed at {deadline_at}, which is still news.'
    ),
    (
        'history',
        'Its limit passed at {deadline_at}. What is older than '
        || '{within_seconds} is history, not news.'
    ),
    (
        'history_judged',
        'Its limit passed at {deadline_at}, but no pass judged it until '
        || '{seen_at}. What is older than {within_seconds} is history, not news, '
        || 'by config {config_id}.'
    ),
    (
        'history_judged_otherwise',
        'Its limit passed at {deadline_at}. The pass at {seen_at} judged it to '
        || 'be history, not news, by a bound that is no longer known.'
    ),
    (
        'history_pruned',
        'Its limit passed at {deadline_at}. Notifications from before '
        || '{horizon_at} may have been deleted, so nothing that old is reported.'
    ),
    (
        'history_unknown',
        'Its limit passed at {deadline_at}. A backfill or an earlier version '
        || 'recorded it as history, not news.'
    ),
    (
        'noticed',
        'The pass at {noticed_at} noticed it, {after_seconds} after its limit '
        || 'had passed.'
    ),
    (
        'noticed_event_late',
        'The pass at {noticed_at} noticed it {after_seconds} after its limit had '
        || 'passed: its events or its plan came late, at {known_at}.'
    ),
    (
        'noticed_config_changed',
        'The pass at {noticed_at} noticed it {after_seconds} after its limit '
        || 'had passed: a change of the config made it late. Its limit was known '
        || 'at {known_at}.'
    ),
    (
        'noticed_detection_down',
        'The pass at {noticed_at} noticed it {after_seconds} after its limit '
        || 'had passed: no pass came to it in time. Its limit was known at '
        || '{known_at}.'
    ),
    (
        'noticed_late',
        'The pass at {noticed_at} noticed it {after_seconds} after its limit '
        || 'had passed. Why so late is unknown. Its limit was known at {known_at}.'
    ),
    (
        'noticed_unknown',
        'A pass of an earlier version noticed it, at {noticed_at}. How late is '
        || 'unknown.'
    ),
    (
        'noticed_pruned',
        'A pass noticed it. When is unknown, because its notification was '
        || 'deleted.'
    ),
    (
        'unseen_pruned',
        'It finished at {finished_at}. Passes no longer record what finished '
        || 'so long ago.'
    ),
    (
        'unseen_no_pass',
        'No pass has run yet.'
    ),
    (
        'unseen_stalled',
        'Passes have stopped. The last one was at {last_pass_at}.'
    ),
    (
        'unseen_woken',
        'The mission changed at {woken_at}, and the next pass looks at it. The '
        || 'last pass was at {last_pass_at}.'
    ),
    (
        'unseen_next_pass',
        'Its limit passed at {deadline_at}, and the next pass reports it. The '
        || 'last pass was at {last_pass_at}.'
    ),
    (
        'unseen_unwoken',
        'No pass has recorded it, and none will: its rows were written without '
        || 'triggers. Call wake_missions(). The last pass was at {last_pass_at}.'
    ),
    (
        'reported',
        'It was reported at {noticed_at} as {token}.'
    ),
    (
        'reported_with_another',
        'Each point is reported once for each type. The interval to {point_id} '
        || 'that began at {other_at} has the notification: {token}.'
    ),
    (
        'reported_pruned',
        'It was reported. Its notification has been deleted since.'
    ),
    (
        'skip_reported',
        'Job {job_id} was skipped at {skipped_at}, and reported as {token}.'
    ),
    (
        'skip_unreported',
        'Job {job_id} is skipped and has no notification: skip_job() did not '
        || 'skip it, or its notification was deleted.'
    ),
    (
        'route_decided',
        '{path} of config {config_id} matches, and says who is told.'
    ),
    (
        'route_failed',
        '{path} does not match: {key} is {given}, not {wanted}.'
    ),
    (
        'route_not_given',
        '{path} does not match: {key} is not given, and must be {wanted}.'
    ),
    (
        'route_at',
        '{path} does not match: {given_at} is not in {wanted}.'
    ),
    (
        'planned',
        'Config {config_id} decided at {planned_at} who is told.'
    ),
    (
        'planned_earlier',
        'An earlier version decided at {planned_at} who is told. By which '
        || 'route is unknown.'
    ),
    (
        'unplanned',
        'No notifier has taken it since {noticed_at}.'
    ),
    (
        'unrouted',
        'No route of config {config_id} matched at {planned_at}, so nobody is '
        || 'told.'
    ),
    (
        'nobody',
        'The route of config {config_id} that decided at {planned_at} names no '
        || 'recipients.'
    ),
    (
        'silence_holds',
        'Silence {silence_id} of {by} holds the alert until {until_at}: '
        || '{comment}'
    ),
    (
        'silence_held',
        'Silence {silence_id} of {by} held the alert until {until_at}: '
        || '{comment}'
    ),
    (
        'step_sent',
        'Sent to {channel} {address} at {sent_at}: {reference}.'
    ),
    (
        'step_shown',
        'The earlier message in {channel} {address} shows it since {sent_at}: '
        || '{reference}.'
    ),
    (
        'step_sent_digest',
        'Sent to {channel} {address} at {sent_at} together with others, in '
        || '{reference}.'
    ),
    (
        'step_silenced',
        'Silence {silence_id} holds it for {channel} {address} until '
        || '{until_at}.'
    ),
    (
        'step_failed',
        'Given up for {channel} {address} after {attempts} attempts: {error}'
    ),
    (
        'step_in_doubt',
        'Whether it arrived at {channel} {address} is in doubt: {error}'
    ),
    (
        'step_sending',
        'A notifier is sending it to {channel} {address}. Its lease ends at '
        || '{until_at}.'
    ),
    (
        'step_blocked',
        'Blocked for {channel} {address} until a person fixes this: {error}'
    ),
    (
        'step_retrying',
        'Tried {attempts} times for {channel} {address}, again at {due_at}: '
        || '{error}'
    ),
    (
        'step_later',
        'For {channel} {address}, not due until {due_at}.'
    ),
    (
        'step_channel_held',
        '{channel} refuses everything, {address} included. It is tried again '
        || 'at {until_at}: {error}'
    ),
    (
        'step_address_held',
        '{channel} {address} is on hold until {until_at}: {error}'
    ),
    (
        'step_limited',
        'A rate limit holds it for {channel} {address} until {until_at}.'
    ),
    (
        'step_no_notifier',
        'For {channel} {address}, due since {due_at}, but no notifier is alive.'
    ),
    (
        'step_due',
        'For {channel} {address}, due since {due_at}. A notifier sends it next.'
    ),
    (
        'step_waits_message',
        'For {channel} {address}, it waits for the message that it follows.'
    ),
    (
        'step_waits_digest',
        'For {channel} {address}, it waits for the message that tells of it '
        || 'together with others.'
    ),
    (
        'step_cancelled_silenced',
        'Never sent to {channel} {address}: it was over at {resolved_at}, '
        || 'while silence {silence_id} held it.'
    ),
    (
        'step_cancelled_acknowledged',
        'Never sent to {channel} {address}: somebody took care of it at '
        || '{acknowledged_at}.'
    ),
    (
        'step_cancelled_resolved',
        'Never sent to {channel} {address}: it was over at {resolved_at}.'
    ),
    (
        'step_cancelled',
        'Never sent to {channel} {address}: it was no longer needed.'
    ),
    (
        'acknowledged',
        '{by} acknowledged it at {at}.'
    ),
    (
        'unacknowledged',
        'Nobody has acknowledged it.'
    ),
    (
        'resolved_moved_on',
        'The courier moved on at {ended_at}, and the pass at {resolved_at} saw '
        || 'it.'
    ),
    (
        'resolved_ended',
        'The mission ended at {ended_at}, and the pass at {resolved_at} saw it.'
    ),
    (
        'resolved_withdrawn',
        'Later events say that it was not so. The pass at {resolved_at} '
        || 'withdrew it.'
    ),
    (
        'resolved_not_yet',
        'It has not been seen to end.'
    )
) as listed (reason, sentence);
end; -- noqa: enable=all

comment on function scooters_ops.why_sentences() is
'The sentence that why() makes of each reason of why_facts(); in braces: the facts.';

revoke execute on function scooters_ops.why_sentences() from public;
grant execute on function scooters_ops.why_sentences() to scooters_ops_analyst;
