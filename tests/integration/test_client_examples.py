"""The examples in the docstrings of `tailrace.client`, and in docs/CLIENT.md, do what they show."""

from __future__ import annotations

import asyncio
import inspect
import re
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tailrace.client import AsyncClient, Client, Task
from tests.sample_agents.hello_world import TEXT, hello_world
from tests.support.in_process import CARD, agent
from tests.support.processes import ROOT

WITH_EXAMPLES = [name for name, method in vars(AsyncClient).items() if "Example:" in (method.__doc__ or "")]


def example_of(thing: Any) -> dict[str, Any]:
    """Execute the example in a docstring; return the names that it defines."""
    block = re.search(r"^Example:\n((?: {4}.*\n|\n)+)", (inspect.getdoc(thing) or "") + "\n", re.MULTILINE)
    assert block is not None, f"{thing} has no example"
    names: dict[str, Any] = {"AsyncClient": AsyncClient, "Client": Client, "Task": Task}
    exec(compile(textwrap.dedent(block[1]), f"<example of {thing}>", "exec"), names)
    return names


@pytest_asyncio.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncClient]:
    (tmp_path / "app.log").write_text("2026-01-01T10:30:00Z ERROR\n")
    (tmp_path / "cpu.csv").write_text("time,cpu\n2026-01-01T10:30:00Z,1\n")
    monkeypatch.chdir(tmp_path)
    card = CARD.__class__(name="greeter", description="Greets.", version="1", skills=CARD.skills)
    async with agent(hello_world(asyncio.Event()), card=card) as served, AsyncClient(served.url) as connected:
        monkeypatch.setenv("TAILRACE_URL", served.url)
        yield connected


async def test_the_first_example_prints_the_run_and_its_answer(
    client: AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    await example_of(AsyncClient)["main"]()
    printed = capsys.readouterr().out
    assert printed.endswith(TEXT + "\n")
    await asyncio.to_thread(example_of(Client)["main"])
    assert re.sub(r"[0-9a-f-]{36}", "", capsys.readouterr().out) == re.sub(r"[0-9a-f-]{36}", "", printed)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "CLIENT.md").read_text(), re.DOTALL)
    await asyncio.to_thread(exec, compile(block, "docs/CLIENT.md", "exec"), {})
    assert capsys.readouterr().out.endswith(TEXT + "\n")


async def test_the_example_of_each_method_does_what_it_shows(client: AsyncClient) -> None:
    examples = {name: example_of(getattr(AsyncClient, name)) for name in WITH_EXAMPLES}
    assert examples.keys() == {"agents", "cancel", "reply", "send", "stream", "task", "tasks"}
    task = await examples["send"]["begin"](client)
    assert await examples["stream"]["follow"](client, task) == TEXT
    assert await examples["task"]["result"](client, task.id) == TEXT
    asking = await client.send("ask")
    assert await examples["stream"]["follow"](client, asking) == TEXT
    assert await examples["tasks"]["waiting"](client) == [asking.id]
    await examples["reply"]["talk"](client, asking)
    assert (await client.task(asking)).text == f"{TEXT}\n\nIt is yes."
    assert await examples["cancel"]["stop"](client, await client.send("slow")) == "TASK_STATE_CANCELED"
    assert await examples["agents"]["names"](client) == ["greeter"]
