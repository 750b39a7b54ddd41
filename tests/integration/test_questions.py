"""What a graph asks with `interrupt()`, and the replies that are taken or refused."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from langgraph.types import interrupt
from pydantic import BaseModel

from tailrace import Question, request, write
from tailrace.log import Batch
from tailrace.log.memory import MemoryLog
from tests.support.events import metadata, said, state_of
from tests.support.in_process import agent
from tests.support.questions import (
    ASKED,
    DONE,
    FAILED,
    State,
    answer,
    answers,
    asks,
    graph,
    ids,
    questions,
    refusal,
    send,
    state,
    text,
)


class Limits(BaseModel):
    size: int
    price: Decimal


@dataclass
class Place:
    row: int


@pytest.mark.parametrize("key", ["question", "message"])
async def test_a_question_s_whole_value_is_data_beside_its_text_which_has_all_that_there_is_to_judge(key: str) -> None:
    value = {
        "limits": Limits(size=2, price=Decimal("1.5")),
        key: "Take these?",
        "place": Place(3),
        "x": "y" * 900,
        "options": ["yes", "no"],
    }
    async with agent(graph(buy=asks("buy", value))) as served:
        task = await send(served)
    text = task["status"]["message"]["parts"][0]["text"]
    facts = ['limits: {"size":2,"price":"1.5"}', 'place: {"row":3}', f"x: {'y' * 900}"]
    assert text.splitlines() == ["Take these?", *facts, "• yes", "• no"]
    (question,) = questions(task)
    assert question["value"]["x"] == "y" * 900
    assert question["value"]["limits"] == {"size": 2, "price": "1.5"}
    assert question["value"]["place"] == {"row": 3}
    assert question["node"] == "buy"


class Opaque:
    pass


@pytest.mark.parametrize(
    ("value", "where"),
    [(Opaque(), "a value of type tests.integration.test_questions.Opaque"), ({"a": [object()]}, "at a[0]")],
)
async def test_a_question_that_is_no_json_fails_the_task_with_words(value: Any, where: str) -> None:
    async with agent(graph(buy=asks("buy", value))) as served:
        task = await send(served)
    assert state(task) == FAILED
    assert said({"task": task}).startswith("The value of interrupt() in the node buy has ")
    assert where in said({"task": task})


async def test_questions_of_parallel_nodes_are_answered_by_their_ids() -> None:
    async with agent(graph(a=asks("a", "A?"), b=asks("b", "B?"))) as served:
        task = await send(served)
        assert said({"task": task}) == "A?\n\nB?"
        of = ids(task)
        assert of.keys() == {"a", "b"}
        task = await answer(served, task, answers(**{of["b"]: "for b"}))
        assert (state(task), ids(task)) == (ASKED, {"a": of["a"]})
        task = await answer(served, task, answers(**{of["a"]: "for a"}))
    assert (state(task), text(task)) == (DONE, "a: ['for a']\nb: ['for b']")


async def test_one_reply_answers_several_questions_and_the_last_one_needs_no_id() -> None:
    async with agent(graph(a=asks("a", "A?"), b=asks("b", "B?"), c=asks("c", "C?"))) as served:
        task = await send(served)
        task = await answer(served, task, answers(**{ids(task)["a"]: 1, ids(task)["c"]: 3}))
        task = await answer(served, task, {"text": "two"})
    assert (state(task), text(task)) == (DONE, "a: [1]\nb: ['two']\nc: [3]")


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        pytest.param([{"text": "yes"}], "The task asks 2 questions, so a reply has to say as data", id="bare text"),
        pytest.param([{"data": True}], "The task asks 2 questions, so a reply has to say as data", id="bare data"),
        pytest.param([answers(x=1)], "`answers` names 'x', which is no open question", id="an unknown id"),
        pytest.param([answers()], "`answers` names nothing", id="no id"),
    ],
)
async def test_a_reply_that_answers_no_open_question_is_refused_with_the_list(
    parts: list[dict[str, Any]], why: str
) -> None:
    async with agent(graph(a=asks("a", "A?"), b=asks("b", {"question": "B?"}))) as served:
        task = await send(served)
        words = await refusal(served, task, *parts)
        assert why in words
        for node, question_id in ids(task).items():
            assert f"{question_id} ({node}: '{node.upper()}?')" in words
        task = await answer(served, task, answers(**dict.fromkeys(ids(task).values(), "yes")))
    assert state(task) == DONE


async def test_an_answered_question_cannot_be_answered_again() -> None:
    async with agent(graph(a=asks("a", "A?"), b=asks("b", "B?"))) as served:
        first = await send(served)
        task = await answer(served, first, answers(**{ids(first)["a"]: 1}))
        assert "no open question" in await refusal(served, task, answers(**{ids(first)["a"]: 2}))
        task = await answer(served, task, {"text": "done"})
    assert text(task) == "a: [1]\nb: ['done']"


async def test_questions_of_one_node_are_answered_in_their_order() -> None:
    async with agent(graph(a=asks("a", "1?", "2?", "3?"), b=asks("b", "B?"))) as served:
        task = await send(served)
        task = await answer(served, task, answers(**{ids(task)["a"]: "one"}))
        assert said({"task": task}) == "2?\n\nB?"
        task = await answer(served, task, answers(**{ids(task)["b"]: "b", ids(task)["a"]: "two"}))
        assert said({"task": task}) == "3?"
        task = await answer(served, task, {"text": "three"})
    assert text(task) == "a: ['one', 'two', 'three']\nb: ['b']"


async def test_an_answer_to_an_older_question_of_the_same_node_is_refused_and_the_newer_one_still_waits() -> None:
    async with agent(graph(a=asks("a", "Delete 1?", "Delete 2?"))) as served:
        first = await send(served)
        yes = answers(**{ids(first)["a"]: "yes"})
        second = await answer(served, first, yes)
        why = await refusal(served, second, yes)
        assert ("no open question" in why, ids(second)["a"] in why) == (True, True)
        task = await answer(served, second, answers(**{ids(second)["a"]: "no"}))
    assert (state(task), text(task)) == (DONE, "a: ['yes', 'no']")


@pytest.mark.parametrize("value", [False, 0, None, [], {}, "", [True]])
async def test_a_falsy_answer_is_an_answer(value: Any) -> None:
    async with agent(graph(a=asks("a", "A?", "again?"))) as served:
        task = await send(served)
        task = await answer(served, task, {"data": value})
        task = await answer(served, task, answers(**{ids(task)["a"]: value}))
    assert (state(task), text(task)) == (DONE, f"a: {[value, value]!r}")


async def test_of_a_reply_with_text_and_data_the_data_is_the_answer() -> None:
    async with agent(graph(a=asks("a", "A?"))) as served:
        task = await answer(served, await send(served), {"text": "I approve"}, {"data": {"ok": True}})
    assert text(task) == "a: [{'ok': True}]"


async def test_a_reply_that_is_only_a_file_goes_on_with_the_file() -> None:
    async def node(_: State) -> State:
        return {"answers": [f"{interrupt('Which log?')!r} {[file.filename for file in request().files]}"]}

    async with agent(graph(a=node)) as served:
        task = await answer(served, await send(served), {"text": "a,b", "filename": "x.csv"})
    assert text(task) == "'' ['x.csv']"


async def test_an_author_checks_answers_before_they_are_taken() -> None:
    seen: list[Question] = []

    def fits(question: Question, answer: Any) -> str | None:
        seen.append(question)
        return None if answer == "blue" else f"{answer!r} is out of stock."

    async with agent(
        graph(paint=asks("paint", {"question": "Which color?"})), options={"check_answer": fits}
    ) as served:
        task = await send(served)
        why = await refusal(served, task, {"text": "red"})
        assert why == "The answer to 'Which color?' cannot be taken: 'red' is out of stock. The task still waits."
        task = await answer(served, task, {"text": "blue"})
    assert text(task) == "paint: ['blue']"
    assert (seen[0].value, seen[0].node) == ({"question": "Which color?"}, "paint")


async def test_a_nested_question_names_the_innermost_node() -> None:
    inner = graph(inner=asks("inner", "Inner?", "Again?")).compile()

    async def outer(_: State) -> State:
        write("before. ")
        return {"answers": (await inner.ainvoke({}))["answers"]}

    async with agent(graph(outer=outer, other=asks("other", "Other?"))) as served:
        task = await send(served)
        assert ids(task).keys() == {"inner", "other"}
        task = await answer(served, task, answers(**{ids(task)["inner"]: 1}))
        assert {each["value"] for each in questions(task)} == {"Again?", "Other?"}
        task = await answer(served, task, answers(**{ids(task)["inner"]: 2, ids(task)["other"]: 3}))
    assert text(task).endswith("inner: [1, 2]\nother: [3]")
    assert text(task).count("before. ") == 1


async def test_of_two_replies_at_once_each_answers_its_own_question() -> None:
    async with agent(graph(a=asks("a", "A?"), b=asks("b", "B?"))) as served:
        task = await send(served)
        of = ids(task)
        task = await answer(served, task, answers(**{of["a"]: "from Ann"}))
        # Bob had seen both questions, and has sent his answer by its id.
        task = await answer(served, task, answers(**{of["b"]: "from Bob"}))
    assert text(task) == "a: ['from Ann']\nb: ['from Bob']"


async def test_the_steps_of_a_question_say_that_they_wait() -> None:
    async with agent(graph(a=asks("a", "A?"))) as served:
        task = await send(served)
        events = await served.events(task["id"])
    ends = [metadata(event) for event in events if metadata(event)["kind"] == "node_end"]
    assert [(end["name"], end["interrupted"]) for end in ends] == [("a", True)]
    assert state_of(events[-1]) == ASKED


async def test_a_task_that_an_older_version_let_wait_takes_a_bare_reply() -> None:
    """That version wrote the question as text only."""
    log = TextOnly()
    async with agent(graph(a=asks("a", "A?", "again?")), log=log) as served:
        task = await send(served)
        assert task["status"]["message"]["parts"] == [{"text": "A?"}]
        log.text_only = False
        task = await answer(served, task, {"text": "one"})
        assert said({"task": task}) == "again?"
        task = await answer(served, task, answers(**{ids(task)["a"]: "two"}))
    assert (state(task), text(task)) == (DONE, "a: ['one', 'two']")


class TextOnly(MemoryLog):
    """A log in which questions have no data, as long as `text_only` is set."""

    text_only = True

    async def append(self, task_id: str, batch: Batch) -> None:
        if self.text_only:
            batch = Batch(batch.seq, batch.attempt, [_without_data(event) for event in batch.events])
        await super().append(task_id, batch)


def _without_data(event: bytes) -> bytes:
    decoded = msgspec.json.decode(event)
    message = decoded.get("statusUpdate", {}).get("status", {}).get("message")
    if message is not None:
        message["parts"] = [part for part in message["parts"] if "data" not in part]
    return msgspec.json.encode(decoded)
