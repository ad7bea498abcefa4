"""The messages to people on duty: complete, in their language, and safe whatever the facts are."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from html import unescape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels import CHANNELS
from notifier.channels.base import Channel
from notifier.locales import LOCALES, clock, duration, number
from notifier.notification_types import (
    DIGEST_TYPE,
    NOTIFICATION_TYPES,
    SAMPLE_FACTS,
    TEST_FACTS,
    TEST_TYPE,
    TIMEOUT_TYPES,
    sample_facts,
    steps_of,
)
from notifier.templates import Renderer, TemplateError, code, one_line
from notifier.text import UNSAFE_CHARACTERS
from notifier.text import one_line as as_shown

TEMPLATES = Path(__file__).parent.parent / "templates"
MOSCOW = ZoneInfo("Europe/Moscow")
TELEGRAM = CHANNELS["telegram"]
TRACKER = CHANNELS["st"]
RENDERERS = {locale: Renderer(TEMPLATES, locale, MOSCOW) for locale in LOCALES}

every_locale = pytest.mark.parametrize("locale", LOCALES)
every_type = pytest.mark.parametrize("type", NOTIFICATION_TYPES)
every_timeout = pytest.mark.parametrize("type", TIMEOUT_TYPES)
every_channel = pytest.mark.parametrize("channel", CHANNELS.values(), ids=CHANNELS)


def texts(locale: str, type: str, /, **changed: object) -> dict[str, str]:
    """All texts for the sample facts with some changed, as `<channel>.<part>` -> text."""
    facts = {**SAMPLE_FACTS[type], **changed}
    return {
        f"{channel.name}.{part}": text
        for channel in CHANNELS.values()
        for part, text in RENDERERS[locale].render(type, channel, facts).items()
    }


def telegram(locale: str, type: str, /, **changed: object) -> str:
    """The Telegram message as its reader sees it."""
    return read_as_telegram(texts(locale, type, **changed)["telegram.text"])


def read_as_telegram(html: str) -> str:
    """The text that Telegram shows for this HTML; fails if Telegram would refuse or distort it.

    Written from Telegram's rules, not from ours: known tags, properly nested; no bare `<`, `>` or
    `&`; only four named entities and the numeric ones; 4,096 characters, already before parsing.
    """
    assert 0 < len(html) <= 4096
    opened: list[str] = []
    shown = ""
    for token in re.findall(r"<[^<>]*>|[^<>]+|[<>]", html):
        if tag := re.fullmatch(r"<(/?)(b|i|u|s|code|pre)>", token):
            if tag[1]:
                assert opened, token
                assert opened.pop() == tag[2], token
            else:
                opened.append(tag[2])
        else:
            assert token[0] not in "<>", token
            assert not re.search(r"&(?!(lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);)", token), token
            shown += unescape(token)
    assert not opened
    return shown


def one_template(directory: Path, text: str) -> Renderer:
    """A renderer whose only template is the Telegram text of a skipped job."""
    path = directory / "en/job_skipped/telegram.text.j2"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return Renderer(directory, "en", MOSCOW)


def failure(renderer: Renderer, **changed: object) -> str:
    with pytest.raises(TemplateError) as caught:
        renderer.render("job_skipped", TELEGRAM, {**SAMPLE_FACTS["job_skipped"], **changed})
    return caught.value.reason


# --- What the messages say ------------------------------------------------------------------------


@every_type
@every_locale
def test_every_text_says_who_and_where(locale: str, type: str) -> None:
    for name, text in texts(locale, type).items():
        for fact in ("Ivan Petrov", "c-317", "Moscow", "North", "p-58", "m-20481"):
            assert fact in text, name
        assert re.search(r"3 (of|из) 7", text), name


@every_type
@every_locale
def test_messages_and_descriptions_end_with_the_token(locale: str, type: str) -> None:
    rendered = texts(locale, type)
    token = SAMPLE_FACTS[type]["token"]
    assert rendered["telegram.text"].endswith(f"<code>{token}</code>")
    assert rendered["st.description"].endswith(f"`{token}`")


@pytest.mark.parametrize(
    ("locale", "type", "said", "over"),
    [
        (
            "en",
            "timeout_in_point",
            [
                "12 min 7 s",
                "Since 14:05 24 Nov UTC+3, still there at 14:17",
                "12 min (planned 8 min × 1.5)",
            ],
            "7 s over the limit",
        ),
        (
            "ru",
            "timeout_in_point",
            [
                "12 мин 7 с",
                "С 14:05 24 ноября UTC+3, в 14:17 всё ещё там",
                "12 мин (план 8 мин × 1,5)",
            ],
            "сверх лимита 7 с",
        ),
        (
            "en",
            "timeout_between_points",
            [
                "33 min 22 s",
                "From 13:31 24 Nov UTC+3 to 14:05, already ended",
                "22 min 30 s (planned 15 min × 1.5)",
            ],
            "10 min 52 s over the limit",
        ),
        (
            "ru",
            "timeout_between_points",
            [
                "33 мин 22 с",
                "С 13:31 24 ноября UTC+3 до 14:05, уже закончилось",
                "22 мин 30 с (план 15 мин × 1,5)",
            ],
            "сверх лимита 10 мин 52 с",
        ),
    ],
)
def test_a_timeout_states_its_start_its_length_and_by_how_much_it_exceeds_which_limit(
    locale: str, type: str, said: list[str], over: str
) -> None:
    rendered = texts(locale, type)
    assert over in rendered["st.summary"]
    for text in (rendered["telegram.text"], rendered["st.description"]):
        for phrase in (*said, over):
            assert phrase in text


@pytest.mark.parametrize(
    ("locale", "going_on", "ended"),
    [("en", "still", "already ended"), ("ru", "всё ещё", "уже закончилось")],
)
@every_timeout
def test_a_timeout_says_whether_it_is_still_open(
    type: str, locale: str, going_on: str, ended: str
) -> None:
    end = SAMPLE_FACTS[type]["started_at"] + SAMPLE_FACTS[type]["elapsed"]
    for part in ("telegram.text", "st.description"):
        open_text = texts(locale, type, finished_at=None)[part]
        closed_text = texts(locale, type, finished_at=end)[part]
        assert going_on in open_text
        assert ended not in open_text
        assert ended in closed_text
        assert going_on not in closed_text


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en", "20 min (the minimum; planned 8 min × 1.5 is less)"),
        ("ru", "20 мин (минимум; план 8 мин × 1,5 меньше)"),
    ],
)
def test_a_limit_that_is_the_minimum_is_called_the_minimum(locale: str, said: str) -> None:
    rendered = texts(locale, "timeout_in_point", limit=timedelta(minutes=20))
    assert said in rendered["telegram.text"]
    assert said in rendered["st.description"]


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en", "Limit: 12 min, {} (planned 8 min × 1.5)"),
        ("ru", "Лимит: 12 мин, {} (план 8 мин × 1,5)"),
    ],
)
def test_a_limit_names_the_override_that_set_it(locale: str, said: str) -> None:
    rendered = texts(locale, "timeout_in_point", rule="*storm*")
    assert said.format("*storm*") in rendered["telegram.text"]
    assert said.format("`*storm*`") in rendered["st.description"]


@pytest.mark.parametrize(
    ("locale", "said"), [("en", "nobody has acknowledged"), ("ru", "никто не взял")]
)
def test_an_alarm_that_is_sent_again_does_not_say_that_nobody_has_taken_care(
    locale: str, said: str
) -> None:
    """It was in doubt, and somebody has acknowledged it meanwhile."""
    for step in ("escalation", "reminder"):
        facts = sample_facts("timeout_in_point", step)
        taken = {**facts, "acknowledged_by": "olga", "acknowledged_at": facts["started_at"]}
        rendered = RENDERERS[locale].render("timeout_in_point", TELEGRAM, facts)["text"]
        assert said in rendered
        rendered = RENDERERS[locale].render("timeout_in_point", TELEGRAM, taken)["text"]
        assert said not in rendered
        assert "olga" in rendered


def test_a_limit_that_was_rounded_is_still_explained_by_eta_and_factor() -> None:
    changed = {"eta": timedelta(seconds=100), "factor": 1.1, "limit": timedelta(seconds=109.999999)}
    assert "1 min 50 s (planned 1 min 40 s × 1.1)" in telegram("en", "timeout_in_point", **changed)


@pytest.mark.parametrize(
    ("locale", "skipped", "unknown"),
    [
        ("en", "Skipped at 14:05 24 Nov UTC+3", "type unknown"),
        ("ru", "Пропущена в 14:05 24 ноября UTC+3", "тип неизвестен"),
    ],
)
def test_a_skipped_job_message_names_the_job_its_type_and_the_time(
    locale: str, skipped: str, unknown: str
) -> None:
    for name, text in texts(locale, "job_skipped").items():
        assert "battery_exchange" in text
        if name != "st.summary":
            assert "j-2" in text
            assert skipped in text
    for text in texts(locale, "job_skipped", job_type=None).values():
        assert unknown in text
        assert "None" not in text


@every_type
@pytest.mark.parametrize(
    ("locale", "said"), [("en", "no longer in the plan"), ("ru", "не в плане")]
)
def test_a_point_that_was_removed_from_the_plan_is_described_so(
    type: str, locale: str, said: str
) -> None:
    for text in texts(locale, type, point_position=None).values():
        assert said in text
        assert "None" not in text


@every_type
@every_locale
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"performer_name": None, "city": None, "zone": None},
        {"performer_name": "", "city": " ", "zone": "\n"},
    ],
)
def test_without_attributes_the_courier_is_shown_by_id_alone(
    type: str, locale: str, attributes: dict[str, Any]
) -> None:
    message = telegram(locale, type, attributes=attributes)
    assert re.search(r"^\S+: c-317$", message, re.MULTILINE)
    for text in texts(locale, type, attributes=attributes).values():
        assert "None" not in text


def test_attributes_that_are_not_text_are_printed_as_json() -> None:
    attributes = {"performer_name": {"first": "Иван"}, "city": 77, "zone": ["a", "b"]}
    message = telegram("en", "job_skipped", attributes=attributes)
    assert 'Courier: {"first": "Иван"} (c-317), 77, zone ["a", "b"]' in message


# --- Durations, times and numbers -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "english", "russian"),
    [
        (45, "45 s", "45 с"),
        (60, "1 min", "1 мин"),
        (450, "7 min 30 s", "7 мин 30 с"),
        (4320, "1 h 12 min", "1 ч 12 мин"),
        (4359, "1 h 12 min", "1 ч 12 мин"),
        (3605, "1 h", "1 ч"),
        (183_600, "2 d 3 h", "2 д 3 ч"),
        (40 * 86_400 + 59, "40 d", "40 д"),
        (59.9999, "1 min", "1 мин"),
        (0.3, "<1 s", "<1 с"),
        (0, "<1 s", "<1 с"),
        (-7, "<1 s", "<1 с"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, english: str, russian: str) -> None:
    assert duration(timedelta(seconds=seconds), locale=LOCALES["en"]) == english
    assert duration(timedelta(seconds=seconds), locale=LOCALES["ru"]) == russian


@given(st.timedeltas())
def test_a_duration_is_positive_and_has_at_most_two_units(value: timedelta) -> None:
    text = duration(value, locale=LOCALES["en"])
    assert re.fullmatch(r"<1 s|[1-9]\d* (d|h|min|s)( [1-9]\d? (h|min|s))?", text)


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        (ZoneInfo("UTC"), "22:30 31 Dec UTC"),
        (MOSCOW, "01:30 1 Jan UTC+3"),
        (ZoneInfo("Asia/Kolkata"), "04:00 1 Jan UTC+5:30"),
        (ZoneInfo("America/St_Johns"), "19:00 31 Dec UTC-3:30"),
        (timezone(timedelta(hours=-11)), "11:30 31 Dec UTC-11"),
    ],
)
def test_a_time_is_written_in_the_configured_zone_with_its_offset(zone: tzinfo, said: str) -> None:
    time = datetime.fromisoformat("2026-12-31T22:30:00+00:00")
    assert clock(time, locale=LOCALES["en"], time_zone=zone) == said


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("2026-11-24T14:05:00+03:00", "2026-11-24T14:18:00+03:00", "14:18"),
        ("2026-11-24T23:55:00+03:00", "2026-11-25T00:05:00+03:00", "00:05 25 ноября UTC+3"),
        ("2025-11-24T14:05:00+03:00", "2026-11-24T14:18:00+03:00", "14:18 24 ноября UTC+3"),
    ],
)
def test_a_second_time_repeats_the_date_only_if_it_differs(
    first: str, second: str, said: str
) -> None:
    start, end = datetime.fromisoformat(first), datetime.fromisoformat(second)
    assert clock(end, after=start, locale=LOCALES["ru"], time_zone=MOSCOW) == said


def test_a_second_time_repeats_the_offset_if_the_clocks_changed_in_between() -> None:
    start, end = (datetime.fromisoformat(f"2026-10-25T0{hour}:30:00+00:00") for hour in (0, 1))
    berlin = ZoneInfo("Europe/Berlin")
    assert clock(start, locale=LOCALES["en"], time_zone=berlin) == "02:30 25 Oct UTC+2"
    assert clock(end, start, locale=LOCALES["en"], time_zone=berlin) == "02:30 25 Oct UTC+1"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no zone"):
        clock(datetime(2026, 11, 24), locale=LOCALES["en"], time_zone=MOSCOW)


def test_numbers_have_the_decimal_point_of_the_locale() -> None:
    assert [number(value, locale=LOCALES["ru"]) for value in (1.5, 2.0, 1 / 3)] == [
        "1,5",
        "2",
        "0,333333",
    ]
    assert number(1.5, locale=LOCALES["en"]) == "1.5"


# --- Texts from other systems ---------------------------------------------------------------------


@given(st.text())
def test_no_name_breaks_a_telegram_message(name: str) -> None:
    shown = telegram("en", "timeout_in_point", attributes={"performer_name": name})
    words = as_shown(name)
    if not words:
        assert "Courier: c-317\n" in shown
    elif len(words) <= 40:
        assert f"Courier: {words} (c-317)\n" in shown
    else:
        assert f"Courier: {words[:39]}" in shown


@every_type
@every_locale
def test_no_control_or_direction_character_of_a_fact_reaches_a_message(
    locale: str, type: str
) -> None:
    hostile = "\x1b[31m\x07red\x9b2J\u202egnp.exe\u2066\u200b\ufeff\ud800\x7f"
    facts = {key: hostile for key, value in SAMPLE_FACTS[type].items() if isinstance(value, str)}
    attributes = {"performer_name": hostile, "city": [hostile], "zone": {hostile: hostile}}
    for text in texts(locale, type, **facts, attributes=attributes).values():
        assert "red" in text
        assert not UNSAFE_CHARACTERS.search(text.replace("\n", ""))


def test_letters_of_every_script_and_joined_emoji_are_unchanged() -> None:
    for name in ("Зоя Ёлкина", "علی\u200cرضا", "👩\u200d👧", "José", "東京", "a\u00adb"):
        assert as_shown(name) == name


@pytest.mark.parametrize("piece", ["x", "&", "'", '"', "<b>", "</code>", "\n", "🛵", "&lt;"])
@every_type
@every_locale
def test_a_message_stays_within_the_channels_limits_if_every_fact_is_huge(
    locale: str, type: str, piece: str
) -> None:
    huge = "a" + piece * 20_000
    facts = SAMPLE_FACTS[type]
    changed: dict[str, object] = {k: huge for k, v in facts.items() if isinstance(v, str)}
    changed["attributes"] = dict.fromkeys(facts["attributes"], huge)
    rendered = texts(locale, type, **changed)
    assert len(rendered["telegram.text"]) <= 4096
    read_as_telegram(rendered["telegram.text"])
    assert len(rendered["st.summary"]) <= 250
    assert "\n" not in rendered["st.summary"]
    assert len(rendered["st.description"]) <= 4096


def test_a_long_value_is_cut_with_an_ellipsis_between_characters() -> None:
    shown = telegram("en", "job_skipped", attributes={"performer_name": "&" * 1000})
    assert f"Courier: {'&' * 39}… (c-317)" in shown  # 39 times &amp; and the ellipsis


@every_type
@every_locale
def test_markup_from_other_systems_is_shown_literally(locale: str, type: str) -> None:
    name = """<a href="tg://user?id=1">O'Neil & co</a>"""
    changed: dict[str, object] = {
        "attributes": {"performer_name": name},
        "point_id": "<p>",
        "mission_id": "m&lt;",
        "token": "</code>",
    }
    shown = telegram(locale, type, **changed)
    for value in (name, "<p>", "m&lt;", "</code>"):
        assert value in shown
    for text in (texts(locale, type, **changed)[f"st.{part}"] for part in TRACKER.parts):
        assert name in text


@given(st.text())
def test_no_value_ends_its_inline_code_in_a_description(name: str) -> None:
    description = texts(
        "en", "job_skipped", attributes={"performer_name": name, "city": name}, point_id=f"p{name}"
    )["st.description"]
    plain_lines = description.splitlines()
    assert len(plain_lines) == len(texts("en", "job_skipped")["st.description"].splitlines())
    for line in plain_lines:
        outside = re.sub(r"`[^`]*`", "", line)
        assert re.fullmatch(r"[A-Za-z0-9:+() .-]*", outside)


def test_inline_code_cannot_be_ended_from_inside() -> None:
    assert code("``](x) `") == "`''](x) '`"


@pytest.mark.parametrize("text", ["a" * 251, "a " * 300, "\n\n a \u2028 b\r\n" * 100])
def test_a_subject_is_one_line_of_bounded_length(text: str) -> None:
    line = one_line(text)
    assert 0 < len(line) <= 250
    assert len(line.splitlines()) == 1
    assert line.endswith("…")


def test_only_html_parts_are_escaped() -> None:
    rendered = texts("en", "job_skipped", attributes={"performer_name": "<i>&"})
    assert "&lt;i&gt;&amp; (c-317)" in rendered["telegram.text"]
    assert "<i>& (c-317)" in rendered["st.summary"]
    assert "<i>& (c-317)" in rendered["st.description"]


# --- Errors ---------------------------------------------------------------------------------------


@every_channel
@every_type
@every_locale
def test_a_missing_fact_fails_with_the_template_and_the_name_of_the_fact(
    locale: str, type: str, channel: type[Channel]
) -> None:
    unused = {"type", "level", "told", "acknowledged_at"}  # the last three: in an alert
    unused |= {"silenced_by", "silenced_because"}
    if SAMPLE_FACTS[type]["job_id"] is None:
        unused.add("job_id")
    if type not in TIMEOUT_TYPES:
        unused.add("resolution")
    for name in set(SAMPLE_FACTS[type]) - unused:
        rest = {key: value for key, value in SAMPLE_FACTS[type].items() if key != name}
        with pytest.raises(TemplateError) as caught:
            RENDERERS[locale].render(type, channel, rest)
        reason = caught.value.reason
        assert reason.startswith(f"template {locale}/{type}/{channel.name}.")
        assert re.search(rf"line \d+: '{name}' is undefined$", reason)


def test_a_failure_inside_a_macro_names_both_files() -> None:
    with pytest.raises(TemplateError) as caught:
        RENDERERS["ru"].render("job_skipped", TELEGRAM, {"step": "alert"})
    assert re.fullmatch(
        r"template ru/job_skipped/telegram\.text\.j2: line 4: 'job_type' is undefined",
        caught.value.reason,
    )
    facts = {k: v for k, v in SAMPLE_FACTS["job_skipped"].items() if k != "performer_id"}
    with pytest.raises(TemplateError) as caught:
        RENDERERS["ru"].render("job_skipped", TELEGRAM, facts)
    assert re.fullmatch(
        r"template ru/job_skipped/telegram\.text\.j2: ru/_macros\.j2, line \d+: "
        r"'performer_id' is undefined",
        caught.value.reason,
    )


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ token }}\n{{ tokn }}", "line 2: 'tokn' is undefined"),
        ("{{ attributes.city_name }}", "line 1: 'dict object' has no attribute 'city_name'"),
        ("{% if token %}", "line 1: Unexpected end of template"),
        ("{{ token | shout }}", "line 1: No filter named 'shout'"),
        ("{{ ''.__class__.__mro__ }}", "line 1: access to attribute '__class__' of 'str'"),
        ("{{ attributes.update(city='x') }}", "line 1: "),
        ("\n{{ job_type | duration }}", "line 2: AttributeError: "),
        ("{{ 1 / 0 }}", "line 1: ZeroDivisionError: "),
        ("{% include 'gone.j2' %}", "line 1: there is no template en/gone.j2"),
        ("{% include '../../secret' %}", "line 1: there is no template en/../../secret"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "line 1: RecursionError: "),
    ],
)
def test_every_problem_in_a_template_is_a_template_error_that_names_the_place(
    tmp_path: Path, template: str, reason: str
) -> None:
    expected = f"template en/job_skipped/telegram.text.j2: {reason}"
    assert failure(one_template(tmp_path, template)).startswith(expected)


def test_facts_of_the_wrong_type_are_a_template_error(tmp_path: Path) -> None:
    renderer = one_template(tmp_path, "{{ token }}")
    assert "AttributeError" in failure(renderer, attributes=None)
    assert "ValueError" in failure(renderer, token=[10**5000])


def test_a_template_that_is_not_utf8_is_a_template_error(tmp_path: Path) -> None:
    renderer = one_template(tmp_path, "")
    (tmp_path / "en/job_skipped/telegram.text.j2").write_bytes(b"\xff")
    assert "UnicodeDecodeError" in failure(renderer)


@pytest.mark.parametrize("type", ["teleported", "../ru/job_skipped"])
def test_an_unknown_type_is_reported_as_a_missing_template(type: str) -> None:
    with pytest.raises(TemplateError, match=rf"there is no template en/{re.escape(type)}/telegram"):
        RENDERERS["en"].render(type, TELEGRAM, SAMPLE_FACTS["job_skipped"])


@pytest.mark.parametrize("locale", ["de", "", "..", "EN"])
def test_the_error_for_an_unknown_locale_lists_the_known_ones(locale: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Renderer(TEMPLATES, locale, MOSCOW)
    assert caught.value.reason == f"unknown locale {locale!r}; known: en, ru"


# --- The template files ---------------------------------------------------------------------------


def files() -> Iterator[str]:
    """The paths of the message templates."""
    return (p.relative_to(TEMPLATES).as_posix() for p in TEMPLATES.rglob("*") if p.is_file())


def test_every_template_exists_and_there_is_no_other_file() -> None:
    expected = {
        f"{locale}/{type}/{channel.name}.{part}.j2"
        for locale in LOCALES
        for type in (*NOTIFICATION_TYPES, TEST_TYPE, DIGEST_TYPE)
        for channel in CHANNELS.values()
        for step in steps_of(type)
        for part in channel.parts_of(step)
    }
    assert set(files()) == expected | {f"{locale}/_macros.j2" for locale in LOCALES}
    for renderer in RENDERERS.values():
        assert renderer.missing(CHANNELS.values(), CHANNELS.values()) == []


def test_missing_templates_are_listed_by_path(tmp_path: Path) -> None:
    assert one_template(tmp_path, "").missing([TELEGRAM]) == [
        "en/timeout_in_point/telegram.text.j2",
        "en/timeout_between_points/telegram.text.j2",
        "en/test/telegram.text.j2",
    ]


@every_locale
def test_a_test_says_who_asked_for_it_where_and_when_and_escapes_it(locale: str) -> None:
    facts = {**TEST_FACTS, "asked_by": "<b>`x`", "asked_from": "duty-1\u202e"}
    for channel in CHANNELS.values():
        texts = RENDERERS[locale].render(TEST_TYPE, channel, facts)
        body = texts.get("text") or texts["description"]
        assert ("&lt;b&gt;`x`" if channel is TELEGRAM else "<b>'x'") in body
        facts_shown = ("14:05", "duty-2", TEST_FACTS["token"])
        assert [each for each in facts_shown if each not in body] == []
        assert not UNSAFE_CHARACTERS.search("".join(texts.values()).replace("\n", ""))


@pytest.mark.parametrize("path", sorted(path for path in files() if path.startswith("en/")))
def test_every_locale_uses_the_same_facts(path: str) -> None:
    def names(source: str) -> set[str]:
        """The facts, filters, macros and attributes that the template uses, in any branch."""
        words = {word for _, kind, word in jinja2.Environment().lex(source) if kind == "name"}
        return words | set(re.findall(r'attributes\.get\("(\w+)"\)', source))

    english, *others = (
        names((TEMPLATES / path.replace("en", locale, 1)).read_text()) for locale in LOCALES
    )
    for other in others:
        assert other == english


@every_locale
def test_every_macro_is_used(locale: str) -> None:
    defined = set(re.findall(r"macro (\w+)", (TEMPLATES / locale / "_macros.j2").read_text()))
    used = {
        name
        for path in (TEMPLATES / locale).glob("*/*.j2")
        for name in re.findall(r"say\.(\w+)\(", path.read_text())
    }
    assert used == defined


def test_after_preloading_rendering_reads_no_unchanged_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    renderer = Renderer(TEMPLATES, "en", MOSCOW)
    renderer.preload()

    def refuse(*_: object) -> object:
        raise OSError("Too many open files")

    monkeypatch.setattr(jinja2.FileSystemLoader, "get_source", refuse)
    for type, facts in SAMPLE_FACTS.items():
        for channel in CHANNELS.values():
            assert renderer.render(type, channel, facts)


def test_preloading_skips_a_broken_template(tmp_path: Path) -> None:
    folder = tmp_path / "en" / "job_skipped"
    folder.mkdir(parents=True)
    (folder / "telegram.text.j2").write_text("{{")
    renderer = Renderer(tmp_path, "en", MOSCOW)
    renderer.preload()
    with pytest.raises(TemplateError, match="line 1"):
        renderer.render("job_skipped", TELEGRAM, SAMPLE_FACTS["job_skipped"])
