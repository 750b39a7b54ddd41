"""`python -m tests.resume URL`: play the scenarios against a server, and print which of them it keeps.

The server has to run an agent that knows the vocabulary of README.md. URL is a gateway or an agent: an agent serves a
card. Exits with 1 if a scenario was broken, with 2 if none could be played.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import httpx

from tests.resume.driver import Target, play
from tests.resume.rules import Broken
from tests.resume.scenarios import Scenario, scenarios

# What some scenarios need, and a server has only if its options say so.
HAVE = ("rotation", "window", "pausing", "padding", "limit", "forgetting", "handoff", "death")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.resume", description=__doc__)
    parser.add_argument("url", nargs="?", help="a gateway or an agent")
    parser.add_argument("--browser", help="a gateway")
    parser.add_argument("--agent", help="an agent")
    parser.add_argument("--as", dest="who", action="append", default=[], metavar="'NAME: VALUE'", help="a header")
    parser.add_argument(
        "--others", action="append", default=[], metavar="'NAME: VALUE'", help="the header of another user"
    )
    parser.add_argument("--has", action="append", default=[], choices=HAVE, help="what the server can be made to do")
    parser.add_argument("--only", default="", help="scenarios whose name or requirements contain this")
    options = parser.parse_args()
    if not (options.url or options.browser or options.agent):
        parser.error("there is no server to play against: give URL, --browser URL or --agent URL")
    target = Target(options.browser, options.agent, headers_of(options.who), headers_of(options.others) or None)
    if options.url:
        target = located(options.url, target)
    results = Counter(run(each, target, options.has) for each in scenarios() if matches(each, options.only))
    print("  ".join(f"{count} {what}" for what, count in sorted(results.items())))
    if "broken" in results:
        return 1
    return 0 if "kept" in results else 2


def run(scenario: Scenario, target: Target, has: list[str]) -> str:
    """Play the scenario over each of its interfaces and print a line for each; return the worst result."""
    results = []
    for via in scenario.via:
        if target.url(via) is None:
            continue
        why = missing(scenario, target, has)
        result = f"skipped: {why}" if why else played(scenario, via, target)
        word = result.partition(":")[0]
        results.append(word)
        print(
            f"{word:8}{via:10}{' '.join(scenario.checks):30.30}  {scenario.name}{result.removeprefix(word)}", flush=True
        )
    order = ("broken", "kept", "skipped")
    return min(results, key=order.index, default="without a URL")


def played(scenario: Scenario, via: str, target: Target) -> str:
    try:
        play(scenario, via, target)
    except Broken as error:
        return f"broken: {error}"
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        return f"broken: {type(error).__name__}: {error}"
    return "kept"


def missing(scenario: Scenario, target: Target, has: list[str]) -> str:
    if scenario.needs == "others":
        return "" if target.others else "needs --others"
    return "" if scenario.needs in ("", *has) else f"needs --has {scenario.needs}"


def matches(scenario: Scenario, only: str) -> bool:
    return only in scenario.name or only in scenario.checks


def headers_of(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def located(url: str, target: Target) -> Target:
    """Add `url` to the target: as an agent if it serves a card, as a gateway otherwise."""
    card = httpx.get(f"{url.rstrip('/')}/.well-known/agent-card.json", headers=target.headers)
    if card.is_success and "json" in card.headers.get("content-type", ""):
        return Target(target.browser, url, target.headers, target.others)
    return Target(url, target.agent, target.headers, target.others)


if __name__ == "__main__":
    sys.exit(main())
