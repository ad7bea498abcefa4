"""Is anything lost, or sent twice without a reason, whatever dies and whenever? make torture.

Notifiers are killed at each step of a delivery and at random, stopped for longer than a lease, and
restarted. PostgreSQL is killed and sessions are terminated. The stand-ins for Telegram and Tracker
refuse requests, break connections, answer late or answer nonsense. Then the messages and tickets
that the stand-ins accepted are compared with the table. A lost one, a second ticket or a second
message without an explanation makes the exit code 1. A digest counts as a message to each of its
alerts, and must say how many these are.

Meanwhile couriers leave, people acknowledge, silence and change digests, overrides and calendars,
and what nobody takes care of escalates. No silence may be broken. In the end each message and
ticket must show what became of it, and nobody may have been alarmed after that.

The seed decides which request meets which fault, and after how many messages each disruption
comes. The exact times depend on the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.commands import StatusLine, exit_code_of
from sandbox.torture.attention import Attention
from sandbox.torture.harness import Harness
from sandbox.torture.scenarios import Report, run, run_steps, scenarios
from sandbox.torture.settings import Settings
from sandbox.torture.trial import Stuck

DIGESTS: Mapping[str, Any] = {
    "chats": 3,
    "queues": 1,
    "attention": Attention({"telegram": 1, "st": 1}),
}
"""Settings with which a few notifications make some digests, and some messages of their own."""
PROGRESS_SECONDS = 10.0
SHOWN_PROBLEMS = 20


def torture(seed: str, notifications: int) -> list[Report]:
    """Run every scenario, one after the other."""
    progress = StatusLine(sys.stdout, PROGRESS_SECONDS)

    def say(text: str) -> None:
        progress.show(f"▸ {text}")

    with Harness() as harness:
        reports = [
            run_steps(
                harness,
                seed,
                Settings(
                    in_doubt=in_doubt,
                    lease_seconds=2,
                    escalates=in_doubt == "resend",
                    **more,
                ),
                say,
            )
            for in_doubt in ("resend", "hold")
            for more in ({}, DIGESTS)
        ]
        reports += [run(harness, scenario, seed, say) for scenario in scenarios(notifications)]
    progress.clear()
    return reports


def show(reports: Sequence[Report]) -> None:
    """Print the table, and below it why messages were sent again.

    Of what was sent, digest counts the alerts that were told of together; held counts those that a
    silence held, muted those of them that were over before it was, and so were never sent. A
    digest that was sent again counts for each of its alerts.
    """
    print(
        f"\n{'scenario':<23} {'notified':>8} {'sent':>6} {'digest':>6} {'held':>6} {'muted':>6}"
        f" {'later':>6} {'again':>6} {'lost':>5}"
        f" {'drain':>7} {'memory':>8}  disruptions"
    )
    for report in reports:
        done = ", ".join(f"{count}× {what}" for what, count in report.done.items())
        decided = ", ".join(f"{count} {what}" for what, count in report.decided.items())
        print(
            f"{report.scenario:<23} {report.notifications:>8} {report.sent:>6}"
            f" {report.together:>6} {report.held:>6} {report.muted:>6} {report.followed.total():>6}"
            f" {report.duplicates.total():>6} {report.lost:>5} {report.seconds:>5.1f} s"
            f" {report.peak_mib:>4.0f} MiB  {done}" + (f"; by hand: {decided}" if decided else "")
        )
    causes = sum((report.duplicates for report in reports), Counter[str]())
    if causes:
        print("\nWhy Telegram messages were sent again (no ticket ever was):")
    for cause, count in causes.most_common():
        print(f"{count:>7}  {cause}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.torture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", default="", help="the seed of an earlier run, to replay it")
    parser.add_argument(
        "--notifications",
        type=int,
        default=10_000,
        help="how many the last scenario has; the others have a tenth or a fifth (default: 10000)",
    )
    options = parser.parse_args()
    seed = options.seed or os.urandom(4).hex()
    replay = f"Replay: make torture SEED={seed} NOTIFICATIONS={options.notifications}"
    print(replay, flush=True)
    return exit_code_of(
        "torture", lambda: _torture(seed, options.notifications, replay), Stuck, hint=replay
    )


def _torture(seed: str, notifications: int, replay: str) -> int:
    reports = torture(seed, notifications)
    show(reports)
    problems = [(report.scenario, each) for report in reports for each in report.problems]
    if not problems:
        print("\nNothing was lost, and nothing was sent twice without a cause.")
        return 0
    print(f"\n{len(problems)} problems:")
    for scenario, problem in problems[:SHOWN_PROBLEMS]:
        print(f"  {scenario}: {problem}")
    if len(problems) > SHOWN_PROBLEMS:
        print(f"  and {len(problems) - SHOWN_PROBLEMS} more")
    print(replay)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
