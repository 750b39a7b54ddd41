"""An orchestrator with everything that a takeover can get wrong, and one right result for each request.

Parallel branches, several artifacts and one that two branches share, a nested graph, a model's text, specialists that
are asked by the orchestrator's own code, and a question. The first data part of the message is
`{"lines": n, "pause_ms": p, "ask": bool, "delegations": how many specialists}`.
"""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import msgspec
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START, StateGraph
from langgraph.types import Send, interrupt

from orchestrator.answer import SpecialistAnswer
from orchestrator.consult import consult
from orchestrator.graph import http
from tailrace import AgentCard, Skill, progress, request, result, write
from tailrace.config import Settings
from tests.sample_agents.side_file import done

SPECIALISTS = ("spinner", "dyer")
SAYING = "The cloth is whole: no thread was lost, none was woven twice, and all of them are in their order."


class State(TypedDict, total=False):
    messages: list[Any]
    pattern: str
    answers: Annotated[list[str], operator.add]  # each a `SpecialistAnswer` as JSON, which a checkpoint can hold
    counts: Annotated[list[str], operator.add]
    ties: Annotated[list[str], operator.add]


class Nested(TypedDict, total=False):
    messages: list[Any]
    ties: Annotated[list[str], operator.add]


async def _lines(name: str, *artifacts: str, of: int = 1) -> None:
    asked = request().data[0]
    for number in range(asked["lines"] // of):
        for artifact in artifacts:
            write(f"{name} {number}\n", artifact=artifact)
        if number % 4 == 0:
            progress(f"{name} {number}", done=number, total=asked["lines"])
        await asyncio.sleep(asked["pause_ms"] / 1000)


async def warp(state: State) -> State:
    write("# Weaving\n\n")
    await _lines("warp", "response", of=2)
    done("warp")
    return {"counts": ["warp"]}


async def question(state: State) -> State:
    pattern = interrupt({"question": "Which pattern?"}) if request().data[0]["ask"] else "plain"
    write(f"The pattern is {pattern}.\n")
    done("question")
    return {"pattern": pattern}


async def left(state: State) -> State:
    await _lines("left", "left", "both")
    done("left")
    return {"counts": ["left"]}


async def right(state: State) -> State:
    await _lines("right", "right", "both")
    done("right")
    return {"counts": ["right"]}


async def knot(state: Nested) -> Nested:
    await _lines("knot", "nested", of=2)
    done("knot")
    return {"ties": ["knot"]}


async def tie(state: Nested) -> Nested:
    await _lines("tie", "nested", of=2)
    done("tie")
    return {"ties": ["tie"]}


async def delegation(state: Any) -> State:
    answer = await consult(http(), state)
    done(f"delegation {state['agent']}")
    return {"answers": [msgspec.json.encode(answer).decode()]}


async def selvedge(state: State) -> State:
    await _lines("selvedge", "left", of=2)
    done("selvedge")
    return {"counts": ["selvedge"]}


async def say(state: State) -> State:
    model = GenericFakeChatModel(messages=iter([AIMessage(content=SAYING)]))
    async for _ in model.astream("Say it."):
        await asyncio.sleep(request().data[0]["pause_ms"] / 4000)
    done("say")
    return {}


async def finish(state: State) -> State:
    answers = [msgspec.json.decode(answer, type=SpecialistAnswer) for answer in state.get("answers", [])]
    found = sorted((finding for answer in answers for finding in answer.findings), key=lambda f: f.subject)
    errors = sorted(f"{answer.agent}: {answer.error}" for answer in answers if answer.error)
    counts = sorted(state["counts"] + state["ties"])
    result("findings", {"findings": msgspec.to_builtins(found), "errors": errors, "counts": counts})
    write("\n\nDone.\n")
    done("finish")
    return {}


def _spread(state: State) -> list[Any]:
    urls = dict(zip(SPECIALISTS, Settings.load().specialists, strict=True))
    delegations = [
        Send("delegation", {"agent": name, "url": urls[name], "topics": [], "reason": ""})
        for name in SPECIALISTS[: request().data[0]["delegations"]]
    ]
    return ["left", "right", "nested", *delegations]


nested = StateGraph(Nested).add_sequence([knot, tie]).add_edge(START, "knot").compile()
builder = StateGraph(State)
for node in (warp, question, left, right, delegation, selvedge, say, finish):
    builder.add_node(node.__name__, node)
builder.add_node("nested", nested)
builder.add_edge(START, "warp")
builder.add_edge("warp", "question")
builder.add_conditional_edges("question", _spread, ["left", "right", "nested", "delegation"])
for branch in ("left", "right", "nested", "delegation"):
    builder.add_edge(branch, "selvedge")
builder.add_edge("selvedge", "say")
builder.add_edge("say", "finish")
_skill = Skill(id="weave", name="weave", description="Weaves.", tags=["test"], examples=[])
card = AgentCard(name="orchestrator", description="Weaves.", version="1", skills=[_skill])
