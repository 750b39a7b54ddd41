"""What a user sends reaches the graph as the input that its schema names, over A2A and through the gateway."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import BaseModel

from tailrace import AgentApp, Rejected, request, write
from tailrace.errors import ConfigError
from tailrace.inputs.request import Request
from tests.integration.test_claim_check import uploaded
from tests.sample_agents import input_echo
from tests.support.events import artifact_text, message, said, state_of
from tests.support.in_process import CARD, agent, system
from tests.support.restarting_agent import restarting_agent, watch

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
IMAGE = {"raw": base64.b64encode(PNG).decode(), "mediaType": "image/png", "filename": "a.png"}
IMAGE_BLOCK = {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"}
DONE, REJECTED = "TASK_STATE_COMPLETED", "TASK_STATE_REJECTED"


class Trip(BaseModel):
    city: str
    days: int = 1


class Question(TypedDict):
    question: str


class Whole(Question):
    answer: str


def telling(schema: Any, **options: Any) -> StateGraph[Any]:
    """Return a graph whose node writes its state."""

    async def tell(state: Any) -> None:
        write(repr(state))

    return StateGraph(schema, **options).add_node("tell", tell).add_edge(START, "tell")


def of_parts(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"message": message("", **{"parts": list(parts), **fields})}


# Over A2A


@pytest.mark.parametrize(
    ("graph", "data", "written"),
    [
        (telling(Trip), {"city": "Rome", "days": 3}, "Trip(city='Rome', days=3)"),
        (telling(Whole, input_schema=Question), {"question": "why?"}, "{'question': 'why?'}"),
        (telling(input_echo.State), {"city": "Rome"}, "{'messages': [], 'city': 'Rome'}"),
    ],
)
async def test_a_data_part_that_fits_is_the_input(graph: Any, data: dict[str, Any], written: str) -> None:
    async with agent(graph) as served:
        task = (await served.result("SendMessage", of_parts({"data": data})))["task"]
        assert task["status"]["state"] == DONE
        assert artifact_text(await served.events(task["id"])) == written


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"data": {"city": "Rome", "days": "many"}}, "`days` has value 'many', but: Input should be a valid integer"),
        ({"data": {"town": "Rome"}}, "`town` is not one of its fields, which are `city`, `days`"),
        ({"text": "Rome"}, "must have a data part with `city`"),
    ],
)
async def test_data_that_does_not_fit_is_refused_before_a_task_begins(part: dict[str, Any], words: str) -> None:
    async with agent(telling(Trip)) as served:
        error = await served.error("SendMessage", of_parts(part))
        assert error["code"] == -32602
        assert words in error["message"]
        assert (await served.result("ListTasks"))["tasks"] == []


async def test_a_conversation_keeps_the_fields_that_its_first_message_gave() -> None:
    async with agent(telling(Trip)) as served:
        first = (await served.result("SendMessage", of_parts({"data": {"city": "Rome"}})))["task"]
        later = of_parts({"data": {"days": 3}}, contextId=first["contextId"])
        task = (await served.result("SendMessage", later))["task"]
        assert artifact_text(await served.events(task["id"])) == "Trip(city='Rome', days=3)"
        lacking = (await served.result("SendMessage", of_parts({"data": {"days": 3}}, contextId="new")))["task"]
        assert lacking["status"]["state"] == REJECTED
        assert "`city`" in said((await served.events(lacking["id"]))[-1])


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (
            [{"text": "Add them"}],
            "KeyError: 'a'. The message has no data part with `a`; the fields of this agent's input are `a`, `total`.",
        ),
        ([{"data": {"a": 1}}], "KeyError: 'total'"),
    ],
)
async def test_a_node_that_misses_a_field_of_the_input_fails_with_what_the_message_lacks(
    parts: list[dict[str, Any]], words: str
) -> None:
    class Sum(TypedDict):
        a: int
        total: NotRequired[int]

    def add(state: Sum) -> Sum:
        return {"a": state["a"], "total": state["total"]}

    async with agent(StateGraph(Sum).add_node(add).add_edge(START, "add")) as served:
        task = (await served.result("SendMessage", of_parts(*parts)))["task"]
        last = (await served.events(task["id"]))[-1]
    assert said(last) == f"The agent failed in add: {words}"


async def test_an_image_is_a_block_where_the_card_names_its_type() -> None:
    async with agent(input_echo.builder, card=input_echo.card, options={"context": input_echo.context}) as served:
        task = (await served.result("SendMessage", of_parts({"text": "What is this?"}, IMAGE)))["task"]
        seen = json.loads(artifact_text(await served.events(task["id"])))
        assert seen["messages"] == [[task["id"], [{"type": "text", "text": "What is this?"}, IMAGE_BLOCK]]]
        untyped = await served.error("SendMessage", of_parts({**IMAGE, "mediaType": ""}))
        assert untyped["code"] == -32602
        assert "'a.png' is binary; give its mediaType, one of text/plain, image/*, applic" in untyped["message"]
        elsewhere = {"url": "https://example.com/a.png", "mediaType": "image/png"}
        assert "which this agent does not fetch" in (await served.error("SendMessage", of_parts(elsewhere)))["message"]


async def test_an_image_is_refused_where_the_card_names_only_text() -> None:
    async with agent(telling(MessagesState)) as served:
        error = await served.error("SendMessage", of_parts(IMAGE))
        assert (error["code"], "'image/png'; this agent takes text/plain" in error["message"]) == (-32005, True)
        assert (await served.result("ListTasks"))["tasks"] == []


async def test_an_author_makes_the_input_and_the_context() -> None:
    def given(received: Request) -> dict[str, Any]:
        if not received.text:
            raise Rejected("Name a city.")
        return {"city": received.text.title()}

    async with agent(telling(Trip), options={"input": given}) as served:
        task = (await served.result("SendMessage", {"message": message("rome")}))["task"]
        assert artifact_text(await served.events(task["id"])) == "Trip(city='Rome', days=1)"
        refused = (await served.result("SendMessage", of_parts({"data": {"days": 1}})))["task"]["status"]
        assert (refused["state"], refused["message"]["parts"]) == (REJECTED, [{"text": "Name a city."}])


@dataclass
class Model:
    name: str = "small"


@dataclass
class Tenant:
    id: str


class Limits(BaseModel):
    steps: int = 3


@pytest.mark.parametrize(
    ("schema", "context"),
    [(Model, "Model(name='small')"), (Limits, "Limits(steps=3)"), (Tenant, "None"), (None, "None")],
)
async def test_a_context_that_no_author_makes_has_the_defaults_of_its_schema(schema: Any, context: str) -> None:
    async def tell(_: MessagesState, runtime: Runtime[Any]) -> None:
        write(repr(runtime.context))

    graph = StateGraph(MessagesState, context_schema=schema).add_node("tell", tell).add_edge(START, "tell")
    async with agent(graph) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
    assert task["artifacts"][0]["parts"] == [{"text": context}]


@pytest.mark.parametrize("key", ["input", "context"])
def test_a_function_of_the_request_is_not_async(key: str) -> None:
    async def later(_: Request) -> None:
        return None

    with pytest.raises(ConfigError, match=f"{key} has value .*, but must be a function that is not async"):
        AgentApp(telling(Trip), CARD, **{key: later})  # type: ignore[arg-type]


async def test_a_callers_metadata_sets_nothing_in_the_graphs_config() -> None:
    async def tell(_: MessagesState) -> None:
        configurable = get_config()["configurable"]
        write(json.dumps([configurable.get("llm"), configurable["owner"], request().metadata]))

    graph = StateGraph(MessagesState).add_node("tell", tell).add_edge(START, "tell").compile()
    async with agent(graph.with_config(configurable={"llm": "a"})) as served:
        sent = message("hi", metadata={"llm": "b", "owner": "c", "configurable": {"llm": "d"}})
        task = (await served.result("SendMessage", {"message": sent}, x_tailrace_owner="ann"))["task"]
        assert json.loads(artifact_text(await served.events(task["id"]))) == ["a", "ann", sent["metadata"]]


async def test_a_reply_changes_neither_the_input_nor_its_message(tmp_path: Path) -> None:
    """Also where the checkpoints of the question are gone, and the graph begins again."""
    asked: list[Any] = []

    async def ask(state: MessagesState) -> None:
        asked.append([each.content for each in state["messages"]])
        write(str(interrupt("Which?")))

    graph = StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask").compile(checkpointer=InMemorySaver())
    async with agent(graph) as served:
        waiting = (await served.result("SendMessage", {"message": message("one")}))["task"]
        saver: Any = graph.checkpointer
        saver.storage.clear()
        saver.writes.clear()
        await served.result("SendMessage", {"message": message("two", taskId=waiting["id"])})
    assert asked == [["one"], ["one"]]


# After a kill, and through the gateway


class Visit(TypedDict):
    trip: Trip
    on: date


@entrypoint()
async def plan(trip: Trip) -> None:
    write(f"{trip!r} {interrupt('Go?')}")


async def visit(state: Visit) -> None:
    write(f"{state!r} {interrupt('Go?')}")


@pytest.mark.parametrize(
    ("graph", "data", "written"),
    [
        (plan, {"city": "Rome"}, "Trip(city='Rome', days=1) yes"),
        (
            StateGraph(Visit).add_node("visit", visit).add_edge(START, "visit"),
            {"trip": {"city": "Rome"}, "on": "2026-11-28"},
            "{'trip': Trip(city='Rome', days=1), 'on': datetime.date(2026, 11, 28)} yes",
        ),
    ],
)
async def test_a_typed_input_is_read_again_from_its_checkpoint(
    graph: Any, data: dict[str, Any], written: str, tmp_path: Path
) -> None:
    async with agent(graph, store="sqlite", data_dir=str(tmp_path)) as served:
        waiting = (await served.result("SendMessage", of_parts({"data": data})))["task"]
        task = (await served.result("SendMessage", {"message": message("yes", taskId=waiting["id"])}))["task"]
        assert task["status"]["state"] == DONE
        assert artifact_text(await served.events(task["id"])) == written


async def test_a_takeover_makes_the_same_input(tmp_path: Path) -> None:
    (tmp_path / "die at context").touch()
    async with restarting_agent(tmp_path, "input_echo") as dying:
        watched = await watch(dying, "go")
        assert dying.deaths == 1
    seen = json.loads(watched.response)
    assert seen["messages"] == [[watched.task_id, "go"]]
    assert seen["context"] == {"owner": "me", "tenant": ""}


async def test_the_gateway_passes_everything_on(tmp_path: Path) -> None:
    options = {"context": input_echo.context, "input_modes": input_echo.card.input_modes}
    async with system(input_echo.builder, tmp_path, options=options) as sut:
        image = await uploaded(sut.http, PNG, filename="a.png", mediaType="image/png")
        sent = {
            "parts": [{"text": "What is this?"}, image, {"data": {"city": "Rome"}}],
            "contextId": "c-1",
            "metadata": {"tenant": "acme"},
            "referenceTaskIds": ["t-1"],
        }
        created = (await sut.http.post("/api/tasks", json={"message": sent})).json()
        seen = json.loads(artifact_text((await sut.read(created["id"])).events))
    assert seen == {
        "city": "Rome",
        "messages": [[created["id"], [{"type": "text", "text": "What is this?"}, IMAGE_BLOCK]]],
        "context": {"owner": "alice", "tenant": "acme"},
        "request": {
            "text": "What is this?",
            "context_id": "c-1",
            "metadata": {"tenant": "acme"},
            "reference_tasks": ["t-1"],
            "owner": "alice",
        },
    }


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"data": {"city": 1}}, "The data part does not fit this agent's input: `city` has value 1, but: "),
        ({"data": {"town": "Rome"}}, "`town` is not one of its fields, which are `city`, `days`"),
        (IMAGE, "A part has mediaType 'image/png'; this agent takes text/plain"),
        (
            {**IMAGE, "mediaType": "application/octet-stream"},
            "'a.png' is binary; give its mediaType, one of text/plain",
        ),
    ],
)
async def test_what_the_gateway_cannot_know_the_agent_rejects(part: dict[str, Any], words: str, tmp_path: Path) -> None:
    async with system(telling(Trip), tmp_path) as sut:
        seen = await sut.read(await sut.post({"text": "hi"}, part))
    assert (seen.state, state_of(seen.events[-1])) == (REJECTED, REJECTED)
    assert words in said(seen.events[-1])
