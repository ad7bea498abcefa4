"""Presses of the buttons below messages, as channels report them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Press:
    """The press of a button.

    press_id    what answer_press wants
    data        what the button stands for
    chat_id     the chat that shows the button; None: no chat
    chat_name   its @name, if it is public
    message_id  the message in it
    by          who pressed it: a @username, or a name
    """

    press_id: str
    data: str
    chat_id: str | None
    chat_name: str | None
    message_id: str | None
    by: str


@dataclass(frozen=True)
class Presses:
    """Some presses, and from where to go on; None: there is nothing new."""

    presses: tuple[Press, ...] = ()
    next_offset: int | None = None


class PressesRefused(Exception):
    """The channel, or the network, does not report presses.

    delay      the wait that the channel asked for
    is_final   it stays so until somebody acts
    """

    def __init__(
        self, reason: str, delay: timedelta | None = None, *, is_final: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay = delay
        self.is_final = is_final


class WithButtons(ABC):
    """A channel whose messages may have buttons."""

    @property
    @abstractmethod
    def has_buttons(self) -> bool:
        """Whether they have, and we are to ask for their presses, by the config."""

    @abstractmethod
    async def presses(self, offset: int, wait_seconds: int) -> Presses:
        """The presses from this offset on. Waits up to wait_seconds for the first. Those before the
        offset are confirmed, and forgotten by the channel.

        Raises PressesRefused, with a reason without secrets.
        """

    @abstractmethod
    async def answer_press(self, press_id: str, text: str) -> str | None:
        """Shows a text to whoever pressed the button. Returns why that was not possible, without
        secrets; None: it was."""
