"""What an outcome means for a recipient."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.outcomes import Blocked, Failed, InDoubt, Misconfigured, Outcome, Retry, Sent
from notifier.config import YEAR_SECONDS, RetryPolicy
from notifier.database.values import Delivery, Result
from notifier.delivery.retry import backoff, result

POLICY = RetryPolicy(first_seconds=5, factor=2, max_seconds=900, give_up_after_attempts=12)

policies = st.builds(
    RetryPolicy,
    first_seconds=st.floats(0, YEAR_SECONDS, exclude_min=True),
    factor=st.floats(1, 100),
    max_seconds=st.floats(0, YEAR_SECONDS, exclude_min=True),
    give_up_after_attempts=st.integers(1, 1000),
)
failure_counts = st.integers(1, 10) | st.integers(1, 2**63)
jitters = st.floats(0, 1)


def delivery(attempts: int = 1, waited: timedelta = timedelta(0)) -> Delivery:
    return Delivery(
        idempotency_token="m1_p1__timeout_in_point",
        type="timeout_in_point",
        mission_id="m1",
        point_id="p1",
        job_id=None,
        details={},
        recipient_id=17,
        channel="telegram",
        target={"type": "telegram", "chat_id": -1001},
        attempts=attempts,
        is_in_doubt=False,
        waited=waited,
        idempotency_key="m1_p1__timeout_in_point/telegram/-1001/alert",
    )


def recorded(
    outcome: Outcome,
    *,
    attempts: int = 1,
    in_doubt: Literal["resend", "hold"] = "resend",
    jitter: float = 1,
    waited: timedelta = timedelta(0),
) -> Result:
    return result(delivery(attempts, waited), outcome, POLICY, in_doubt, jitter)


# --- Back-off ----------------------------------------------------------------------------------


def test_the_wait_doubles_up_to_the_maximum() -> None:
    waits = [backoff(POLICY, failures, jitter=1).total_seconds() for failures in range(1, 11)]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]


def test_jitter_spreads_the_last_fifth_of_the_wait() -> None:
    waits = [backoff(POLICY, 2, jitter).total_seconds() for jitter in (0, 0.5, 1)]
    assert waits == [8, 9, 10]


@given(policy=policies, failures=failure_counts, jitter=jitters)
def test_no_number_of_failures_overflows_or_exceeds_the_maximum_wait(
    policy: RetryPolicy, failures: int, jitter: float
) -> None:
    wait = backoff(policy, failures, jitter)
    # A timedelta counts whole microseconds.
    assert timedelta() <= wait <= timedelta(seconds=policy.max_seconds)


@given(policy=policies, failures=failure_counts, jitter=jitters)
def test_another_failure_never_shortens_the_wait(
    policy: RetryPolicy, failures: int, jitter: float
) -> None:
    assert backoff(policy, failures, jitter) <= backoff(policy, failures + 1, jitter)


@given(policy=policies, failures=failure_counts, jitter=jitters)
def test_jitter_takes_at_most_a_fifth(policy: RetryPolicy, failures: int, jitter: float) -> None:
    full = backoff(policy, failures, jitter=1)
    least = full * 0.8 - timedelta(microseconds=1)
    assert least <= backoff(policy, failures, jitter) <= full


# --- Results -----------------------------------------------------------------------------------


@pytest.mark.parametrize("in_doubt", ["resend", "hold"])
@pytest.mark.parametrize("attempts", [1, 12, 13, 1000])
def test_a_sent_message_is_sent_after_any_number_of_attempts(
    attempts: int, in_doubt: Literal["resend", "hold"]
) -> None:
    assert recorded(Sent("99"), attempts=attempts, in_doubt=in_doubt) == Result(
        17, "sent", reference="99"
    )


def test_a_permanent_error_fails_at_the_first_attempt() -> None:
    assert recorded(Failed("chat not found")) == Result(17, "failed", error="chat not found")


@pytest.mark.parametrize("attempts", [1, 12, 1000])
def test_a_refused_channel_does_not_count_against_the_recipient(attempts: int) -> None:
    assert recorded(Misconfigured("HTTP 401"), attempts=attempts) == Result(
        17, "pending", is_attempt=False, error="HTTP 401", is_channel_refused=True
    )


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 5), (2, 10), (11, 900)])
def test_a_transient_error_waits_longer_each_time(attempts: int, seconds: float) -> None:
    assert recorded(Retry("HTTP 500"), attempts=attempts) == Result(
        17, "pending", delay_seconds=seconds, error="HTTP 500"
    )


@pytest.mark.parametrize("stated", [0, 0.5, 77, 86400])
@pytest.mark.parametrize("attempts", [1, 11])
def test_a_delay_that_the_channel_asks_for_wins(attempts: int, stated: float) -> None:
    outcome = Retry("HTTP 429", timedelta(seconds=stated))
    made = recorded(outcome, attempts=attempts)
    assert (made.delay_seconds, made.hold_seconds) == (stated, stated)


@pytest.mark.parametrize("outcome", [Retry("HTTP 500"), InDoubt("cut")])
@pytest.mark.parametrize("attempts", [12, 13])
def test_the_last_attempt_gives_up_with_its_reason(outcome: Retry | InDoubt, attempts: int) -> None:
    assert recorded(outcome, attempts=attempts) == Result(
        17, "failed", error=f"gave up after {attempts} attempts: {outcome.reason}"
    )


def test_a_delay_that_the_channel_asks_for_holds_the_others_even_after_the_last_attempt() -> None:
    assert recorded(Retry("HTTP 429", timedelta(seconds=7)), attempts=12) == Result(
        17, "failed", error="gave up after 12 attempts: HTTP 429", hold_seconds=7
    )


@pytest.mark.parametrize(
    ("waited", "seconds"), [(0, 5), (5, 5), (40, 40), (899, 899), (10**7, 900)]
)
@pytest.mark.parametrize("attempts", [1, 12, 1000])
def test_a_blocked_recipient_is_tried_for_ever_and_no_attempt_counts(
    attempts: int, waited: float, seconds: float
) -> None:
    made = recorded(Blocked("template"), attempts=attempts, waited=timedelta(seconds=waited))
    assert made == Result(
        17,
        "pending",
        is_attempt=False,
        is_blocked=True,
        delay_seconds=seconds,
        error="template",
    )


@pytest.mark.parametrize("attempts", [1, 12])
@pytest.mark.parametrize("outcome", [Failed("chat not found"), Retry("HTTP 429")])
def test_an_answer_that_proves_our_credentials_is_recorded_with_any_result(
    outcome: Failed | Retry, attempts: int
) -> None:
    proving = replace(outcome, is_authenticated=True)
    assert recorded(proving, attempts=attempts).is_channel_accepted
    assert not recorded(outcome, attempts=attempts).is_channel_accepted


def test_the_changed_fields_of_a_moved_target_are_recorded() -> None:
    moved_to = {"type": "telegram", "chat_id": -100}
    assert recorded(Sent("99", moved_to)).moved_to == {"chat_id": -100}


def test_a_doubtful_send_is_repeated_or_held_as_config_says() -> None:
    assert recorded(InDoubt("cut"), in_doubt="resend") == Result(
        17, "pending", delay_seconds=5, error="cut", is_in_doubt=True
    )
    assert recorded(InDoubt("cut"), in_doubt="hold") == Result(17, "in_doubt", error="cut")


def test_a_doubtful_send_is_held_and_not_given_up_even_at_the_last_attempt() -> None:
    assert recorded(InDoubt("cut"), attempts=12, in_doubt="hold").state == "in_doubt"


def test_hold_applies_only_to_doubtful_sends() -> None:
    assert recorded(Retry("HTTP 500"), in_doubt="hold").state == "pending"
