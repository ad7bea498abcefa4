"""How a request to a stand-in can go wrong: on purpose, or by chance."""

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

    accepts        whether the stand-in makes the message or ticket that is asked for
    reply          the answer that replaces the true one; required if nothing is accepted, except
                   with a reset
    delay_seconds  how long the answer takes
    release        the answer waits for this event
    ending         half: the connection closes in the middle of the body; reset: no answer
    name           for reports
    """

    accepts: bool = False
    reply: Reply | None = None
    delay_seconds: float = 0.0
    release: threading.Event | None = field(default=None, compare=False)
    ending: Literal["whole", "half", "reset"] = "whole"
    name: str = field(default="", compare=False)

    @property
    def hides_success(self) -> bool:
        """Whether the request is accepted although the client reads no success."""
        return self.accepts and (self.ending != "whole" or self.reply is not None)


RESET_BEFORE = Fault(ending="reset", name="reset before accepting")
RESET_AFTER = Fault(accepts=True, ending="reset", name="reset after accepting")
HALF_AN_ANSWER = Fault(accepts=True, ending="half", name="half an answer")


def late(seconds: float) -> Fault:
    """Accept at once, answer late."""
    return Fault(accepts=True, delay_seconds=seconds, name=f"answered after {seconds:g} s")


def held(release: threading.Event) -> Fault:
    """Accept at once, answer when `release` is set."""
    return Fault(accepts=True, release=release, name="held back")


def page(status: int, *, accepts: bool = False) -> Fault:
    """An HTML page instead of JSON, as gateways answer."""
    body = f"<html><body><h1>{status}</h1></body></html>".encode()
    name = f"a page with status {status}" + (" after accepting" if accepts else "")
    return Fault(accepts, Reply(status, body, {"Content-Type": "text/html"}), name=name)


def redirect(location: str, status: int = 307) -> Fault:
    """Redirect the client."""
    return Fault(reply=Reply(status, headers={"Location": location}), name=f"redirect {status}")


Weighted: TypeAlias = tuple[Fault, float]


class RandomFaults:
    """Lets a share of the requests go wrong, with faults drawn by weight.

    The seed alone decides what happens to the n-th request of one name, in whatever order
    requests of different names arrive.

    name_of  the name of a request: the same for each repetition, in every run
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
        """The fault for this request; None: it goes well."""
        name = f"{call.operation} {self._name_of(call)}"
        self._counts[name] += 1
        # Reproducible on purpose; nothing here needs to be secret.
        chance = random.Random(f"{self._seed} {self._counts[name]} {name}")  # noqa: S311
        if chance.random() >= self._share:
            return None
        return chance.choices(self._faults, self._weights)[0]


def network_faults(client_timeout_seconds: float | None) -> list[Weighted]:
    """What any network does, with weights: broken connections, late answers, gateways' answers.

    client_timeout_seconds  some answers come after the client's timeout; None: no answer does
    """
    too_late = [] if client_timeout_seconds is None else [(late(client_timeout_seconds * 1.3), 2)]
    return [
        *too_late,
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
