"""`message.text` of LangChain is a text of a class of its own. It may stand wherever a text may."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from tailrace import AgentApp, AgentCard, ask, file, progress, result, write
from tailrace.testing import Result, run

pytestmark = pytest.mark.asyncio

CARD = AgentCard(name="texts", description="For tests.", version="1", skills=[])
SAID = AIMessage("said").text


class Answers(TypedDict, total=False):
    answers: Annotated[list[Any], operator.add]


async def run_node(node: Any, *answers: Any) -> Result:
    builder = StateGraph(Answers).add_node("node", node).add_edge(START, "node")
    ended = await run(AgentApp(builder, CARD), answers=answers)
    assert ended.state == "TASK_STATE_COMPLETED", ended.message
    return ended


async def test_it_may_be_written_reported_and_named() -> None:
    assert type(SAID) is not str

    async def node(_: Answers) -> None:
        progress(SAID)
        get_stream_writer()(SAID)
        get_stream_writer()({"said": [SAID]})
        write(SAID, artifact=AIMessage("notes").text)
        result(AIMessage("results").text, {"said": SAID})
        file(AIMessage("files").text, SAID, media_type=AIMessage("text/csv").text)

    ended = await run_node(node)
    statuses = [event.status for event in ended.events if event.metadata.kind == "progress"]
    parts = [status.message.parts[0] for status in statuses if status is not None and status.message is not None]
    assert [part.text or part.data for part in parts] == ["said", "said", {"said": ["said"]}]
    assert (ended.texts, ended.data) == ({"notes": "said"}, {"results": {"said": "said"}})
    assert (ended.files["files"].content, ended.files["files"].media_type) == (b"said", "text/csv")


async def test_it_may_be_in_the_state() -> None:
    async def node(_: Answers) -> Answers:
        return {"answers": [SAID, {"deeper": SAID}]}

    assert (await run_node(node)).data == {"answers": ["said", {"deeper": "said"}]}


async def test_it_may_be_what_a_graph_asks() -> None:
    async def node(_: Answers) -> Answers:
        first = interrupt(SAID)
        second = interrupt({"draft": SAID})
        return {"answers": [first, second, ask(SAID, options=[SAID, "other"])]}

    ended = await run_node(node, "yes", "no", "said")
    assert ended.data == {"answers": ["yes", "no", "said"]}
    asked = [question.value for question in ended.questions]
    assert asked == ["said", {"draft": "said"}, {"question": "said", "options": ["said", "other"]}]


async def test_a_step_that_fails_with_it_says_it() -> None:
    async def node(_: Answers) -> None:
        raise ValueError(SAID)

    builder = StateGraph(Answers).add_node("node", node).add_edge(START, "node")
    ended = await run(AgentApp(builder, CARD))
    assert (ended.state, ended.message) == ("TASK_STATE_FAILED", "The agent failed in node: ValueError: said")
