"""What cannot be served is refused when the agent starts, with the key, the value and what would be right."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from starlette.types import Message

from tailrace import AgentApp, AgentCard, Skill, write
from tailrace.config import Settings
from tailrace.errors import ConfigError
from tests.support.events import message
from tests.support.in_process import CARD, agent

SETTINGS = Settings(log="memory")
SKILL = Skill(id="talk", name="Talk", description="Says hello.", tags=["test"])


async def says_hello(_: MessagesState) -> dict[str, Any]:
    write("hello")
    return {}


def builder(node: Any = says_hello) -> StateGraph[MessagesState]:
    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node")


def refusal(make: Callable[[], Any]) -> str:
    with pytest.raises(ConfigError) as refused:
        make()
    return str(refused.value)


async def start(app: AgentApp) -> str:
    """Start the app as a server does, and stop it. Return the words with which it refused to start, or ""."""
    answers: list[Message] = []
    steps = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> Message:
        return {"type": next(steps)}

    async def send(answer: Message) -> None:
        answers.append(answer)

    with contextlib.suppress(ConfigError):
        await app({"type": "lifespan"}, receive, send)
    return str(answers[0].get("message", ""))


# The name


@pytest.mark.parametrize("folder", ["Greeter", "HelloWorlds"])
def test_an_agent_that_is_registered_under_another_name_than_its_cards_is_refused_with_both(folder: str) -> None:
    registered = replace(SETTINGS, registered_as=folder)
    words = refusal(lambda: AgentApp(builder(), CARD, settings=registered))
    assert words.startswith(f"The agent's name (AgentCard.name) has value '{CARD.name}', but must be like its folder's")
    assert f"{folder} in template.yaml" in words


def test_an_agents_name_may_differ_from_its_registered_one_in_what_is_no_letter_or_digit() -> None:
    AgentApp(builder(), CARD, settings=replace(SETTINGS, registered_as="HelloWorld"))


# The graph


@pytest.mark.parametrize(
    ("graph", "value"),
    [
        (None, "None"),
        ("graph.py:graph", "'graph.py:graph'"),
        (RunnableLambda(says_hello), "RunnableLambda"),
        (lambda config, runtime: None, "<function"),
    ],
)
def test_what_is_no_graph_is_refused(graph: Any, value: str) -> None:
    words = refusal(lambda: AgentApp(graph, CARD, settings=SETTINGS))
    assert words.startswith(f"graph has value {value}")
    assert "must be a" in words


def test_a_graph_that_does_not_compile_is_refused_with_langgraphs_reason() -> None:
    words = refusal(lambda: AgentApp(StateGraph(MessagesState).add_node("lonely", says_hello), CARD, settings=SETTINGS))
    assert "['lonely']" in words
    assert "a graph that compiles" in words
    assert "entrypoint" in words


@pytest.mark.parametrize("checkpointer", [True, False])
def test_a_graph_without_checkpoints_of_its_own_is_refused(checkpointer: bool) -> None:
    words = refusal(lambda: AgentApp(builder().compile(checkpointer=checkpointer), CARD, settings=SETTINGS))
    assert words.startswith(f"the graph's checkpointer has value {checkpointer}, but must be None, or a checkpointer")


def test_a_subgraph_without_checkpoints_is_refused_by_its_path() -> None:
    inner = builder().compile(checkpointer=False)
    middle = StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner").compile()

    async def calls_it(state: MessagesState) -> Any:
        return await inner.ainvoke(state)

    for outer, path in ((builder(middle), "node/inner"), (builder(calls_it), "node")):
        words = refusal(lambda outer=outer: AgentApp(outer, CARD, settings=SETTINGS))
        assert words.startswith(f"the checkpointer of the subgraph {path!r} has value False, but must be None or True")


def test_a_graph_that_calls_itself_is_taken() -> None:
    async def calls_itself(state: MessagesState) -> Any:
        return await itself.ainvoke(state)

    itself = builder(calls_itself).compile()
    AgentApp(itself, CARD, settings=SETTINGS)


async def test_a_subgraph_without_checkpoints_that_nobody_could_see_fails_its_task_with_words() -> None:
    hidden = {"graph": builder().compile(checkpointer=False)}

    async def calls_it(state: MessagesState) -> Any:
        return await hidden["graph"].ainvoke(state)

    async with agent(builder(calls_it)) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert "compiled with checkpointer=False" in task["status"]["message"]["parts"][0]["text"]


class OnlySync(BaseCheckpointSaver[Any]):
    """As LangGraph's SqliteSaver and PostgresSaver: no method is async."""


async def test_a_checkpointer_without_async_methods_is_refused_at_the_start() -> None:
    words = await start(AgentApp(builder().compile(checkpointer=OnlySync()), CARD, settings=SETTINGS))
    assert words.startswith("the graph's checkpointer has value 'OnlySync', but must be one with async methods")


async def test_a_checkpointer_that_is_away_at_the_start_does_not_stop_the_agent() -> None:
    class Away(InMemorySaver):
        async def aget_tuple(self, config: RunnableConfig) -> Any:
            raise ConnectionError("away")

    assert await start(AgentApp(builder().compile(checkpointer=Away()), CARD, settings=SETTINGS)) == ""


# A function that makes the graph


def makes() -> Any:
    return builder()


def makes_compiled(config: RunnableConfig) -> Any:
    assert config["configurable"] == {"model": "small"}
    return builder().compile()


async def makes_async(config: RunnableConfig | None = None) -> Any:
    assert config is not None
    return makes_compiled(config)


@contextlib.asynccontextmanager
async def makes_for_a_while(config: RunnableConfig) -> AsyncIterator[Any]:
    CLOSED.clear()
    yield makes_compiled(config)
    CLOSED.append("closed")


CLOSED: list[str] = []


@pytest.mark.parametrize("source", [makes, makes_compiled, makes_async, makes_for_a_while])
async def test_a_function_that_makes_the_graph_is_called(source: Any) -> None:
    config = {"configurable": {"model": "small"}}
    async with agent(source, options={"config": config}) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        assert source is not makes_for_a_while or CLOSED == []
    assert task["artifacts"][0]["parts"] == [{"text": "hello"}]
    assert source is not makes_for_a_while or CLOSED == ["closed"]


@pytest.mark.parametrize(("made", "value"), [(None, "None"), (3, "3")])
async def test_a_function_that_makes_something_else_is_refused_at_the_start(made: Any, value: str) -> None:
    async def make_graph() -> Any:
        return made

    words = await start(AgentApp(make_graph, CARD, settings=SETTINGS))
    assert words.startswith(
        f"what the graph function 'make_graph' returned has value {value}, but must be a StateGraph"
    )


# The card


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 1}, "AgentCard.version has value 1, but must be a text"),
        ({"description": None}, "AgentCard.description has value None, but must be a text"),
        ({"name": 7}, "AgentCard.name has value 7, but must be a text"),
        ({"skills": ["greet"]}, "AgentCard.skills has value ['greet'], but must be a list of Skill"),
        ({"skills": SKILL}, "but must be a list of Skill"),
        ({"skills": [{"id": "a", "name": "A", "description": "", "tags": []}]}, "but must be a list of Skill"),
        (
            {"skills": [SKILL, Skill(id="b", name="B", description="", tags="x")]},  # type: ignore[arg-type]
            "AgentCard.skills[1].tags has value 'x', but must be a list of texts",
        ),
        ({"input_modes": "text/plain"}, "AgentCard.input_modes has value 'text/plain', but must be media types"),
        ({"extensions": ["urn:x"]}, "AgentCard.extensions has value ['urn:x'], but must be a list of Extension"),
        ({"security_schemes": []}, "AgentCard.security_schemes has value [], but must be of its type"),
    ],
)
def test_a_card_with_a_field_of_a_wrong_type_is_refused(changes: dict[str, Any], words: str) -> None:
    fields: Any = {"name": "greeter", "description": "Greets.", "version": "1", "skills": [SKILL], **changes}
    assert words in refusal(lambda: AgentApp(builder(), AgentCard(**fields), settings=SETTINGS))


def test_what_is_no_card_is_refused() -> None:
    card: Any = {"name": "greeter"}
    assert refusal(lambda: AgentApp(builder(), card, settings=SETTINGS)) == (
        "card has value {'name': 'greeter'}, but must be an AgentCard."
    )


@pytest.mark.parametrize("name", ["a/../../b", "..\\b", "/etc", "a\0b", ""])
def test_a_name_that_would_leave_the_data_folder_is_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    card = AgentCard(name=name, description="Greets.", version="1", skills=[])
    words = refusal(lambda: AgentApp(builder(), card, settings=Settings(data_dir=str(folder))))
    assert repr(name) in words
    assert not list(tmp_path.iterdir())


async def test_a_name_of_dots_stays_in_the_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    card = AgentCard(name="..", description="Greets.", version="1", skills=[])
    assert await start(AgentApp(builder(), card, settings=Settings(data_dir=str(folder)))) == ""
    assert await asyncio.to_thread(os.listdir, tmp_path) == ["data"]
