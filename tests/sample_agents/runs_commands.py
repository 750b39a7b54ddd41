"""An agent that runs the commands in its request: "3 events; say hello". The README of
`tailrace/conformance` lists the commands.

`;` separates steps, each of which is one execution of the node; `&` separates the commands of a step. Gates and deaths
are files in the data folder, so that they work in any process that runs the task.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from tailrace import AgentApp, AgentCard, Rejected, progress, request, result, write
from tailrace.config import Settings

FINDINGS = {"findings": [{"type": "spike", "subject": "latency", "confidence": 0.9}]}
CARD = AgentCard(name="orchestrator", description="Runs commands.", version="1", skills=[])


class State(TypedDict, total=False):
    messages: list[Any]
    done: int


def runs_commands(folder: Path) -> StateGraph[Any, Any, Any, Any]:
    """Build the graph; its gates are files in `folder`."""

    def path_of(kind: str, name: str) -> Path:
        if not re.fullmatch(r"[\w-]{1,100}", name):
            raise Rejected(f"{name!r} names no gate: use letters, digits, - and _.")
        return folder / f"{kind}-{name}"

    async def act(command: str) -> None:
        word, _, rest = command.partition(" ")
        if word.isdigit() and rest in ("event", "events"):
            for number in range(1, int(word) + 1):
                progress(f"event {number}", done=number, total=int(word))
                if number % 100 == 0:
                    await asyncio.sleep(0)
        elif word == "say":
            write(rest)
        elif word == "result":
            result("findings", FINDINGS)
        elif word == "rest":
            await asyncio.sleep(int(rest) / 1000)
        elif word == "hold":
            while not path_of("gate", rest).exists():
                await asyncio.sleep(0.01)
        elif word == "open":
            path_of("gate", rest).touch()
        elif word == "ask":
            write(f"<{interrupt({'question': rest})}>")
        elif word == "die":
            if not (died := path_of("died", rest)).exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        elif word == "fail":
            raise ValueError(rest or "told to fail")
        elif word == "reject":
            raise Rejected(rest or "told to reject")
        else:
            raise Rejected(f"{command!r} is no word of the vocabulary.")

    async def step(state: State) -> Command[Any]:
        text = str(request().text).split("\n")[0]
        steps = [part.strip() for part in text.split(";") if part.strip()]
        done = state.get("done", 0)
        if done < len(steps):
            for command in steps[done].split("&"):
                await act(command.strip())
        return Command(update={"done": done + 1}, goto="step" if done + 1 < len(steps) else END)

    return StateGraph(State).add_node("step", step, destinations=("step", END)).add_edge(START, "step")


def __getattr__(name: str) -> Any:
    """Make `app` when a server asks for it; a test that needs only the graph makes no app."""
    if name == "app":
        return AgentApp(runs_commands(Path(Settings.load().data_dir)), CARD)
    raise AttributeError(name)
