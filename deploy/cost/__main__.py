"""`python -m deploy.cost`: dollars for 1,000 runs, measured or by the model, and for a month.

python -m deploy.cost                          the typical run, held and with pauses and sleep
python -m deploy.cost model --gateway-mb 256   the same with other numbers
sam logs --stack-name tailrace --output json | python -m deploy.cost lines -
python -m deploy.cost month                    what a month costs without a run, and a container
python -m deploy.cost prices                   the prices and their date
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from deploy.cost import prices
from deploy.cost.lines import measure
from deploy.cost.model import HELD, SLEEPING, Run, awake_s, held_s, usage_of
from deploy.cost.month import Container, container, fixed, open_stream
from deploy.cost.usage import bill, dollars, printed, table, total

_RUNS = 1000


def _number(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.cost", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(what=_presets)
    what = parser.add_subparsers(metavar="COMMAND")
    model = what.add_parser("model", help="by numbers that you choose; docs/OPERATIONS.md says what they are")
    model.set_defaults(what=_model)
    model.add_argument("--held", action="store_true", help="without pauses and sleep")
    for each in msgspec.structs.fields(Run):
        if each.name != "sleeps":
            default = "what follows from the others" if each.default is None else each.default
            kind = _count if each.name in ("gateway_mb", "agent_mb", "logs") else _number
            option = f"--{each.name.replace('_', '-')}"
            model.add_argument(option, dest=each.name, type=kind, metavar="N", help=f"default: {default}")
    lines = what.add_parser("lines", help="by the functions' own log lines")
    lines.set_defaults(what=_lines)
    lines.add_argument("file", help="a file of log lines, or - for stdin")
    lines.add_argument("--runs", type=_count, help="how many runs these lines are; default: the tasks with streams")
    month = what.add_parser("month", help="what a month costs without a run, and a container")
    month.set_defaults(what=_month)
    month.add_argument("--agents", type=_count, default=3)
    month.add_argument("--versions", type=_count, default=1, help="published versions of each agent")
    month.add_argument("--agent-mb", type=_count, default=1024)
    month.add_argument("--gateway-mb", type=_count, default=SLEEPING.gateway_mb)
    what.add_parser("prices", help="the prices and their date").set_defaults(what=_prices)
    return parser


def _presets(_: argparse.Namespace) -> str:
    return "\n\n".join(
        f"{name}\n{_for_runs(run)}"
        for name, run in (
            ("The gateway holds its stream, and the orchestrator waits:", HELD),
            ("A quiet stream pauses, and the orchestrator sleeps:", SLEEPING),
        )
    )


def _for_runs(run: Run) -> str:
    seconds = f"The gateway has a stream for {held_s(run):,.0f} s, the orchestrator is awake for {awake_s(run):,.0f} s."
    if run.sleeps:
        back, wake = f"{run.return_s:g} s (--return-s)", f"{run.wake_s:g} s (--wake-s)"
        seconds += f"\nTo come back takes a reader {back}, to sleep and wake takes {wake}."
        if (run.return_s, run.wake_s) == (SLEEPING.return_s, SLEEPING.wake_s):
            seconds += " Measured on an emulator; `lines` measures on AWS."
    return f"{_heading()}\n{printed(bill(usage_of(run), _RUNS))}\n{seconds}"


def _heading() -> str:
    return f"{_RUNS:,} runs, {prices.REGION}, {prices.ARCHITECTURE}, list prices of {prices.DATE}"


def _model(arguments: argparse.Namespace) -> str:
    chosen: dict[str, Any] = {
        each.name: value
        for each in msgspec.structs.fields(Run)
        if each.name != "sleeps" and (value := getattr(arguments, each.name)) is not None
    }
    return _for_runs(msgspec.structs.replace(HELD if arguments.held else SLEEPING, **chosen))


def _lines(arguments: argparse.Namespace) -> str:
    try:
        text = sys.stdin.read() if arguments.file == "-" else Path(arguments.file).read_text()
    except OSError as error:
        _fail(f"{arguments.file} cannot be read: {error.strerror}.")
    except UnicodeDecodeError:
        _fail(f"{arguments.file} is no text in UTF-8.")
    measured = measure(text)
    if not any(use.invocations for use in measured.usage.functions.values()):
        content = f"{measured.known + sum(measured.unknown.values())} lines, but no `platform.report`"
        _fail(f"{arguments.file} has {content}. The template's functions log it; take the lines of all log groups.")
    runs = arguments.runs or len(measured.tasks)
    if not runs:
        _fail(f"{arguments.file} names no task with a stream, so say how many runs it has: --runs N.")
    parts = [f"{_heading()}, as the {runs} of these lines", printed(bill(measured.usage, _RUNS / runs))]
    if not (measured.usage.reads["measured"] or measured.usage.writes["measured"]):
        parts.append("No line has DynamoDB's units: these are missing from the total.")
    parts.append(f"{measured.known:,} lines are known, {sum(measured.unknown.values()):,} are not.")
    parts += [f"  {count:,} × {name}" for name, count in measured.unknown.most_common()]
    return "\n".join(parts)


def _month(arguments: argparse.Namespace) -> str:
    service, sleeping = container(Container()), msgspec.structs.replace(SLEEPING, active_s=0, bursts=0)
    held, quiet = (
        open_stream(arguments.gateway_mb, 1),
        open_stream(arguments.gateway_mb, held_s(sleeping) / sleeping.stream_s),
    )
    pays = (
        f"A stream that is open and busy all month costs {dollars(held)} of a gateway with {arguments.gateway_mb} MB: "
        f"the container pays from {total(service) / held:.1f} of them. A quiet one costs {dollars(quiet)}: from "
        f"{total(service) / quiet:.0f}."
    )
    parts = [
        f"A month without a run, {prices.REGION}, {prices.ARCHITECTURE}, list prices of {prices.DATE}",
        printed(fixed(arguments.agents, arguments.versions, arguments.agent_mb)),
        "\nThe gateway as a container: two of 0.5 vCPU and 1 GB behind a load balancer",
        printed(service),
        pays,
    ]
    return "\n".join(parts)


def _prices(_: argparse.Namespace) -> str:
    rows = [(price.unit, f"${price.dollars:.10f}".rstrip("0"), f"for {price.per:,.0f}") for price in prices.PRICES]
    return f"{prices.REGION}, {prices.ARCHITECTURE}, {prices.DATE}\n{table(rows)}"


def _fail(text: str) -> NoReturn:
    print(f"cost: {text}", file=sys.stderr)
    sys.exit(1)


def main() -> None:
    arguments = _parser().parse_args()
    print(arguments.what(arguments))


if __name__ == "__main__":
    main()
