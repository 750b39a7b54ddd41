"""An agent that cannot start stops nothing else of `make run`; the console shows its author why it failed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.checkout import ANALYSTS, checkout, running
from tests.support.conditions import eventually
from tests.support.processes import ROOT

SOUND = """
from langgraph.graph import START, MessagesState, StateGraph
from tailrace import AgentApp, AgentCard
graph = StateGraph(MessagesState).add_sequence([("say", lambda state: {})]).add_edge(START, "say")
app = AgentApp(graph, AgentCard(name="sound", description="Works.", version="1", skills=[]))
"""


async def test_agents_that_cannot_start_are_reported_and_the_others_run(tmp_path: Path) -> None:
    broken = {
        "failing": "import no_such_module",
        "mistyped": "def answer(:\n    pass",
        "circular": "from circular.handler import app",
        "unnamed": "handler = print",
        "leaving": "raise SystemExit(0)",
        "unset": "from tailrace.errors import ConfigError\nraise ConfigError('MY_KEY', '', 'set')",
    }
    folder = checkout(tmp_path, ANALYSTS, **broken, sound=SOUND)
    (folder / "functions" / "half_done").mkdir()
    (folder / "functions" / "half_done" / "graph.py").touch()
    async with running(folder) as run:
        await run.until("http://")
        printed = run.text
        for name in broken:
            assert f"{name} does not start: it ended before it answered" in printed
            assert f"{name}.log" in printed
        assert "functions/half_done is no agent: it has no handler.py." in printed
        assert "ModuleNotFoundError: No module named 'no_such_module'" in printed
        assert "SyntaxError: " in printed
        assert "partially initialized module 'circular.handler'" in printed
        assert (
            "functions/unnamed/handler.py has no `app`, but must have one like `app = AgentApp(graph, card)`."
            in printed
        )
        assert "MY_KEY has value ''" in printed
        assert "(exit code 0)" in printed
        assert "leaving.log, has no new lines." in printed
        assert "local/serve.py" not in printed, "the traceback shows our own code"
        async with run.client() as http:
            agents = (await http.get("/api/agents")).json()["agents"]
        assert {agent["name"] for agent in agents if "version" in agent} == {"orchestrator", "sound"}
        assert len(agents) == 2 + len(broken)
        # Once it is fixed, it answers.
        (folder / "functions" / "failing" / "handler.py").write_text(SOUND.replace('"sound"', '"mended"'))
        await run.until("failing answers now.")
        async with run.client() as http:
            agents = (await http.get("/api/agents")).json()["agents"]
        assert "mended" in {agent.get("name") for agent in agents}


@pytest.mark.parametrize("name", ["orchestrator", "gateway"])
async def test_make_run_ends_with_a_reason_if_the_gateway_or_orchestrator_cannot_start(
    name: str, tmp_path: Path
) -> None:
    folder = checkout(tmp_path, ANALYSTS, **{name: "import no_such_module"})
    if name == "gateway":  # its entry is `app.py`, and other functions import its modules
        for part in (ROOT / "functions" / "gateway").glob("*.py"):
            if part.name not in ("app.py", "handler.py", "__init__.py"):
                (folder / "functions" / "gateway" / part.name).symlink_to(part)
        (folder / "functions" / "gateway" / "app.py").write_text("import no_such_module")
    async with running(folder) as run:
        line = await run.until("tailrace: ")
        await run.until("ModuleNotFoundError: No module named 'no_such_module'")
        assert await run.process.wait() == 1
    assert line.startswith(f"tailrace: {name} does not start: it ended before it answered (exit code 1). Its log, ")


async def test_callers_wait_for_an_agent_that_is_killed_while_it_restarts(tmp_path: Path) -> None:
    """If callers were refused meanwhile, they would give up the tasks that the agent is running."""
    starts = tmp_path / "starts"
    starts.mkdir()
    noting = f"import os, pathlib\n(pathlib.Path({str(starts)!r}) / str(os.getpid())).touch()\n"

    async def next_start(known: set[str]) -> int:
        await eventually(lambda: {path.name for path in starts.iterdir()} - known, 60)
        new = {path.name for path in starts.iterdir()} - known
        known |= new
        return int(new.pop())

    known: set[str] = set()
    async with running(checkout(tmp_path, ANALYSTS, sound=f"{noting}{SOUND}")) as run:
        await run.until("http://")
        for _ in range(3):  # the first has answered, the others have not
            os.kill(await next_start(known), signal.SIGKILL)
        await next_start(known)
        async with run.client() as http:
            agents = (await http.get("/api/agents")).json()["agents"]
        run.process.send_signal(signal.SIGINT)
        with pytest.raises(AssertionError):
            await run.until("never printed")
    assert "sound" in {agent.get("name") for agent in agents}
    assert run.text.count("sound ended (SIGKILL) and is restarted") == 3
    assert "does not start" not in run.text
