"""Our gateway and our agent do what PROTOCOL.md says: each scenario, in each of its ways."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tailrace.conformance.driver import play
from tailrace.conformance.scenarios import Scenario, scenarios
from tailrace.conformance.target import Target
from tailrace.owner import OWNER_HEADER
from tests.resume.servers import SETTINGS, served

CASES = [(scenario, via) for scenario in scenarios() for via in scenario.via]
Serve = Callable[[str], Awaitable[Target]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def serve(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serve]:
    """Servers, each started when the first scenario needs it."""
    started: dict[str, Target] = {}
    async with contextlib.AsyncExitStack() as stack:

        async def start(need: str) -> Target:
            if need not in started:
                server = await stack.enter_async_context(served(tmp_path_factory.mktemp("data"), need))
                started[need] = Target(server.browser, server.agent, {OWNER_HEADER: "alice"}, {OWNER_HEADER: "bob"})
            return started[need]

        yield start


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("scenario", "via"), CASES, ids=[f"{each.name} ({via})" for each, via in CASES])
async def test_the_scenario_is_kept(scenario: Scenario, via: str, serve: Serve) -> None:
    target = await serve(scenario.needs if scenario.needs in SETTINGS else "")
    await asyncio.to_thread(play, scenario, via, target)
