"""What can go wrong with a request."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sandbox.standins.http import Call, Reply


@dataclass(frozen=True)
class Fault:
    """How one request goes wrong.

    accepts  do the work (write the ledger) before misbehaving
    reply    what is answered in place of the true answer; needed where nothing is accepted,
             except with a reset
    delay_seconds  how long the answer takes
    let_go         the answer waits until this is set
    ending   half: the connection closes in the middle of the body; reset: there is no answer
    name     what a report calls it
    """

    accepts: bool = False
    reply: Reply | None = None
    delay_seconds: float = 0.0
    let_go: threading.Event | None = field(default=None, compare=False)
    ending: Literal["whole", "half", "reset"] = "whole"
    name: str = field(default="", compare=False)

    @property
    def hides_success(self) -> bool:
        """Whether the work was done, and the answer does not say so."""
        return self.accepts and (self.ending != "whole" or self.reply is not None)


RESET_BEFORE = Fault(ending="reset", name="reset before taking it")
RESET_AFTER = Fault(accepts=True, ending="reset", name="reset after taking it")
HALF_AN_ANSWER = Fault(accepts=True, ending="half", name="half an answer")


def late(seconds: float) -> Fault:
    """Accepts at once and answers late."""
    return Fault(accepts=True, delay_seconds=seconds, name=f"answered after {seconds:g} s")


def held(let_go: threading.Event) -> Fault:
    """Accepts at once and answers when it is let go."""
    return Fault(accepts=True, let_go=let_go, name="held back")


def page(status: int, *, accepts: bool = False) -> Fault:
    """HTML where JSON is due, as gateways answer."""
    body = f"<html><body><h1>{status}</h1></body></html>".encode()
    name = f"a page with status {status}" + (" after taking it" if accepts else "")
    return Fault(accepts, Reply(status, body, {"Content-Type": "text/html"}), name=name)


def redirect(location: str, status: int = 307) -> Fault:
    """Sends the client elsewhere."""
    return Fault(reply=Reply(status, headers={"Location": location}), name=f"redirect {status}")


Weighted: TypeAlias = tuple[Fault, float]


class RandomFaults:
    """A share of the requests goes wrong, in ways that are drawn by their weights.

    What becomes of the n-th request of one name follows from the seed alone: in what order those
    of different names arrive changes nothing.

    name_of  the name of a request: the same whenever it is repeated, and in every run
    """

    def __init__(
        self,
        seed: str,
        share: float,
        faults: Sequence[Weighted],
        name_of: Callable[[Call], str],
    ) -> None:
        self._seed = seed
        self._name_of = name_of
        self._share = share
        self._faults = [fault for fault, _ in faults]
        self._weights = [weight for _, weight in faults]
        self._counts: Counter[str] = Counter()

    def draw(self, call: Call) -> Fault | None:
        """The fault of this request; None: nothing is wrong with it."""
        name = f"{call.operation} {self._name_of(call)}"
        self._counts[name] += 1
        # Reproducible on purpose: it guards nothing.
        chance = random.Random(f"{self._seed} {self._counts[name]} {name}")  # noqa: S311
        if chance.random() >= self._share:
            return None
        return chance.choices(self._faults, self._weights)[0]


def network_faults(client_patience_seconds: float | None) -> list[Weighted]:
    """By weight: connections that break, answers that are late or none of the API's."""
    hopeless = [] if client_patience_seconds is None else [(late(client_patience_seconds * 1.3), 2)]
    return [
        *hopeless,
        (RESET_BEFORE, 14),
        (RESET_AFTER, 10),
        (HALF_AN_ANSWER, 8),
        (late(0.2), 12),
        (page(200, accepts=True), 3),
        (page(502), 8),
        (page(502, accepts=True), 3),
        (page(503), 3),
        (page(504), 3),
        (page(504, accepts=True), 2),
        (page(403), 2),
        (redirect("http://127.0.0.1:9/", 302), 0.5),
    ]
