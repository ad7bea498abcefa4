"""Nothing is lost and nothing sent twice without a cause, whatever dies: make torture in short. And
the verdict itself is no rubber stamp."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import httpx
import pytest

from notifier.config import ROOT
from sandbox.torture import __main__ as torture
from sandbox.torture.__main__ import Report, Scenario, run, run_steps
from sandbox.torture.harness import BOT, ORGANIZATION, Terms, Trial, World, token_of
from sandbox.torture.runner import Step
from sandbox.torture.verdict import Due, Mishap, Row, Rules, Taken, Verdict, judge
from tests.conftest import PATIENCE_SECONDS


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as made:
        yield made


def assert_good(report: Report) -> None:
    assert report.problems == []
    assert (report.sent, report.lost) == (2 * report.notifications, 0)


# --- The short form ----------------------------------------------------------------------------

SLOW = Terms(chats=5, queues=2, answer_seconds=0.2, batch_size=3, lease_seconds=2)


def silence(_: str) -> None:
    pass


def test_a_notifier_killed_at_any_step_loses_nothing_and_sends_nothing_twice_that_is_held(
    world: World,
) -> None:
    terms = Terms(chats=5, queues=2, in_doubt="hold", lease_seconds=2)
    report = run_steps(world, "7", terms, silence)
    assert_good(report)
    assert report.done == Counter({"killed at a step": len(Step)})
    assert report.duplicates == Counter()
    # Killed between the lease's commit and the record's, a message is a person's to decide: half
    # of those steps come after it has arrived.
    assert report.decided["as sent"] > 0
    assert report.decided["retried"] > 0


@pytest.mark.parametrize(
    ("mischief", "done"),
    [
        ({"postgres": 1}, {"PostgreSQL killed"}),
        ({"cut": 3, "stop": 1}, {"connection cut", "notifier stopped"}),
    ],
    ids=["PostgreSQL is killed", "sessions are cut and a notifier sleeps"],
)
def test_nothing_is_lost_when(world: World, mischief: dict[str, int], done: set[str]) -> None:
    """Each is done while there is still something to deliver, or not counted as done."""
    report = run(world, Scenario("in short", 30, 2, mischief, SLOW), "7", silence)
    assert_good(report)
    assert report.done.keys() == done


def test_two_notifiers_killed_at_random_amid_faults_lose_nothing(world: World) -> None:
    terms = Terms(faults=0.2, lease_seconds=3, batch_size=10, is_patience_tried=False)
    mischief = {"kill": 3, "cut": 2, "restart": 1}
    report = run(world, Scenario("in short", 200, 2, mischief, terms), "7", silence)
    assert_good(report)
    assert report.duplicates.total() > 0
    assert report.done["notifier killed"] > 0
    assert 20 < report.peak_mib < 150


# --- The verdict finds what is planted ---------------------------------------------------------


@pytest.fixture(scope="module")
def delivered(world: World) -> Iterator[Trial]:
    """Three notifications, delivered without any trouble."""
    with world.trial("7", Terms(chats=3, queues=1)) as trial:
        trial.notify(3)
        trial.start()
        trial.await_(lambda: trial.states().keys() == {"sent"}, "everything to be sent")
        trial.end_all()
        yield trial


def problems_of(trial: Trial) -> list[str]:
    return trial.verdict(all_sent=True).problems


def test_a_run_without_trouble_is_found_good(delivered: Trial) -> None:
    verdict = delivered.verdict(all_sent=True)
    assert (verdict.problems, verdict.sent, verdict.duplicates) == ([], 6, Counter())


def test_a_planted_loss_is_found(delivered: Trial) -> None:
    (entry,) = (
        entry
        for entry in delivered.telegram.ledger
        if entry.taken is not None and token_of(2) in entry.call.body["text"]
    )
    taken, entry.taken = entry.taken, None
    try:
        verdict = delivered.verdict(all_sent=True)
    finally:
        entry.taken = taken
    assert len(verdict.lost) == 1
    assert f"lost: {token_of(2)} to telegram -1002: recorded as sent, and it never arrived" in (
        verdict.problems
    )


@pytest.mark.parametrize("state", ["pending", "failed", "in_doubt"])
def test_what_was_not_sent_is_found(delivered: Trial, state: str) -> None:
    """As if its message had arrived, and as if it had not."""
    with delivered.changed(
        "update scooters_ops.notification_recipients set state = %s, sent_at = null"
        " where channel = 'st' and notification_id = (select min(notification_id)"
        " from scooters_ops.monitoring_notifications)",
        state,
    ):
        found = problems_of(delivered)
    assert f"{token_of(1)} to st Q0: it arrived, and is {state}: None" in found
    assert any(problem.startswith(f"{token_of(1)}: completed is True") for problem in found)


def test_a_row_that_nobody_planned_is_found(delivered: Trial) -> None:
    with delivered.changed(
        "delete from scooters_ops.notification_recipients where channel = 'telegram'"
    ):
        assert len(delivered.verdict(all_sent=True).lost) == 3


def test_a_planted_duplicate_without_a_cause_is_found(delivered: Trial) -> None:
    entry = next(entry for entry in delivered.telegram.ledger if entry.taken is not None)
    answer = httpx.post(
        f"{delivered.telegram.base_url}/bot{BOT}:notifier-1/sendMessage",
        json=entry.call.body,
        trust_env=False,
    )
    assert answer.status_code == 200
    try:
        verdict = delivered.verdict(all_sent=True)
    finally:
        del delivered.telegram.ledger[-1]
    assert verdict.duplicates == Counter({"without a cause": 1})
    assert len(verdict.problems) == 1
    assert "sent again without a cause, by notifier-1" in verdict.problems[0]


def test_a_planted_second_ticket_is_found_whatever_its_unique(delivered: Trial) -> None:
    body = delivered.tracker.ledger[0].call.body
    answer = httpx.post(
        f"{delivered.tracker.base_url}/v3/issues/",
        json={**body, "unique": "another"},
        headers={"Authorization": "OAuth notifier-1", "X-Org-ID": ORGANIZATION},
        trust_env=False,
    )
    assert answer.status_code == 201
    try:
        found = problems_of(delivered)
    finally:
        del delivered.tracker.ledger[-1]
    token = body["unique"].partition("/")[0]
    assert found == [f"{token} to st Q{body['queue'][1:]}: arrived 2 times, and never may twice"]


def test_a_notifier_that_ends_by_itself_is_found(world: World) -> None:
    with world.trial("7", Terms(chats=1, queues=1)) as trial:
        trial.query("truncate scooters_ops.configs")
        worker = trial.start()
        worker.process.wait(PATIENCE_SECONDS)
        trial.tend(0)
        assert len(trial.problems) == 1
        assert "notifier-1 ended with 2" in trial.problems[0]
        assert "no config is in force" in trial.problems[0]


# --- What explains a second message ------------------------------------------------------------

CHAT = Due("telegram", "-1001", "m1_p1_j1_job_skipped")
FIRST = Taken(CHAT, at=100.0, sender="a", reference="1", answered_at=100.1)
AGAIN = Taken(CHAT, at=106.0, sender="b", reference="2", answered_at=106.1)
SENT = Row(CHAT, "sent", sent_at=106.2, reference="2")


def verdict(
    taken: Sequence[Taken], *mishaps: Mishap, row: Row = SENT, rules: Rules | None = None
) -> Verdict:
    completed = {CHAT.token: row.state == "sent"}
    return judge({CHAT}, [row], taken, completed, mishaps, rules)


@pytest.mark.parametrize(
    ("first", "mishap", "cause"),
    [
        (replace(FIRST, doubt="half an answer"), None, "half an answer"),
        (FIRST, Mishap("killed", 101, 101, "a"), "killed before it could record"),
        (FIRST, Mishap("stopped", 99, 105, "a"), "stopped for longer than its lease"),
        (FIRST, Mishap("stopped", 99, 105, "b"), "stopped for longer than its lease"),
        (FIRST, Mishap("database away", 99, 103), "the database was away"),
        (replace(FIRST, answered_at=None), Mishap("far end down", 100.05, 101), "went down"),
    ],
)
def test_a_second_message_is_explained_by(first: Taken, mishap: Mishap | None, cause: str) -> None:
    found = verdict([AGAIN, first], *filter(None, [mishap]))
    assert found.problems == []
    ((named, count),) = found.duplicates.items()
    assert cause in named
    assert count == 1


@pytest.mark.parametrize(
    ("again", "mishap"),
    [
        (AGAIN, Mishap("killed", 101, 101, "c")),
        (AGAIN, Mishap("killed", 107, 107, "a")),
        (AGAIN, Mishap("killed", 50, 50, "a")),
        (replace(AGAIN, at=200.0), Mishap("killed", 150, 150, "a")),
        (AGAIN, Mishap("stopped", 99, 105, "c")),
        (AGAIN, Mishap("stopped", 50, 55, "a")),
        (replace(AGAIN, sender="a"), Mishap("database away", 99, 103)),
        (AGAIN, Mishap("database away", 107, 108)),
        (AGAIN, Mishap("far end down", 100.5, 101)),
    ],
    ids=[
        "another was killed",
        "killed afterwards",
        "killed before",
        "killed long after",
        "another was stopped",
        "stopped long before",
        "one notifier repeats itself",
        "database away afterwards",
        "far end down when it had answered",
    ],
)
def test_a_second_message_is_not_explained_by(again: Taken, mishap: Mishap) -> None:
    row = replace(SENT, sent_at=again.at + 0.1)
    found = verdict([FIRST, again], mishap, row=row)
    assert found.duplicates == Counter({"without a cause": 1})
    assert len(found.problems) == 1


def test_a_message_sent_again_after_it_was_recorded_is_not_explained_by_a_later_kill() -> None:
    row = replace(SENT, sent_at=100.2, reference="1")
    assert verdict([FIRST, AGAIN], Mishap("killed", 101, 101, "a"), row=row).problems


def test_nothing_explains_a_second_message_where_doubts_are_held() -> None:
    first = replace(FIRST, doubt="half an answer")
    found = verdict([first, AGAIN], rules=Rules(held=["telegram"]))
    assert found.problems == [f"{CHAT}: arrived 2 times, and never may twice"]


def test_what_is_recorded_before_it_arrives_is_found() -> None:
    assert verdict([FIRST], row=Row(CHAT, "sent", 99.9, "1")).problems == [
        f"{CHAT}: recorded as sent before it arrived"
    ]


def test_a_reference_to_another_message_is_found() -> None:
    assert verdict([FIRST], row=Row(CHAT, "sent", 101, "9")).problems == [
        f"{CHAT}: its reference 9 is another's"
    ]


def test_a_message_to_somebody_else_is_found() -> None:
    stray = replace(FIRST, due=Due("telegram", "-1009", CHAT.token))
    assert verdict([FIRST, stray], row=Row(CHAT, "sent", 101, "1")).problems == [
        f"nobody asked for {stray.due}"
    ]


def test_a_recipient_that_stands_in_the_table_twice_is_found() -> None:
    row = Row(CHAT, "sent", 101, "1")
    assert judge({CHAT}, [row, row], [FIRST], {CHAT.token: True}).problems


@pytest.mark.parametrize(
    ("state", "rules"),
    [
        ("in_doubt", Rules(held=["telegram"], all_sent=False)),
        ("failed", Rules(refused={CHAT}, all_sent=False)),
    ],
)
def test_what_waits_for_a_person_is_not_lost_until_the_person_has_decided(
    state: str, rules: Rules
) -> None:
    row = Row(CHAT, state)
    assert verdict([], row=row, rules=rules).waiting == Counter({state: 1})
    assert verdict([], row=row, rules=rules).problems == []
    assert verdict([], row=row, rules=replace(rules, all_sent=True)).lost
    assert verdict([], row=row, rules=Rules(all_sent=False)).lost


# --- The command -------------------------------------------------------------------------------


def test_problems_end_it_with_1_and_name_the_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Report("all", 1, 1.0, 50.0, 1, Counter(), Counter(), Counter(), 1, ["lost: m1"])
    for reports, code, said in (
        ([bad], 1, "all: lost: m1"),
        ([replace(bad, lost=0, problems=[])], 0, "Nothing lost"),
    ):
        monkeypatch.setattr(torture, "torture", lambda _, __, reports=reports: reports)
        monkeypatch.setattr("sys.argv", ["torture", "--seed", "cafe", "--notifications", "5"])
        assert torture.main() == code
        printed = capsys.readouterr().out
        assert said in printed
        assert "make torture SEED=cafe NOTIFICATIONS=5" in printed


def test_what_runs_the_notifier_knows_nothing_of_killing_at_a_step() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, notifier.cli; print(*sys.modules, sep='\\n')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert "notifier.delivery" in loaded
    assert not [module for module in loaded if module.startswith("sandbox")]
