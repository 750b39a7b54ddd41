"""`python -m tailrace.conformance URL`: is this A2A server a resumable one? It says so requirement by requirement.

URL is a gateway, an agent, or an agent's card. The agent has to know the vocabulary of the scenarios (README.md beside
this file); with --text any agent will do that answers the text with some events, and fewer scenarios are played. Exits
with 0 if nothing was broken, with 1 if a requirement was, and with 2 if no scenario could be played.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx

from tailrace.conformance.command import NoCommand, running
from tailrace.conformance.driver import Unplayable, violations
from tailrace.conformance.interfaces import VIAS
from tailrace.conformance.report import BROKEN, KEPT, Played, lines, markdown, one_line, requirements, verdict
from tailrace.conformance.scenarios import Scenario, scenarios
from tailrace.conformance.target import NoServer, Target, located

# What some scenarios need, and a server has only if its options say so.
HAVE = ("rotation", "window", "pausing", "padding", "limit", "forgetting", "handoff", "death")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tailrace.conformance", description=__doc__)
    parser.add_argument("url", nargs="+", help="a gateway, an agent or an agent's card; at most one of each kind")
    parser.add_argument("--command", help="starts the server, and again when it dies: then --has death is shown too")
    header: dict[str, Any] = {"action": "append", "type": header_in, "default": [], "metavar": "'NAME: VALUE'"}
    parser.add_argument("--as", dest="who", help="a header", **header)
    parser.add_argument("--others", help="the header of another user", **header)
    parser.add_argument("--has", action="append", default=[], choices=HAVE, help="what the server can be made to do")
    parser.add_argument("--text", help="what to ask an agent that does not know the vocabulary")
    parser.add_argument("--only", default="", help="scenarios whose name or requirements contain this")
    parser.add_argument("--via", action="append", default=[], choices=VIAS, help="only over these interfaces")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown, and only that")
    options = parser.parse_args(arguments)
    chosen = [scenario for scenario in scenarios() if matches(scenario, options.only)]
    if not chosen:
        parser.error(f"no scenario's name or requirements contain {options.only!r}, as --only has it")
    target = Target(headers=dict(options.who), others=dict(options.others) or None, text=options.text)
    has = [*options.has, *(["death"] if options.command else [])]
    try:
        with running(options.command, options.url[0]) if options.command else contextlib.nullcontext():
            for url in options.url:
                target = located(url, target)
            target = replace(target, vias=tuple(each for each in target.vias if each in (options.via or VIAS)))
            played = [
                each for scenario in chosen for each in played_over_all(scenario, target, has, quiet=options.markdown)
            ]
        all_of_them = requirements(played)
        print(markdown(all_of_them) if options.markdown else f"\n{lines(all_of_them)}\n", flush=True)
        print(verdict(all_of_them), file=sys.stderr if options.markdown else sys.stdout, flush=True)
    except BrokenPipeError:  # `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at its end.
        return 2
    except (NoServer, NoCommand, TimeoutError, OSError) as error:
        print(f"tailrace: {one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    results = [each.result for each in played]
    return 1 if BROKEN in results else 0 if KEPT in results else 2


def played_over_all(scenario: Scenario, target: Target, has: Sequence[str], *, quiet: bool = False) -> list[Played]:
    """Play the scenario over each of its interfaces that the server has, and print a line for each."""
    results = []
    for via in scenario.via:
        if target.url(via) is None:
            continue
        result = played(scenario, via, target, has)
        results.append(result)
        if not quiet:
            what = "; ".join(map(str, result.broken)) or result.left
            print(f"{result.result:7} {via:10} {scenario.name}{f': {one_line(what)}' if what else ''}", flush=True)
    return results


def played(scenario: Scenario, via: str, target: Target, has: Sequence[str]) -> Played:
    """Play the scenario over one interface."""
    result = Played(scenario.name, via, scenario.checks)
    if left := missing(scenario, target, has):
        return replace(result, left=left)
    try:
        return replace(result, broken=violations(scenario, via, target))
    except Unplayable as error:
        return replace(result, left=str(error))
    except httpx.HTTPError as error:
        return replace(result, left=f"the server did not answer: {error or type(error).__name__}")


def missing(scenario: Scenario, target: Target, has: Sequence[str]) -> str:
    """Why the scenario cannot be played against the target; "" if it can."""
    if target.text is not None and not scenario.any_text:
        return "needs an agent that knows the vocabulary"
    if scenario.needs == "others":
        return "" if target.others else "needs --others"
    return "" if scenario.needs in ("", *has) else f"needs --has {scenario.needs}"


def matches(scenario: Scenario, only: str) -> bool:
    """Whether the scenario is one of those that --only names."""
    return only in scenario.name or only in scenario.checks


def header_in(given: str) -> tuple[str, str]:
    """The name and the value of a header in a line like `name: value`."""
    name, _, value = (part.strip() for part in given.partition(":"))
    if not (re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) and value and value.isascii() and value.isprintable()):
        raise argparse.ArgumentTypeError("it must be a header like 'x-tailrace-owner: me', in ASCII")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
