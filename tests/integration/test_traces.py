"""A task is one trace of OpenTelemetry, through all agents and processes that work on it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt
from opentelemetry.trace import SpanKind, StatusCode

from tailrace import delegate, write
from tailrace.tracing import names
from tests.sample_agents.waits_at_gate import Gate, waits_at_gate
from tests.support.collector import Collector, collecting
from tests.support.conditions import eventually
from tests.support.events import message
from tests.support.in_process import agent, system
from tests.support.models import calls, says
from tests.support.recorded import Recorded
from tests.support.restarting_agent import restarting_agent
from tests.support.webhook_receiver import receiver, sending

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
ANOTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SECRET = "the weather of Narnia"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    sdk = Recorded()
    sdk.install(monkeypatch)
    return sdk


def consulting(url: str) -> StateGraph[Any, Any, Any, Any]:
    """A model calls a tool, which asks the agent at `url`; then the model answers."""
    model = says(calls("consult", {"about": SECRET}), SECRET)

    @tool
    async def consult(about: str) -> str:
        """Ask the other agent."""
        return (await delegate(url, about)).text

    async def think(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    def next_of(state: MessagesState) -> str:
        return "tools" if state["messages"][-1].tool_calls else "__end__"

    builder = StateGraph(MessagesState).add_node(think).add_node("tools", ToolNode([consult])).add_edge(START, "think")
    return builder.add_conditional_edges("think", next_of, ["tools", "__end__"]).add_edge("tools", "think")


async def test_a_task_is_one_trace_through_agents_and_a_killed_worker(tmp_path: Path, recorded: Recorded) -> None:
    (tmp_path / "killable").mkdir()
    (stand_still := tmp_path / "killable" / "stand still at tell:middle").touch()
    with collecting() as collector:
        sends = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "10",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
        }
        async with (
            restarting_agent(tmp_path / "killable", **sends) as other,
            system(consulting(other.url), tmp_path / "own", agent_urls=other.url) as sut,
        ):
            task_id = await sut.post({"text": SECRET}, traceparent=CALLER)
            # What it has not sent yet dies with it.
            await eventually(lambda: stand_still.with_name("standing").exists() and created_in(collector))
            other.signal(signal.SIGKILL)
            stand_still.unlink()
            assert (await sut.read(task_id)).state == "TASK_STATE_COMPLETED"
            assert other.deaths == 1
            await eventually(lambda: attempts_in(collector) and names.TAKEOVERS in collector.metrics())

    assert {f"{span.context.trace_id:032x}" for span in recorded.spans} == {TRACE}
    assert {span.trace_id.hex() for span in collector.spans()} == {TRACE}
    assert f"{recorded.one('task orchestrator').parent.span_id:016x}" == "b7ad6b7169203331"
    called = ["task orchestrator", "invoke_agent orchestrator", "node tools", "execute_tool consult"]
    assert recorded.path(recorded.one("execute_tool consult")) == called
    (call,) = [span for span in recorded.spans if span.name == "invoke_agent killable"]
    assert recorded.path(call) == [*called, "invoke_agent killable"]
    assert [*called[:2], "node think", "chat"] == recorded.path(recorded.all("chat")[0])
    assert recorded.path(recorded.all("SubscribeToTask")[-1]) == ["task orchestrator", "SubscribeToTask"]
    asked = recorded.one("SendStreamingMessage")
    assert asked.parent.span_id == call.context.span_id

    # In the other agent's processes: the second one is told to go on in the trace by the task's head.
    (created,) = created_in(collector)
    assert created.parent_span_id.hex() == f"{asked.context.span_id:016x}"
    (attempt,) = attempts_in(collector)
    assert attempt.parent_span_id == created.span_id
    told = {each.key: each.value for each in attempt.attributes}
    assert told[names.ATTEMPT].int_value == 2
    assert told[names.REASON].string_value == "worker lost"
    assert call.attributes[names.TASK_ID] == told[names.TASK_ID].string_value
    # The first process had no time to end this span, and perhaps none to send its others.
    (tell,) = [span for span in collector.spans() if span.name == "node tell"]
    assert tell.parent_span_id == attempt.span_id
    assert collector.services() == {"killable"}

    chat = recorded.all("chat")[0]
    assert (chat.attributes[names.INPUT_TOKENS], chat.attributes[names.OUTPUT_TOKENS]) == (11, 7)
    assert chat.kind is call.kind is asked.kind is SpanKind.CLIENT
    shown = [str(span.attributes) for span in recorded.spans] + [str(span) for span in collector.spans()]
    assert SECRET not in "".join(shown)
    assert [point.value for point in recorded.points(names.OPEN_STREAMS)] == [0]
    assert all(point.count > 0 and point.sum < 3600 for point in recorded.points(names.LAG))


def created_in(collector: Collector) -> list[Any]:
    return [span for span in collector.spans() if span.name == "task killable"]


def attempts_in(collector: Collector) -> list[Any]:
    return [span for span in collector.spans() if span.name == "invoke_agent killable"]


async def ask(state: MessagesState) -> None:
    if interrupt("Well?") == "fail":
        raise ValueError(SECRET)


ASKING = StateGraph(MessagesState).add_node(ask).add_edge(START, "ask")


async def test_a_run_after_a_question_goes_on_in_the_tasks_trace(recorded: Recorded) -> None:
    async with agent(ASKING) as sut:
        sent = await sut.result("SendMessage", {"message": message("go")}, traceparent=CALLER)
        reply = message("fail", taskId=sent["task"]["id"])
        done = await sut.result("SendMessage", {"message": reply}, traceparent=ANOTHER)
        assert done["task"]["status"]["state"] == "TASK_STATE_FAILED"
    first, second = recorded.all("invoke_agent hello_world")
    task = recorded.one("task hello_world").context
    assert [first.parent.span_id, second.parent.span_id] == [task.span_id, task.span_id]
    assert not first.links
    (link,) = second.links
    assert f"{link.context.trace_id:032x}" == ANOTHER.split("-")[1]
    asking, failing = recorded.all("node ask")
    assert asking.attributes[names.INTERRUPTED]
    assert first.attributes[names.TASK_STATE] == "TASK_STATE_INPUT_REQUIRED"
    assert {span.status.status_code for span in (first, asking)} == {StatusCode.UNSET}
    for span in (second, failing):
        assert (span.status.status_code, span.attributes[names.ERROR]) == (StatusCode.ERROR, "ValueError")
        assert SECRET not in span.to_json()


async def test_who_cancels_has_not_failed(recorded: Recorded) -> None:
    gate = Gate()
    async with agent(waits_at_gate(gate)) as sut:
        task = await sut.begin("go")
        await gate.reached.wait()
        await sut.result("CancelTask", {"id": task["id"]})
    attempt = recorded.one("invoke_agent hello_world")
    assert attempt.attributes[names.TASK_STATE] == "TASK_STATE_CANCELED"
    node = [span for span in recorded.spans if span.name.startswith("node")][-1]
    assert node.attributes[names.CANCELED]
    assert {span.status.status_code for span in recorded.spans} == {StatusCode.UNSET}


async def test_an_authors_span_is_between_its_node_and_what_it_calls(recorded: Recorded) -> None:
    @tool
    async def look() -> str:
        """Looks."""
        return "seen"

    async def work(state: MessagesState) -> None:
        await look.ainvoke({})
        with recorded.traces.get_tracer("author").start_as_current_span("own"):
            await says("yes").ainvoke("?")

    async with agent(StateGraph(MessagesState).add_node(work).add_conditional_edges(START, lambda _: "work")) as sut:
        await sut.result("SendMessage", {"message": message("go")})
    assert {span.name for span in recorded.spans if span.name.startswith("node")} == {"node work"}
    above = ["task hello_world", "invoke_agent hello_world", "node work"]
    assert recorded.path(recorded.one("chat")) == [*above, "own", "chat"]
    assert recorded.path(recorded.one("execute_tool look")) == [*above, "execute_tool look"]


@pytest.mark.parametrize("header", [CALLER, "nonsense", None])
async def test_without_an_sdk_a_callers_trace_is_passed_on_as_it_came(header: str | None) -> None:
    headers = {"traceparent": header, "tracestate": "a=1", "baggage": f"user={SECRET}"} if header else {}

    async def greet(state: MessagesState) -> None:
        write("Hello")

    graph = StateGraph(MessagesState).add_node(greet).add_edge(START, "greet")
    async with receiver() as hook, agent(graph, push_internal=1) as sut:
        task = (await sut.result("SendMessage", sending("go", hook), **headers))["task"]
        await hook.ended()
        head = await sut.log.head(task["id"])
    passed = {name: value for name, value in hook.headers[0].items() if name in (*headers, "traceparent")}
    assert passed == ({"traceparent": CALLER, "tracestate": "a=1"} if header == CALLER else {})
    assert head.trace == (f"{CALLER} a=1" if header == CALLER else "")
