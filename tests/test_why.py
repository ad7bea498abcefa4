"""why(mission_id), notifier why, and the same on the page of a mission.

test_why_properties.py shows that the answers are true, whatever happens.
"""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from notifier.resources import ROOT
from tests.board_rigs import serving
from tests.conftest import TestDatabase, at
from tests.delivery_rigs import House

TEXTS = {
    locale: json.loads(
        (ROOT / "notifier" / "web" / "board" / "texts" / f"{locale}.json").read_text("utf-8")
    )
    for locale in ("en", "ru")
}
FACT = re.compile(r"\{(\w+)\}")

ROUTES = [
    {"match": {"type": ["job_skipped"]}, "recipients": []},
    {"match": {"city": "Moscow"}, "recipients": [{"type": "st", "queue": "MOSCOW"}]},
    {"match": {"crew": "a"}, "recipients": [{"type": "st", "queue": "CREW"}]},
    {"match": {"at": "another day"}, "recipients": [{"type": "st", "queue": "NIGHT"}]},
    {
        "match": {},
        "recipients": [{"type": "telegram", "chat_id": -1001}, {"type": "st", "queue": "DUTY"}],
        "escalate": [
            {"after_seconds": 900, "recipients": [{"type": "telegram", "chat_id": -1009}]}
        ],
    },
]
IN_THREE_DAYS = f"{datetime.now(UTC) + timedelta(days=3):%a}".lower()
CALENDARS = {"another day": {"from": "00:00", "to": "24:00", "days": [IN_THREE_DAYS]}}


def why(database: TestDatabase, mission_id: str = "m1") -> list[tuple[str, str, str, str]]:
    """The point and type, the question, the answer and the reason of each row."""
    rows = database.rows(
        "select coalesce(point_id, '') || ' ' || type as subject, question, answer, reason"
        " from scooters_ops.why_facts(%s, %s)",
        mission_id,
        at(120),
    )
    return [tuple(row.values()) for row in rows]


def last(database: TestDatabase, mission_id: str = "m1") -> dict[str, tuple[str, str, str]]:
    """The last question of each subject."""
    return {row[0]: row[1:] for row in why(database, mission_id)}


def because(database: TestDatabase, question: str) -> list[str]:
    return database.values(
        "select because from scooters_ops.why('m1') where question = %s", question
    )


def late_at_p1(database: TestDatabase) -> None:
    """A courier of Omsk stays too long at p1, after a trip in time."""
    database.create_mission(attributes={"city": "Omsk"})
    for type, minutes, point_id in (
        ("mission_started", 0, None),
        ("point_arrived", 10, "p1"),
    ):
        database.record(type, minutes, point_id)


@pytest.fixture
def asked(database: TestDatabase) -> TestDatabase:
    """A database whose config reports what is old, too."""
    database.apply_config(routes=ROUTES, calendars=CALENDARS, detection__notify_within_seconds=None)
    return database


# --- The function -----------------------------------------------------------------------------


def test_each_interval_and_skip_is_explained_question_by_question(asked: TestDatabase) -> None:
    late_at_p1(asked)
    assert last(asked)["p1 timeout_in_point"] == ("noticed", "no", "unseen_no_pass")
    asked.detect(30)
    asked.value("select scooters_ops.skip_job('m1', 'p3', 'j1')")
    asked.value("select scooters_ops.plan_deliveries(10)")
    asked.connection.execute(
        "update scooters_ops.notification_recipients"
        " set state = 'sent', sent_at = now(), reference = '42' where channel = 'telegram'"
        " and step = 'alert'"
    )
    asked.value("select scooters_ops.acknowledge('m1_p1__timeout_in_point', 'Olga')")
    asked.record("point_completed", 40, "p1")
    asked.detect(41)

    assert [row for row in why(asked) if row[0] == "p1 timeout_between_points"] == [
        ("p1 timeout_between_points", "eta", "route", "eta_leg"),
        ("p1 timeout_between_points", "rule", "default", "rule_default"),
        ("p1 timeout_between_points", "over_limit", "no", "in_time"),
    ]
    assert [row[1:] for row in why(asked) if row[0] == "p1 timeout_in_point"] == [
        ("eta", "config", "eta_config"),
        ("rule", "default", "rule_default"),
        ("over_limit", "yes", "over_when_noticed"),
        ("enabled", "yes", "was_enabled"),
        ("news", "yes", "news"),
        ("noticed", "late", "noticed_event_late"),
        ("reported", "yes", "reported"),
        ("route", "passed_over", "route_failed"),
        ("route", "passed_over", "route_failed"),
        ("route", "passed_over", "route_not_given"),
        ("route", "passed_over", "route_at"),
        ("route", "decided", "route_decided"),
        ("recipients", "yes", "planned"),
        ("step_alert", "sent", "step_sent"),
        ("step_alert", "pending", "step_no_notifier"),
        ("step_escalation_1", "cancelled", "step_cancelled_acknowledged"),
        ("step_acknowledged", "cancelled", "step_cancelled_resolved"),
        ("step_resolved", "pending", "step_no_notifier"),
        ("acknowledged", "yes", "acknowledged"),
        ("resolved", "moved_on", "resolved_moved_on"),
    ]
    assert last(asked)["p3 job_skipped"] == ("recipients", "no", "nobody")
    assert [each for each in because(asked, "route")[:5] if "routes[3]" not in each] == [
        "routes[0] does not match: type is timeout_in_point, not job_skipped.",
        "routes[1] does not match: city is Omsk, not Moscow.",
        "routes[2] does not match: crew is not given, and must be a.",
        "routes[4] of config 2 matches, and says who is told.",
    ]
    assert because(asked, "eta")[:2] == [
        "The route plans 10 min of travel to p1.",
        "Planned time of its jobs: 5 min. Jobs with an eta of their own: none. Job types with an"
        " eta in config 2: battery_exchange. Job types with its default: none.",
    ]
    assert because(asked, "over_limit")[:2] == [
        "It lasted 10 min, within its limit of 15 min.",
        "When it was noticed, it had lasted 20 min, 12 min 30 s over its limit of 7 min 30 s.",
    ]


def test_what_was_not_told_says_which_no_it_was(asked: TestDatabase) -> None:
    late_at_p1(asked)
    asked.detect(12)
    subject = "p1 timeout_in_point"
    said = [last(asked)[subject]]
    asked.connection.execute("select scooters_ops.wake_missions(array['m1'])")
    said.append(last(asked)[subject])
    asked.connection.execute(
        "update scooters_ops.detection_passes set started_at = now() - interval '1 day';"
        "update scooters_ops.configs set applied_at = now() - interval '1 day'"
    )
    said.append(last(asked)[subject])
    asked.connection.execute("delete from scooters_ops.mission_wakeups")
    asked.connection.execute("delete from scooters_ops.recorded_intervals")
    asked.detect(12)
    said.append(last(asked)[subject])
    asked.apply_config(detection__notify_within_seconds=60)
    said.append(last(asked)[subject])
    asked.apply_config(detection__timeouts__timeout_in_point__enabled=False)
    said.append(last(asked)[subject])
    asked.apply_config(detection__enabled=False)
    said.append(last(asked)[subject])
    assert said == [
        ("noticed", "no", "unseen_next_pass"),
        ("noticed", "no", "unseen_woken"),
        ("noticed", "no", "unseen_stalled"),
        ("noticed", "no", "unseen_unwoken"),
        ("news", "no", "history"),
        ("enabled", "no", "type_disabled"),
        ("enabled", "no", "detection_disabled"),
    ]
    # Whoever writes the status of a job himself reports nothing.
    asked.connection.execute(
        "update scooters_ops.mission_jobs set status = 'skipped' where point_id = 'p2'"
    )
    assert last(asked)["p2 job_skipped"] == ("reported", "no", "skip_unreported")


def test_of_two_intervals_to_one_point_the_notification_explains_the_one_that_it_names(
    asked: TestDatabase,
) -> None:
    asked.create_mission()
    asked.record("mission_started", 0)
    asked.detect(20)  # p1 would be next
    asked.record("point_completed", 25, "p3")
    asked.detect(60)  # and p1 is next again
    assert [row for row in why(asked) if row[1] == "reported"] == [
        ("p3 timeout_between_points", "reported", "yes", "reported"),
        ("p1 timeout_between_points", "reported", "with_another", "reported_with_another"),
    ]
    assert because(asked, "over_limit")[0] == (
        "When it was noticed, it had lasted 20 min, 5 min over its limit of 15 min."
    )
    asked.connection.execute(
        "delete from scooters_ops.missions_history where type = 'mission_started'"
    )
    asked.detect(61)
    assert [row[2:] for row in why(asked) if row[1] == "reported"] == [("yes", "reported")]


def test_what_earlier_versions_did_not_record_is_unknown_and_nothing_is_guessed(
    asked: TestDatabase,
) -> None:
    late_at_p1(asked)
    asked.detect(30)
    asked.value("select scooters_ops.plan_deliveries(10)")
    asked.connection.execute(
        "update scooters_ops.monitoring_notifications set config_id = null, known_at = null,"
        " noticed_after = null, late_because = null, planned_config_id = null,"
        " details = details - 'rule' - 'minimum_seconds';"
        "update scooters_ops.recorded_intervals set config_id = null, known_at = null,"
        " seen_at = null"
    )
    answers = {row[1]: row[2:] for row in why(asked) if row[0] == "p1 timeout_in_point"}
    assert answers["eta"] == ("changed", "eta_changed")
    assert answers["news"] == ("unknown", "news_unknown")
    assert answers["noticed"] == ("unknown", "noticed_unknown")
    assert answers["recipients"] == ("yes", "planned_earlier")
    assert "route" not in answers
    assert "config unknown" in because(asked, "rule")[1]


SPOILED = (
    "details = '{}'",
    'details = details || \'{"started_at": "abc", "detected_at": 5}\'',
    'details = details || \'{"started_at": "2026-02-29T10:00:00+00:00",'
    ' "detected_at": "2026-11-26T24:61:00+00:00"}\'',
    "details = details || jsonb_build_object('started_at', (details ->> 'started_at') || ' or so',"
    " 'eta_seconds', 'long', 'factor', null, 'attributes', 'none'),"
    " resolved_at = now(), resolution = 'withdrawn'",
)


def test_a_notification_with_spoiled_details_hides_no_other(asked: TestDatabase) -> None:
    late_at_p1(asked)
    asked.create_mission("m2", attributes={"city": "Omsk"})
    asked.record("mission_started", 0, mission_id="m2")
    asked.detect(30)
    asked.value("select scooters_ops.plan_deliveries(10)")
    trial = (
        "select sum(told) from scooters_ops.backtest("
        "(select jsonb_set(config, '{detection,timeouts,timeout_in_point,factor}', '1.2')"
        " from scooters_ops.config_in_force), %s, %s)"
    )
    for spoil in SPOILED:
        with asked.connection.transaction(force_rollback=True):
            asked.connection.execute("update scooters_ops.recorded_intervals set seen_at = null")
            asked.connection.execute(
                f"update scooters_ops.monitoring_notifications set {spoil} where mission_id = 'm1'"
            )
            asked.connection.execute(
                "delete from scooters_ops.recorded_intervals where notification_id in"
                " (select notification_id from scooters_ops.notifications"
                " where resolution = 'withdrawn')"
            )
            asked.connection.execute("set local role scooters_ops_analyst")
            times = dict(
                asked.connection.execute(
                    "select mission_id, happened_at is not null from scooters_ops.response_times"
                ).fetchall()
            )
            assert times == {"m1": "or so" in spoil, "m2": True}
            assert asked.value(trial, at(-60), at(600)) == 2
            assert "reported" in {row[1] for row in why(asked)}


def test_a_silence_says_who_holds_the_alert_until_when(asked: TestDatabase) -> None:
    silence_id = asked.value(
        "select scooters_ops.silence('{\"city\": \"Omsk\"}', '1 hour', 'works', 'Ivan')"
    )
    late_at_p1(asked)
    asked.detect(30)
    asked.value("select scooters_ops.plan_deliveries(10)")
    answers = {row[1]: row[2:] for row in why(asked) if row[0] == "p1 timeout_in_point"}
    assert answers["silenced"] == ("held", "silence_holds")
    assert answers["step_alert"] == ("silenced", "step_silenced")
    (held,) = because(asked, "silenced")
    assert held.startswith(f"Silence {silence_id} of Ivan holds the alert until 20")
    assert held.endswith(": works")


def test_an_analyst_asks_without_writing_and_an_unknown_mission_is_named(
    asked: TestDatabase,
) -> None:
    late_at_p1(asked)
    with asked.connect(role="scooters_ops_analyst") as connection:
        connection.execute("begin read only")
        assert connection.execute("select * from scooters_ops.why('m1')").fetchall()
        with pytest.raises(psycopg.errors.NoDataFound, match='no mission "m9"'):
            connection.execute("select * from scooters_ops.why('m9')")
    with pytest.raises(psycopg.errors.NoDataFound, match="mission_id: must not be null"):
        asked.value("select scooters_ops.why(null)")


# --- The sentences ----------------------------------------------------------------------------


def test_both_languages_have_every_reason_with_every_fact(database: TestDatabase) -> None:
    sentences = {
        row["reason"]: row["sentence"]
        for row in database.rows("select * from scooters_ops.why_sentences()")
    }
    for texts in TEXTS.values():
        known = {key for key in texts if key.startswith("because_")}
        assert known == {f"because_{reason}" for reason in sentences}
    for reason, sentence in sentences.items():
        assert TEXTS["en"][f"because_{reason}"] == sentence
        assert sorted(FACT.findall(TEXTS["ru"][f"because_{reason}"])) == sorted(
            FACT.findall(sentence)
        )
    # Each reason that the functions name has its sentence.
    sources = "".join(
        path.read_text("utf-8")
        for path in (ROOT / "sql" / "attention").glob("why_*.sql")
        if path.name != "why_sentences.sql"
    )
    reasons = set(re.findall(r"(?:then|else) '([a-z]+(?:_[a-z]+)+)'", sources))
    reasons -= {"over_limit", "passed_over", "decided_too", "with_another", "in_time", "was_held"}
    reasons -= {"not_yet"}
    assert reasons - sentences.keys() == set()


def test_a_fact_that_looks_like_a_placeholder_is_printed_as_it_is(database: TestDatabase) -> None:
    assert (
        database.value(
            "select scooters_ops.why_sentence('{a} {b} {c} {d_at} {e_seconds} {f}', %s, %s)",
            json.dumps(
                {
                    "a": "{b}",
                    "b": "x",
                    "c": None,
                    "d_at": "2026-11-26T09:00:00+00:00",
                    "e_seconds": 93784.5,
                    "f": ["a", "b"],
                }
            ),
            "Asia/Kolkata",
        )
        == "{b} x unknown 2026-11-26 14:30:00 +05:30 1 d 2 h 3 min 5 s a, b"
    )


# --- The command and the page -------------------------------------------------------------------


def test_the_command_prints_text_json_and_csv(house: House) -> None:
    house.skip()
    mission_id = house.database.value("select mission_id from scooters_ops.missions limit 1")
    user = {"PGUSER": house.database.environment["PGUSER"]}
    text, as_json, as_csv = (
        house.cli("why", mission_id, "--output", output, **user)
        for output in ("text", "json", "csv")
    )
    assert [each.returncode for each in (text, as_json, as_csv)] == [0, 0, 0]
    assert "job_skipped" in text.stdout
    rows = json.loads(as_json.stdout)
    assert [*rows[0]] == ["started_at", "point_id", "type", "question", "answer", "because"]
    assert [row["because"] for row in rows] == [
        row["because"] for row in csv.DictReader(io.StringIO(as_csv.stdout))
    ]
    for row in rows:
        assert f"  {row['question']}: {row['answer']}. {row['because']}" in text.stdout
    unknown = house.cli("why", "m9", **user)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert 'no mission "m9"' in unknown.stderr


def test_the_page_answers_in_both_languages(asked: TestDatabase) -> None:
    late_at_p1(asked)
    asked.detect(30)
    asked.value("select scooters_ops.plan_deliveries(10)")
    pages: dict[str, Any] = {}
    with serving(asked) as board:
        for locale in TEXTS:
            page = httpx.get(f"{board.url}/board/missions/m1?lang={locale}").text
            section = page[page.index('id="live-answers"') :]
            section = section[: section.index("</section>")]
            assert section.count("<details") == section.count("<summary") == 2
            pages[locale] = re.sub(r"<[^>]+>|\s+", " ", section)
    words = {locale: " ".join(text.split()) for locale, text in pages.items()}
    assert "It lasted 10 min , within its limit of 15 min ." in words["en"]
    assert "Прошло 10 мин , норма 15 мин не превышена." in words["ru"]
    assert "city = Omsk , а не Moscow" in words["ru"]
    assert words["en"].count("not reported") == 1
