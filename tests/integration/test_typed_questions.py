"""What `tailrace.ask` asks: questions with options, a type, a JSON Schema or a URL to sign in at."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field

from tailrace import ask
from tests.support.events import said
from tests.support.in_process import agent
from tests.support.questions import (
    ASKED,
    DONE,
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


class Booking(BaseModel):
    people: int = Field(ge=1)
    vegan: bool = False


@pytest.mark.parametrize(
    ("options", "wrong", "why", "right", "taken"),
    [
        pytest.param(
            {"options": ["in", "out"]}, {"text": "on"}, "'on' is not one of", {"text": "in"}, "'in'", id="options"
        ),
        pytest.param(
            {"schema": int}, {"text": "four"}, "'four' is not of type 'integer'", {"text": "4"}, "4", id="a type"
        ),
        pytest.param(
            {"schema": int},
            {"text": "9" * 30},
            "an integer of more than 64 bits",
            {"data": 2**63},
            str(2**63),
            id="size",
        ),
        pytest.param(
            {"schema": {"type": "array", "items": {"type": "string"}}},
            {"data": ["a", 1]},
            "1 is not of type 'string' at $[1].",
            {"data": ["a", "b"]},
            "['a', 'b']",
            id="a JSON Schema",
        ),
        pytest.param(
            {"schema": Booking},
            {"data": {"people": 0}},
            "0 is less than the minimum of 1 at $.people.",
            {"data": {"people": 2}},
            "Booking(people=2, vegan=False)",
            id="a model",
        ),
        pytest.param(
            {"schema": Booking},
            {"text": '{"people": 0}'},
            "0 is less than the minimum of 1 at $.people.",
            {"text": '{"people": 2}'},
            "Booking(people=2, vegan=False)",
            id="a model, typed",
        ),
    ],
)
async def test_a_typed_question_takes_only_what_fits(
    options: dict[str, Any], wrong: dict[str, Any], why: str, right: dict[str, Any], taken: str
) -> None:
    async def node(_: State) -> State:
        return {"answers": [repr(ask("Which?", **options))]}

    async with agent(graph(a=node)) as served:
        task = await send(served)
        assert "schema" in questions(task)[0]
        assert why in await refusal(served, task, wrong)
        task = await answer(served, task, right)
    assert (state(task), text(task)) == (DONE, taken)


async def test_the_options_of_a_question_are_in_its_text() -> None:
    async def node(_: State) -> State:
        return {"answers": [ask("Where?", options=["in", "out"])]}

    async with agent(graph(a=node)) as served:
        assert said({"task": await send(served)}) == "Where?\n• in\n• out"


@pytest.mark.parametrize("options", [{"options": "in, out"}, {"options": [1]}, {"auth_url": "login.example"}])
async def test_ask_refuses_what_it_cannot_ask(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"ask\(\) got (options|auth_url) with value"):
        ask("Where?", **options)


class Code(BaseModel):
    code: str

    def model_post_init(self, _: Any) -> None:
        if self.code != "1234":
            raise ValueError("that is not the code")


async def test_an_answer_that_only_the_type_refuses_is_asked_for_again() -> None:
    """A JSON Schema does not say all that a type checks."""

    async def node(_: State) -> State:
        return {"answers": [ask("Code?", schema=Code).code]}

    async with agent(graph(a=node, b=asks("b", "B?"))) as served:
        task = await send(served)
        task = await answer(served, task, answers(**{ids(task)["a"]: {"code": "1"}, ids(task)["b"]: "b"}))
        assert state(task) == ASKED
        assert said({"task": task}).startswith("An answer cannot be taken: it: Value error, that is not the code.")
        assert "a" in ids(task)
        task = await answer(served, task, answers(**{each: {"code": "1234"} for each in ids(task).values()}))
    assert state(task) == DONE
    assert "1234" in text(task)


@pytest.mark.parametrize("value", [{"auth_url": "https://login.example/x"}, {"auth": "https://login.example/x"}])
async def test_a_url_to_sign_in_at_makes_the_task_wait_for_that(value: dict[str, str]) -> None:
    async with agent(graph(a=asks("a", {"question": "Please sign in.", **value}))) as served:
        task = await send(served)
        assert state(task) == "TASK_STATE_AUTH_REQUIRED"
        assert said({"task": task}) == "Please sign in.\nhttps://login.example/x"
        task = await answer(served, task, {"text": ""})
    assert (state(task), text(task)) == (DONE, "a: ['']")


async def test_ask_with_a_url_waits_until_the_user_has_signed_in() -> None:
    async def node(_: State) -> State:
        return {"answers": [repr(ask("Please sign in.", auth_url="https://login.example/x"))]}

    async with agent(graph(a=node)) as served:
        task = await send(served)
        assert state(task) == "TASK_STATE_AUTH_REQUIRED"
        assert (await answer(served, task, {"text": "done"}))["status"]["state"] == DONE
