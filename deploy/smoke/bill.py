"""What Lambda and DynamoDB say that the checks have used, against the model of `deploy.cost`.

The functions' log lines are read with the credentials of this machine. Lambda writes them with some delay.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

from deploy.cost.lines import Measured, measure
from deploy.cost.model import HELD, SLEEPING, usage_of
from deploy.cost.usage import Usage, bill, dollars, total
from deploy.smoke.report import Rows, SmokeError

# Returns the lines since a time, in seconds since the epoch, as JSON lines with their log streams' names.
ReadLines = Callable[[float], str]

_RUNS = 1000
# How many times as much as the model says is no longer explained by cold starts and by streams whose reader has gone.
_TOO_MUCH = 3.0
_WAIT_S, _PAUSE_S = 180.0, 5.0
_NO_AGENTS = ("Gateway", "Sweeper")


class Seen(msgspec.Struct, frozen=True):
    """What the checks have done: `runs` of `run_s` seconds and so many events each, and streams open for `stream_s`."""

    runs: int
    run_s: float
    stream_s: float
    events: int


async def check_bill(read: ReadLines | None, since: float, seen: Seen, rows: Rows) -> None:
    """Compare what was used since a time with what the model expects.

    Raises:
        SmokeError: it was more than three times as much.
    """
    if read is None:
        rows.append(("bill", "not checked: `make smoke STACK=…` reads the functions' log lines with your credentials"))
        return
    measured = await _all_lines(read, since, seen.runs)
    expected, used = total(bill(expected_use(seen), _RUNS)), total(bill(measured.usage, _RUNS / seen.runs))
    comparison = f"{dollars(used)} for 1,000 such runs, the model says {dollars(expected)}"
    if used > _TOO_MUCH * expected:
        functions = ", ".join(f"{name} {use.seconds:.0f} s" for name, use in measured.usage.functions.items())
        raise SmokeError(
            f"The bill is {comparison}: {functions}.",
            "`python -m deploy.cost lines` on these lines shows where; a function that is billed long after its run "
            "has a stream that nobody reads, or a node that does not end.",
        )
    rows.append(("bill", comparison))
    if unknown := sum(measured.unknown.values()):
        rows.append(("", f"{unknown} log lines are unknown: {', '.join(measured.unknown)}"))


def expected_use(seen: Seen) -> Usage:
    """Return what the model expects: agents that run while their run does, and a gateway while its streams are open."""
    run = msgspec.structs.replace(
        HELD,
        stream_s=max(seen.stream_s, seen.run_s),
        active_s=seen.run_s,
        orchestrator_awake_s=seen.run_s,
        specialist_s=HELD.specialists * seen.run_s,
        # A reader that has gone is not noticed: the cut stream goes on until the run ends.
        gateway_held_s=seen.stream_s + seen.run_s,
        events=seen.events,
        logs=2,
        gateway_mb=SLEEPING.gateway_mb,
    )
    return usage_of(run)


async def _all_lines(read: ReadLines, since: float, runs: int) -> Measured:
    """Return what the lines say as soon as each run's agents have reported."""
    give_up = time.monotonic() + _WAIT_S
    while True:
        measured = measure(await asyncio.to_thread(read, since))
        functions = measured.usage.functions.items()
        reported = sum(use.invocations for name, use in functions if not name.startswith(_NO_AGENTS))
        if reported >= runs * (1 + HELD.specialists):
            return measured
        if time.monotonic() > give_up:
            raise SmokeError(
                f"After {_WAIT_S:.0f} s the log groups have {reported:.0f} reports of agents.",
                "check that STACK is this deployment's name, and that the functions may write log lines.",
            )
        await asyncio.sleep(_PAUSE_S)


def lines_of(stack: str) -> ReadLines:
    """Return a reader of the log groups of a stack. It raises a SmokeError if they cannot be read."""
    from botocore.exceptions import BotoCoreError, ClientError

    from deploy.refusals import new_session, reason_of

    def read(since: float) -> str:
        lines = list[str]()
        try:
            client: Any = new_session().client("logs")
            for page in client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"/tailrace/{stack}/"):
                for group in page["logGroups"]:
                    lines += _events(client, group["logGroupName"], since)
        except (BotoCoreError, ClientError) as error:
            remedy = "AWS_PROFILE and AWS_DEFAULT_REGION say whose and where; without STACK the bill is left out."
            raise SmokeError(f"The log lines of {stack} cannot be read: {reason_of(error)}", remedy) from None
        return "\n".join(lines)

    return read


def _events(client: Any, group: str, since: float) -> list[str]:
    pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=int(since * 1000))
    return [msgspec.json.encode(event).decode() for page in pages for event in page["events"]]
