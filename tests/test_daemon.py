"""The daemon wakes, follows a new config, and stops."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sandbox.standins import held
from tests.delivery_rigs import (
    GROUP,
    OTHER_GROUP,
    TELEGRAM,
    House,
    events,
    running,
)


def test_the_commit_wakes_the_daemon_long_before_its_next_poll(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            for number in range(1, 4):
                house.skip(f"m{number}")
                await daemon.until(lambda n=number: len(house.telegram.messages) == n)  # type: ignore[misc]
            await daemon.until(house.is_sent)

    asyncio.run(story())


def test_a_new_config_is_followed_without_a_restart(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)

    async def story() -> None:
        async with running() as daemon:
            house.skip("m1")
            await daemon.until(house.is_sent)
            config_id = await asyncio.to_thread(
                house.configure,
                {"type": "telegram", "chat_id": OTHER_GROUP},
                notifier__poll_seconds=3600,
                notifier__locale="ru",
            )
            await daemon.until(lambda: bool(events(caplog, "config_followed")))
            assert events(caplog, "config_followed") == [{"config_id": config_id}]
            house.skip("m2")
            await daemon.until(lambda: len(house.telegram.messages) == 2)

    asyncio.run(story())
    english, russian = house.telegram.messages
    assert (english.chat_id, russian.chat_id) == (GROUP, OTHER_GROUP)
    assert "Courier" in english.text
    assert "Курьер" in russian.text


def test_an_unusable_config_is_refused_once_and_the_old_one_stays_active(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            config_id = await asyncio.to_thread(
                house.configure,
                TELEGRAM,
                notifier__poll_seconds=3600,
                channels__telegram__token_env="NO_SUCH",
            )
            await daemon.until(lambda: bool(events(caplog, "config_refused")))
            house.skip()
            await daemon.until(house.is_sent)
            (refused,) = events(caplog, "config_refused")
            assert refused["config_id"] == config_id
            assert "NO_SUCH" in str(refused["reason"])

            await asyncio.to_thread(house.configure, TELEGRAM, notifier__poll_seconds=3599)
            await daemon.until(lambda: bool(events(caplog, "config_followed")))

    asyncio.run(story())


def test_a_config_with_fewer_slots_is_followed_while_more_sends_are_in_flight(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)
    house.skip_many(3)
    answer = threading.Event()
    house.telegram.script(*[held(answer)] * 3)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: len(house.telegram.messages) == 3)
            await asyncio.to_thread(
                house.configure, TELEGRAM, notifier__poll_seconds=3600, notifier__batch_size=1
            )
            await daemon.until(lambda: bool(events(caplog, "config_followed")))
            assert house.states() == ["sending"] * 3
            answer.set()
            await daemon.until(house.is_sent)

    asyncio.run(story())


def test_stop_finishes_what_is_in_flight_and_begins_nothing(house: House) -> None:
    house.configure(TELEGRAM, notifier__batch_size=1, notifier__poll_seconds=3600)
    house.skip_many(2)
    answer = threading.Event()
    house.telegram.script(held(answer))

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: len(house.telegram.messages) == 1)
            assert house.states() == ["sending", "pending"]
            daemon.notifier.stop()
            answer.set()
            await daemon.task

    asyncio.run(story())
    assert house.states() == ["sent", "pending"]
    assert len(house.telegram.messages) == 1


def test_an_idle_daemon_stops_at_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            await daemon.stop()

    asyncio.run(story())
