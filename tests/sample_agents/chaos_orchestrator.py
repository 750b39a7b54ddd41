"""An orchestrator with everything that a takeover can get wrong, and one right result for each request.

It has parallel branches, several artifacts (two branches share one), a nested graph, a model's text, delegated tasks
and a question to the user. The first data part of the message is
`{"lines": n, "pause_ms": p, "ask": bool, "delegations": how many specialists, "turn": the task's name in its context}`.
"""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import msgspec
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START, StateGraph
from langgraph.types import Overwrite, Send, interrupt

from orchestrator.answer import SpecialistAnswer
from orchestrator.consult import consult
from orchestrator.planning import Delegation
from tailrace import AgentCard, Skill, progress, request, result, write
from tailrace.config import Settings
from tests.sample_agents.side_file import done

SPECIALISTS = ("specialist_one", "specialist_two")
MODEL_TEXT = "The report is whole: no line was lost, none was written twice, and all of them are in their order."


class State(TypedDict, total=False):
    messages: list[Any]
    turns: Annotated[list[str], operator.add]  # the keys of the context's tasks
    pattern: str
    answers: Annotated[list[str], operator.add]  # each a `SpecialistAnswer` as JSON, which a checkpoint can hold
    counts: Annotated[list[str], operator.add]
    inner_counts: Annotated[list[str], operator.add]


class Nested(TypedDict, total=False):
    messages: list[Any]
    inner_counts: Annotated[list[str], operator.add]


async def _lines(name: str, *artifacts: str, share: int = 1) -> None:
    """Write the requested number of lines, divided by `share`, to each of the artifacts."""
    options = request().data[0]
    for number in range(options["lines"] // share):
        for artifact in artifacts:
            write(f"{name} {number}\n", artifact=artifact)
        if number % 4 == 0:
            progress(f"{name} {number}", done=number, total=options["lines"])
        await asyncio.sleep(options["pause_ms"] / 1000)


async def opening(state: State) -> State:
    write("# Report\n\n")
    await _lines("opening", "response", share=2)
    done("opening")
    # All but the turns is for this task alone.
    anew: Any = {"counts": Overwrite(["opening"]), "inner_counts": Overwrite([]), "answers": Overwrite([])}
    return {**anew, "turns": [request().data[0]["turn"]]}


async def question(state: State) -> State:
    pattern = interrupt({"question": "Which pattern?"}) if request().data[0]["ask"] else "plain"
    write(f"The pattern is {pattern}.\n")
    done("question")
    return {"pattern": pattern}


def _approved(name: str) -> None:
    """Wait for an approval of this branch, if the request wants that, and write it."""
    if request().data[0].get("approvals"):
        write(f"{name}: {interrupt({'question': f'Go on with {name}?'})}\n", artifact=name)


async def left(state: State) -> State:
    _approved("left")
    await _lines("left", "left", "both")
    done("left")
    return {"counts": ["left"]}


async def right(state: State) -> State:
    _approved("right")
    await _lines("right", "right", "both")
    done("right")
    return {"counts": ["right"]}


async def inner_one(state: Nested) -> Nested:
    await _lines("inner_one", "nested", share=2)
    done("inner_one")
    return {"inner_counts": ["inner_one"]}


async def inner_two(state: Nested) -> Nested:
    await _lines("inner_two", "nested", share=2)
    done("inner_two")
    return {"inner_counts": ["inner_two"]}


async def delegation(state: Any) -> State:
    answer = await consult(state)
    done(f"delegation {state['agent']}")
    return {"answers": [msgspec.json.encode(answer).decode()]}


async def joined(state: State) -> State:
    await _lines("joined", "left", share=2)
    done("joined")
    return {"counts": ["joined"]}


async def model(state: State) -> State:
    chat_model = GenericFakeChatModel(messages=iter([AIMessage(content=MODEL_TEXT)]))
    async for _ in chat_model.astream("Finish the report."):
        await asyncio.sleep(request().data[0]["pause_ms"] / 4000)
    done("model")
    return {}


async def finish(state: State) -> State:
    answers = [msgspec.json.decode(answer, type=SpecialistAnswer) for answer in state.get("answers", [])]
    findings = sorted((finding for answer in answers for finding in answer.findings), key=lambda f: f.subject)
    errors = sorted(f"{answer.agent}: {answer.error}" for answer in answers if answer.error)
    counts = sorted(state["counts"] + state["inner_counts"])
    result("findings", {"findings": msgspec.to_builtins(findings), "errors": errors, "counts": counts})
    result("thread", {"turns": state["turns"]})
    write("\n\nDone.\n")
    done("finish")
    return {}


def _spread(state: State) -> list[Any]:
    urls = dict(zip(SPECIALISTS, Settings.load().specialists, strict=True))
    delegations = [
        Send("delegation", delegation_to(name, urls[name])) for name in SPECIALISTS[: request().data[0]["delegations"]]
    ]
    return ["left", "right", "nested", *delegations]


def delegation_to(name: str, url: str) -> Delegation:
    return Delegation(agent=name, url=url, topics=None, modes=[], reason="", parts=len(request().parts), alone=False)


nested = StateGraph(Nested).add_sequence([inner_one, inner_two]).add_edge(START, "inner_one").compile()
builder = StateGraph(State)
for node in (opening, question, left, right, delegation, joined, model, finish):
    builder.add_node(node.__name__, node)
builder.add_node("nested", nested)
builder.add_edge(START, "opening")
builder.add_edge("opening", "question")
builder.add_conditional_edges("question", _spread, ["left", "right", "nested", "delegation"])
for branch in ("left", "right", "nested", "delegation"):
    builder.add_edge(branch, "joined")
builder.add_edge("joined", "model")
builder.add_edge("model", "finish")
_skill = Skill(id="report", name="report", description="Writes a report.", tags=["test"], examples=[])
card = AgentCard(name="orchestrator", description="Writes a report.", version="1", skills=[_skill])
