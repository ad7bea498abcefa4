"""A short make torture: nothing is lost, and nothing is sent twice without a cause, whatever dies.
And the verdict does find planted problems."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import httpx
import pytest

from notifier.resources import ROOT
from sandbox.standins import TelegramMessage
from sandbox.torture import __main__ as torture
from sandbox.torture import runner
from sandbox.torture.attention import Attention, Hide
from sandbox.torture.evidence import verdict_on
from sandbox.torture.harness import Harness
from sandbox.torture.scenarios import Report, Scenario, run, run_steps
from sandbox.torture.scene import BOT, ORGANIZATION
from sandbox.torture.settings import Settings
from sandbox.torture.steps import Note, Step, judge_steps
from sandbox.torture.tokens import token_of
from sandbox.torture.trial import Trial
from sandbox.torture.verdict import Arrival, Delivery, Disruption, Row, Rules, Verdict, judge
from tests.conftest import PATIENCE_SECONDS

pytestmark = pytest.mark.slow(seconds=10)


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    with Harness() as made:
        yield made


def assert_good(report: Report) -> None:
    assert report.problems == []
    assert (report.sent, report.lost) == (2 * report.notifications, 0)


# --- Short scenarios ----------------------------------------------------------------------------

SLOW = Settings(chats=5, queues=2, answer_seconds=0.15, batch_size=4, lease_seconds=2)


def quietly(_: str) -> None:
    pass


def test_a_notifier_killed_at_any_step_loses_nothing_and_sends_nothing_twice_that_is_held(
    harness: Harness,
) -> None:
    settings = Settings(
        chats=3,
        queues=1,
        in_doubt="hold",
        lease_seconds=2,
        escalates=False,
        attention=Attention({"telegram": 1, "st": 1}),
    )
    report = run_steps(harness, "7", settings, quietly)
    assert_good(report)
    assert 0 < report.together < report.sent, "digests, and messages of their own"
    assert report.done == Counter({"killed at a step": len(runner.Step)})
    assert report.duplicates == Counter()
    # A message waits for a person if the notifier was killed between the commit of the lease and
    # that of the record. By then it has arrived at some of these steps, and not at the others.
    assert report.decided["recorded as sent"] > 0
    assert report.decided["retried"] > 0


@pytest.mark.parametrize(
    ("disruptions", "done"),
    [
        ({"postgres": 1}, {"PostgreSQL killed"}),
        ({"session": 3, "stop": 1}, {"session terminated", "notifier stopped"}),
    ],
    ids=["PostgreSQL is killed", "sessions are terminated and a notifier is stopped"],
)
def test_nothing_is_lost_when(
    harness: Harness, disruptions: dict[str, int], done: set[str]
) -> None:
    """A disruption that comes after the last delivery is not counted in `done`."""
    report = run(harness, Scenario("in short", 20, 2, disruptions, SLOW), "7", quietly)
    assert_good(report)
    assert report.done.keys() == done


def test_two_notifiers_killed_at_random_amid_faults_lose_nothing(harness: Harness) -> None:
    settings = Settings(faults=0.2, lease_seconds=3, batch_size=10, exceeds_timeout=False)
    disruptions = {"kill": 3, "session": 2, "restart": 1}
    report = run(harness, Scenario("in short", 80, 2, disruptions, settings), "7", quietly)
    assert_good(report)
    assert report.duplicates.total() > 0
    assert report.followed.keys() >= {"acknowledged", "resolved", "escalation", "reminder"}
    assert report.done["notifier killed"] > 0
    assert 20 < report.peak_mib < 150


def test_nothing_is_lost_while_silences_digests_overrides_and_calendars_come_and_go(
    harness: Harness,
) -> None:
    settings = Settings(
        chats=4, queues=2, lease_seconds=2, attention=Attention({"telegram": 2, "st": 1}), waves=3
    )
    changes = {"silence": 2, "unsilence": 2, "config": 3, "kill": 1}
    report = run(harness, Scenario("in short", 48, 2, changes, settings), "191", quietly)
    assert (report.problems, report.lost) == ([], 0)
    assert report.sent + report.muted == 2 * report.notifications
    assert report.together > 0
    assert report.held > 0
    assert report.done["silence placed"] > 0


# --- The verdict finds what is planted ---------------------------------------------------------


@pytest.fixture(scope="module")
def delivered(harness: Harness) -> Iterator[Trial]:
    """Three notifications, delivered without any disruption."""
    with harness.trial("7", Settings(chats=3, queues=1, escalates=False)) as trial:
        trial.scene.notify(3)
        trial.start()
        trial.wait_until(lambda: trial.scene.states().keys() == {"sent"}, "everything to be sent")
        trial.end_all()
        yield trial


def verdict_of(trial: Trial) -> Verdict:
    return verdict_on(trial.scene, trial.disruptions, all_sent=True)


def problems_of(trial: Trial) -> list[str]:
    return verdict_of(trial).problems


def test_an_undisturbed_run_has_no_problems(delivered: Trial) -> None:
    verdict = verdict_of(delivered)
    assert (verdict.problems, verdict.sent, verdict.duplicates) == ([], 6, Counter())


def test_a_planted_loss_is_found(delivered: Trial) -> None:
    (entry,) = (
        entry
        for entry in delivered.scene.telegram.ledger
        if entry.accepted is not None and token_of(2) in entry.call.body["text"]
    )
    accepted, entry.accepted = entry.accepted, None
    try:
        verdict = verdict_of(delivered)
    finally:
        entry.accepted = accepted
    assert len(verdict.lost) == 1
    assert f"lost: {token_of(2)} to telegram -1002: recorded as sent, but it never arrived" in (
        verdict.problems
    )


@pytest.mark.parametrize("state", ["pending", "failed", "in_doubt"])
def test_a_delivery_that_was_not_sent_is_found(delivered: Trial, state: str) -> None:
    """Its ticket did arrive, and `completed` is true: both contradict its state."""
    with delivered.scene.changed(
        "update scooters_ops.notification_recipients set state = %s, sent_at = null"
        " where channel = 'st' and notification_id = (select min(notification_id)"
        " from scooters_ops.monitoring_notifications)",
        state,
    ):
        found = problems_of(delivered)
    assert f"{token_of(1)} to st Q0: it arrived, but its state is {state}: None" in found
    assert any(problem.startswith(f"{token_of(1)}: completed is True") for problem in found)


def test_a_missing_row_is_found(delivered: Trial) -> None:
    with delivered.scene.changed(
        "delete from scooters_ops.notification_recipients where channel = 'telegram'"
    ):
        assert len(verdict_of(delivered).lost) == 3


def test_a_planted_duplicate_without_a_cause_is_found(delivered: Trial) -> None:
    entry = next(entry for entry in delivered.scene.telegram.ledger if entry.accepted is not None)
    answer = httpx.post(
        f"{delivered.scene.telegram.base_url}/bot{BOT}:notifier-1/sendMessage",
        json=entry.call.body,
        trust_env=False,
    )
    assert answer.status_code == 200
    try:
        verdict = verdict_of(delivered)
    finally:
        del delivered.scene.telegram.ledger[-1]
    assert verdict.duplicates == Counter({"without a cause": 1})
    assert len(verdict.problems) == 1
    assert "sent again without a cause, by notifier-1" in verdict.problems[0]


def test_a_planted_second_ticket_is_found_even_with_another_unique(delivered: Trial) -> None:
    body = delivered.scene.tracker.ledger[0].call.body
    answer = httpx.post(
        f"{delivered.scene.tracker.base_url}/v3/issues/",
        json={**body, "unique": "another"},
        headers={"Authorization": "OAuth notifier-1", "X-Org-ID": ORGANIZATION},
        trust_env=False,
    )
    assert answer.status_code == 201
    try:
        found = problems_of(delivered)
    finally:
        del delivered.scene.tracker.ledger[-1]
    token = body["unique"].partition("/")[0]
    assert found == [f"{token} to st {body['queue']}: arrived 2 times, must never arrive twice"]


MEMBER = f"{token_of(2)} to telegram -1000"
LEADER = f"{token_of(1)} to telegram -1000"
MUTED = f"{token_of(6)} to telegram -1000"
OF_A_MEMBER = (
    " where channel = 'telegram' and step = 'alert' and notification_id = (select notification_id"
    " from scooters_ops.monitoring_notifications where mission_id = 'm2')"
)


@pytest.fixture(scope="module")
def changed(harness: Harness) -> Iterator[Trial]:
    """m1 to m4 are told of together and are over. A silence held m5, which was told of afterwards,
    and m6, which was over before."""
    settings = Settings(
        chats=1, queues=1, escalates=False, attention=Attention({"telegram": 2, "st": 2})
    )
    with harness.trial("7", settings) as trial:
        scene = trial.scene
        held = scene.place_silence({"mission_id": "m5"}, 3600)
        scene.place_silence({"mission_id": "m6"}, 3600)
        scene.notify(6)
        trial.start()
        trial.wait_until(lambda: scene.states()["sent"] == 8, "what is not held to be sent")
        scene.live(6)
        scene.end_silence(held)
        trial.wait_until(
            lambda: scene.end_waits() and scene.states() == {"sent": 12, "cancelled": 2},
            "the rest to be sent or cancelled",
        )
        trial.end_all()
        yield trial


def test_an_undisturbed_run_with_digests_and_silences_has_no_problems(changed: Trial) -> None:
    found = verdict_of(changed)
    assert (found.problems, found.duplicates) == ([], Counter())
    assert (found.sent, found.together, found.held, found.muted) == (10, 8, 4, 2)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "update scooters_ops.notification_recipients set digest_id = null" + OF_A_MEMBER,
            f"{LEADER}, digest 1: it tells of 4 alerts, the table of 3",
        ),
        (
            "update scooters_ops.notification_recipients set digest_id = null" + OF_A_MEMBER,
            f"lost: {MEMBER}: recorded as sent, but it never arrived",
        ),
        (
            "update scooters_ops.notification_recipients set reference = '2'" + OF_A_MEMBER,
            f"{MEMBER}: reference 2 belongs to something else",
        ),
        (
            "update scooters_ops.notification_recipients set reference = null" + OF_A_MEMBER,
            f"{LEADER}: the rows of its digest differ",
        ),
        (
            "update scooters_ops.notification_recipients set state = 'waiting', sent_at = null"
            + OF_A_MEMBER,
            f"{MEMBER}: it arrived, but its state is waiting: None",
        ),
        (
            "update scooters_ops.notification_recipients set state = 'cancelled', sent_at = null"
            + OF_A_MEMBER,
            f"{MEMBER}: it arrived, but its state is cancelled: None",
        ),
        (
            "update scooters_ops.notification_recipients as change set follows = m.recipient_id"
            " from (select * from scooters_ops.notification_recipients" + OF_A_MEMBER + ") as m"
            " where change.channel = 'telegram' and change.step = 'resolved'",
            f"{token_of(1)} to telegram -1000 (resolved): it follows a digest",
        ),
        (
            "update scooters_ops.notification_recipients set silence_id = null"
            " where state = 'cancelled'",
            f"lost: {MUTED}: cancelled: None",
        ),
        (
            "update scooters_ops.monitoring_notifications set resolved_at = now() + interval '9 h'"
            " where mission_id = 'm6'",
            f"lost: {MUTED}: cancelled: None",
        ),
        (
            "update scooters_ops.monitoring_notifications set completed = false"
            " where mission_id = 'm6'",
            f"{token_of(6)}: completed is False, but 2 of 2 recipients are sent",
        ),
    ],
)
def test_what_the_table_says_falsely_of_digests_and_silences_is_found(
    changed: Trial, statement: str, problem: str
) -> None:
    with changed.scene.changed(statement):
        assert problem in problems_of(changed)


def test_what_a_digest_says_falsely_is_found(
    changed: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, single = (e for e in changed.scene.telegram.ledger if e.accepted is not None)
    message = digest.accepted
    assert isinstance(message, TelegramMessage)
    for text, problem in (
        (message.text.replace("4 alerts", "5 alerts"), "it tells of 5 alerts, the table of 4"),
        (message.text.replace("m2", "m9"), "it names m9, which is none of it"),
        (message.text.replace("mission m2", ""), "it names 3 of 4"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(digest, "accepted", replace(message, text=text))
            assert f"{LEADER}, digest 1: {problem}" in problems_of(changed)
    with monkeypatch.context() as patch:
        patch.setattr(changed.scene.telegram, "edits", [])
        assert f"lost: {MEMBER}: resolved, but it says None" in problems_of(changed)
    for again in (digest, replace(single, accepted=replace(message, text=token_of(2)))):
        with monkeypatch.context() as patch:
            ledger = [
                *changed.scene.telegram.ledger,
                replace(again, arrived_at=again.arrived_at + 1),
            ]
            patch.setattr(changed.scene.telegram, "ledger", ledger)
            assert any(
                each.startswith(f"{MEMBER}: sent again without a cause")
                for each in problems_of(changed)
            )


def test_a_message_that_breaks_a_silence_or_an_override_is_found(
    changed: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, single = (e for e in changed.scene.telegram.ledger if e.accepted is not None)
    with monkeypatch.context() as patch:
        patch.setattr(single, "arrived_at", digest.arrived_at)
        (found,) = problems_of(changed)
        assert found.startswith(f"{token_of(5)} to telegram -1000: arrived ")
        assert found.endswith("too early for a silence")
    monkeypatch.setattr(changed.scene, "hides", [Hide([0], 0)])
    assert f"{token_of(2)}: told of although an override hides it" in problems_of(changed)
    assert f"{token_of(1)}: told of although an override hides it" not in problems_of(changed)


def test_a_notifier_that_exits_by_itself_is_found(harness: Harness) -> None:
    with harness.trial("7", Settings(chats=1, queues=1)) as trial:
        trial.scene.query("truncate scooters_ops.configs")
        worker = trial.start()
        worker.process.wait(PATIENCE_SECONDS)
        trial.keep_running(0)
        assert len(trial.problems) == 1
        assert "notifier-1 exited with 2" in trial.problems[0]
        assert "no config is in force" in trial.problems[0]


# --- What explains a second message ------------------------------------------------------------

CHAT = Delivery("telegram", "-1001", "m1_p1_j1_job_skipped")
FIRST = Arrival(CHAT, at=100.0, sender="a", reference="1", answered_at=100.1)
AGAIN = Arrival(CHAT, at=106.0, sender="b", reference="2", answered_at=106.1)
SENT = Row(CHAT, "sent", sent_at=106.2, reference="2")


def verdict(
    arrivals: Sequence[Arrival],
    *disruptions: Disruption,
    row: Row = SENT,
    rules: Rules | None = None,
) -> Verdict:
    completed = {CHAT.token: row.state == "sent"}
    return judge({CHAT}, [row], arrivals, completed, disruptions, rules)


@pytest.mark.parametrize(
    ("first", "disruption", "cause"),
    [
        (replace(FIRST, doubt="half an answer"), None, "half an answer"),
        (FIRST, Disruption("killed", 101, 101, "a"), "killed before it could record"),
        (FIRST, Disruption("stopped", 99, 105, "a"), "stopped for longer than its lease"),
        (FIRST, Disruption("stopped", 99, 105, "b"), "stopped for longer than its lease"),
        (FIRST, Disruption("database down", 99, 103), "the database was down"),
        (replace(FIRST, answered_at=None), Disruption("stand-in down", 100.05, 101), "went down"),
    ],
)
def test_a_second_message_is_explained_by(
    first: Arrival, disruption: Disruption | None, cause: str
) -> None:
    found = verdict([AGAIN, first], *filter(None, [disruption]))
    assert found.problems == []
    ((named, count),) = found.duplicates.items()
    assert cause in named
    assert count == 1


@pytest.mark.parametrize(
    ("again", "disruption"),
    [
        (AGAIN, Disruption("killed", 101, 101, "c")),
        (AGAIN, Disruption("killed", 107, 107, "a")),
        (AGAIN, Disruption("killed", 50, 50, "a")),
        (replace(AGAIN, at=200.0), Disruption("killed", 150, 150, "a")),
        (AGAIN, Disruption("stopped", 99, 105, "c")),
        (AGAIN, Disruption("stopped", 50, 55, "a")),
        (replace(AGAIN, sender="a"), Disruption("database down", 99, 103)),
        (AGAIN, Disruption("database down", 107, 108)),
        (AGAIN, Disruption("stand-in down", 100.5, 101)),
    ],
    ids=[
        "another was killed",
        "killed afterwards",
        "killed before",
        "killed long after",
        "another was stopped",
        "stopped long before",
        "one notifier repeats itself",
        "database down afterwards",
        "stand-in down after it had answered",
    ],
)
def test_a_second_message_is_not_explained_by(again: Arrival, disruption: Disruption) -> None:
    row = replace(SENT, sent_at=again.at + 0.1)
    found = verdict([FIRST, again], disruption, row=row)
    assert found.duplicates == Counter({"without a cause": 1})
    assert len(found.problems) == 1


def test_an_escalation_must_not_come_before_the_end_of_a_silence() -> None:
    held = replace(SENT, not_before=FIRST.at + 1, sent_at=FIRST.at + 2, reference="1")
    (found,) = verdict([FIRST], row=held).problems
    assert found == f"{CHAT}: arrived 1.00 s too early for a silence"
    assert verdict([FIRST], row=replace(held, not_before=FIRST.at)).problems == []


def test_a_message_sent_again_after_it_was_recorded_is_not_explained_by_a_later_kill() -> None:
    row = replace(SENT, sent_at=100.2, reference="1")
    assert verdict([FIRST, AGAIN], Disruption("killed", 101, 101, "a"), row=row).problems


def test_nothing_explains_a_second_message_on_a_channel_that_holds_doubts() -> None:
    first = replace(FIRST, doubt="half an answer")
    found = verdict([first, AGAIN], rules=Rules(held=["telegram"]))
    assert found.problems == [f"{CHAT}: arrived 2 times, must never arrive twice"]


def test_a_record_from_before_the_arrival_is_found() -> None:
    assert verdict([FIRST], row=Row(CHAT, "sent", 99.9, "1")).problems == [
        f"{CHAT}: recorded as sent before it arrived"
    ]


def test_a_reference_to_another_message_is_found() -> None:
    assert verdict([FIRST], row=Row(CHAT, "sent", 101, "9")).problems == [
        f"{CHAT}: reference 9 belongs to something else"
    ]


def test_a_message_to_another_chat_is_found() -> None:
    stray = replace(FIRST, delivery=Delivery("telegram", "-1009", CHAT.token))
    assert verdict([FIRST, stray], row=Row(CHAT, "sent", 101, "1")).problems == [
        f"not expected: {stray.delivery}"
    ]


def test_a_recipient_that_is_in_the_table_twice_is_found() -> None:
    row = Row(CHAT, "sent", 101, "1")
    assert judge({CHAT}, [row, row], [FIRST], {CHAT.token: True}).problems


@pytest.mark.parametrize(
    ("state", "rules"),
    [
        ("in_doubt", Rules(held=["telegram"], all_sent=False)),
        ("failed", Rules(refused={CHAT}, all_sent=False)),
    ],
)
def test_a_delivery_that_waits_for_a_person_is_lost_only_after_the_decision(
    state: str, rules: Rules
) -> None:
    row = Row(CHAT, state)
    assert verdict([], row=row, rules=rules).waiting == Counter({state: 1})
    assert verdict([], row=row, rules=rules).problems == []
    assert verdict([], row=row, rules=replace(rules, all_sent=True)).lost
    assert verdict([], row=row, rules=Rules(all_sent=False)).lost


# --- What follows the alerts ---------------------------------------------------------------------

TICKET = Delivery("st", "Q0", "m1_p1__timeout_in_point")
LATER = replace(CHAT, step="escalation_1", address="-999")
SHOWN = Step(1, Row(CHAT, "sent", 101, "1"), outcome="resolved")
EDIT = Step(2, Row(replace(CHAT, step="resolved"), "sent", 102, "1"), changes=1, outcome="resolved")
COMMENT = Step(4, Row(replace(TICKET, step="resolved"), "sent", 102, "Q0-1"), changes=3, key="k")
CREATED = Step(3, Row(TICKET, "sent", 101, "Q0-1"), outcome="resolved")


def steps_verdict(*steps: Step, notes: dict[str, Note], settled_at: float = 100) -> list[str]:
    found = Verdict()
    by_place = {("st" if "-" in key else "telegram", key): note for key, note in notes.items()}
    judge_steps(found, steps, by_place, {CHAT.token: settled_at}, all_sent=True)
    return found.problems


def test_messages_and_tickets_that_end_with_the_truth_are_no_problem() -> None:
    notes = {"1": Note([None, "acknowledged", "resolved"]), "Q0-1": Note([None, "resolved"], ["k"])}
    assert steps_verdict(SHOWN, EDIT, CREATED, COMMENT, notes=notes) == []


@pytest.mark.parametrize(
    ("steps", "notes", "problem"),
    [
        ([SHOWN], {"1": Note([None, "acknowledged"])}, "resolved, but it says acknowledged"),
        ([SHOWN], {"1": Note(["resolved", None, "resolved"])}, "went from resolved to None"),
        ([CREATED], {"Q0-1": Note([None])}, "resolved, but it says None"),
        ([CREATED], {"Q0-1": Note(["resolved"], ["k", "k"])}, "2 comments k"),
        ([CREATED, COMMENT], {"Q0-1": Note(["resolved"], ["j"])}, "Q0-1 lacks it"),
        (
            [replace(SHOWN, row=Row(CHAT, "cancelled")), EDIT],
            {"1": Note(["resolved"])},
            "it follows what was never sent",
        ),
        ([SHOWN, replace(EDIT, row=Row(CHAT, "failed"))], {"1": Note(["resolved"])}, "failed"),
        (
            [Step(5, Row(LATER, "sent", 101, "9"), due_at=100.5)],
            {"9": Note([None])},
            "sent after somebody took care",
        ),
    ],
)
def test_a_message_or_ticket_that_does_not_is_found(
    steps: list[Step], notes: dict[str, Note], problem: str
) -> None:
    (found,) = steps_verdict(*steps, notes=notes)
    assert problem in found


def test_an_escalation_that_arrived_although_it_was_cancelled_is_found() -> None:
    arrived = replace(FIRST, delivery=LATER)
    found = verdict([FIRST, arrived], row=replace(SENT, reference="1"))
    assert found.problems == [f"not expected: {LATER}"]


# --- The command -------------------------------------------------------------------------------


def test_problems_make_the_exit_code_1_and_the_seed_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Report("all", 1, 1.0, 50.0, 1, Counter(), Counter(), Counter(), 1, ["lost: m1"])
    for reports, code, said in (
        ([bad], 1, "all: lost: m1"),
        ([replace(bad, lost=0, problems=[])], 0, "Nothing was lost"),
    ):
        monkeypatch.setattr(torture, "torture", lambda _, __, reports=reports: reports)
        monkeypatch.setattr("sys.argv", ["torture", "--seed", "cafe", "--notifications", "5"])
        assert torture.main() == code
        printed = capsys.readouterr().out
        assert said in printed
        assert "make torture SEED=cafe NOTIFICATIONS=5" in printed


def test_the_notifier_imports_nothing_of_the_sandbox() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, notifier.cli; print(*sys.modules, sep='\\n')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert "notifier.delivery" in loaded
    assert not [module for module in loaded if module.startswith("sandbox")]
