"""The orchestrator's graph: plan, ask the specialists in parallel, write the report."""

from __future__ import annotations

import asyncio
import operator
from functools import cache
from typing import Annotated, Any, TypedDict

import httpx
import msgspec
from langgraph.config import get_config
from langgraph.graph import START, StateGraph
from langgraph.types import Overwrite, Send, interrupt

from orchestrator.answer import SpecialistAnswer, together
from orchestrator.by_model import choose, write_report
from orchestrator.classify import topics_of
from orchestrator.consult import consult
from orchestrator.planning import Delegation, Specialist, plan, specialist_of, with_unique_names
from orchestrator.questions import question_for
from orchestrator.report import only_text, report
from tailrace import request, result, write
from tailrace.a2a.client import new_http
from tailrace.a2a.discovery import discover, interface_of
from tailrace.authoring.emit import emit
from tailrace.config import Settings
from tailrace.errors import AgentError
from tailrace.events import Target
from triage.alert import alert_of

_decode_answer = msgspec.json.Decoder(SpecialistAnswer).decode


class State(TypedDict, total=False):
    """What the nodes pass on. The user's input is not in it, because the task's log has it."""

    messages: list[Any]
    delegations: list[Delegation]
    answers: Annotated[list[str], operator.add]  # each a `SpecialistAnswer` as JSON (`_encoded`)


@cache
def http() -> httpx.AsyncClient:
    """Return the process's HTTP client: making one takes longer than a request."""
    return new_http()


async def plan_delegations(state: State) -> State:
    """Find the specialists and decide whom to ask; ask the user if the request fits nobody."""
    specialists, missing = await _specialists()
    reply: Any = None
    while not (delegations := plan(request(), specialists)) and _worth_asking(specialists, missing):
        # When the user answers, this node runs again from its start, and its request has the answer.
        reply = interrupt({"question": question_for(request(), specialists, reply)})
    if delegations:
        delegations = await choose(request(), _useful(specialists), delegations)
    names = [delegation["agent"] for delegation in delegations]
    text = f"Asking {' and '.join(names)}" if names else "There is no specialist to ask"
    emit("route", text=text, targets=[Target(each["agent"], each["reason"]) for each in delegations])
    # In the thread there may still be the answers to the context's earlier task.
    answers: Any = Overwrite([_encoded(answer) for answer in missing])
    return {"delegations": delegations, "answers": answers}


def _worth_asking(specialists: list[Specialist], missing: list[SpecialistAnswer]) -> bool:
    """Return whether a reply of the user could help. It cannot if the specialist that fits may be the missing one."""
    return bool(specialists) and not (missing and topics_of(request()))


def _useful(specialists: list[Specialist]) -> list[Specialist]:
    """Return the specialists, without analysts if there is nothing to analyse."""
    return specialists if topics_of(request()) else [each for each in specialists if not each["topics"]]


def to_specialists(state: State) -> list[Send] | str:
    """Return one `ask` for each delegation, or the report if there is none."""
    return [Send("ask", delegation) for delegation in state["delegations"]] or "report"


async def ask(state: Delegation) -> State:
    """Ask one specialist, in parallel with the others."""
    return {"answers": [_encoded(await consult(http(), state))]}


async def write_up(state: State) -> State:
    """Put the specialists' findings together and write the report."""
    answers = sorted(map(_decode_answer, state["answers"]), key=lambda answer: answer.agent)
    notes: list[str] = []
    findings, templates = together(answers, notes)
    result("findings", msgspec.to_builtins({"findings": findings, "templates": templates}))
    alert = alert_of(request())
    if only_text(answers) or not await write_report(alert, answers, findings, notes):
        for section in report(alert, answers, findings, notes):
            write(section, artifact="report")
            await asyncio.sleep(0)
    return {}


def _encoded(answer: SpecialistAnswer) -> str:
    """Return the answer as JSON. Checkpoints are msgpack, which cannot hold every number of another agent."""
    return msgspec.json.encode(answer).decode()


async def _specialists() -> tuple[list[Specialist], list[SpecialistAnswer]]:
    """Return the specialists that can be reached, and for each of the others an answer that says why not."""
    settings = Settings.load()
    specialists: list[Specialist] = []
    missing: list[SpecialistAnswer] = []

    async def find(url: str) -> None:
        try:
            agent = await discover(http(), url, settings)
            specialists.append(specialist_of(agent.card, interface_of(agent, settings)))
        except AgentError as error:
            missing.append(SpecialistAnswer(agent=url, error=str(error)))

    await asyncio.gather(*(find(url) for url in settings.specialists))
    me = get_config()["configurable"].get("agent", "")
    return with_unique_names(specialists, me, settings), missing


builder = StateGraph(State)
builder.add_node("plan", plan_delegations)
builder.add_node("ask", ask)
builder.add_node("report", write_up)
builder.add_edge(START, "plan")
builder.add_conditional_edges("plan", to_specialists, ["ask", "report"])
builder.add_edge("ask", "report")
