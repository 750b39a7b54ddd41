"""The orchestrator's graph: plan, ask the specialists in parallel, report."""

from __future__ import annotations

import asyncio
import operator
from functools import cache
from typing import Annotated, Any, TypedDict

import httpx
import msgspec
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, interrupt

from orchestrator.answer import Answer, surest_first, within_bounds
from orchestrator.by_model import choose, write_report
from orchestrator.classify import topics_of
from orchestrator.consult import consult
from orchestrator.planning import Errand, Specialist, plan, specialist_of
from orchestrator.report import only_text, report
from tailrace import request, result, write
from tailrace.a2a.client import new_http
from tailrace.a2a.discovery import discover, interface_of
from tailrace.alert import alert_of
from tailrace.config import Settings
from tailrace.emit import emit
from tailrace.errors import AgentError, shorten
from tailrace.findings import in_order

QUESTION = (
    "What should I look at? Send the logs or the metrics around the alert (a log file, a CSV, an answer of "
    "CloudWatch or Prometheus), or paste some log lines."
)

# What all findings together may take in their one event, compressed.
_PACKED_BYTES = 200_000

_decode_answer = msgspec.json.Decoder(Answer).decode


class State(TypedDict, total=False):
    """What is checkpointed: never the inputs themselves, which are in the log."""

    messages: list[Any]
    errands: list[Errand]
    answers: Annotated[list[str], operator.add]  # each an `Answer` as JSON


@cache
def http() -> httpx.AsyncClient:
    """One HTTP client for the process: making one costs more than a request."""
    return new_http()


async def plan_errands(state: State) -> State:
    """Find out which specialists there are and whom to ask; ask the user when there is nothing to look at."""
    while not topics_of(request()):
        interrupt({"question": f"{_empty_files()}{QUESTION}"})
    specialists, missing = await _specialists()
    errands = plan(request(), specialists)
    errands = await choose(request(), specialists, errands)
    names = [errand["agent"] for errand in errands]
    text = f"Asking {' and '.join(names)}" if names else "There is no specialist to ask"
    emit("route", text=text, targets=[{"agent": e["agent"], "reason": e["reason"]} for e in errands])
    return {"errands": errands, "answers": [_kept(answer) for answer in missing]}


def to_specialists(state: State) -> list[Send] | str:
    return [Send("ask", errand) for errand in state["errands"]] or "report"


async def ask(state: Errand) -> State:
    """One errand, in parallel with the others."""
    return {"answers": [_kept(await consult(http(), state))]}


async def write_up(state: State) -> State:
    """Put the specialists' findings together and write the one report."""
    answers = sorted(map(_decode_answer, state["answers"]), key=lambda answer: answer.agent)
    notes: list[str] = []
    found = surest_first([finding for answer in answers for finding in answer.findings])
    findings = in_order(within_bounds(found, len(found), "findings", notes, _PACKED_BYTES))
    listed = [template for answer in answers for template in answer.templates]
    templates = within_bounds(listed, len(listed), "templates", notes, _PACKED_BYTES // 2)
    result("findings", msgspec.to_builtins({"findings": findings, "templates": templates}))
    alert = alert_of(request())
    if only_text(answers) or not await write_report(alert, answers, findings, notes):
        for section in report(alert, answers, findings, notes):
            write(section)
            await asyncio.sleep(0)
    return {}


def _kept(answer: Answer) -> str:
    """An answer as it is checkpointed: JSON, because another agent's numbers may be larger than msgpack can hold."""
    return msgspec.json.encode(answer).decode()


def _empty_files() -> str:
    """A sentence about files that came without content, if any did."""
    empty = [file.filename for file in request().files]
    return f"Nothing is in {', '.join(shorten(name) for name in empty[:5])}. " if empty else ""


async def _specialists() -> tuple[list[Specialist], list[Answer]]:
    """The specialists that answer, and for each that does not, the line it gets in the report."""

    settings = Settings.load()
    specialists: list[Specialist] = []
    missing: list[Answer] = []

    async def find(url: str) -> None:
        try:
            found = await discover(http(), url, settings)
            specialists.append(specialist_of(found.card, interface_of(found, settings)))
        except AgentError as error:
            missing.append(Answer(agent=url, error=str(error)))

    await asyncio.gather(*(find(url) for url in settings.specialists))
    return sorted(specialists, key=lambda specialist: specialist["agent"]), missing


builder = StateGraph(State)
builder.add_node("plan", plan_errands)
builder.add_node("ask", ask)
builder.add_node("report", write_up)
builder.add_edge(START, "plan")
builder.add_conditional_edges("plan", to_specialists, ["ask", "report"])
builder.add_edge("ask", "report")
builder.add_edge("report", END)
