"""Approvals of LangChain's HumanInTheLoopMiddleware: decisions are checked before they are taken."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.tools import tool

from tests.integration.test_agent_graphs import model
from tests.support.events import metadata, said
from tests.support.in_process import agent
from tests.support.questions import DONE, answer, ids, questions, refusal, send, state


@tool
async def send_mail(to: str) -> str:
    """Send."""
    return f"sent to {to}"


@tool
async def drop_table(name: str) -> str:
    """Drop."""
    return f"dropped {name}"


CALLS = [
    ToolCall(name="send_mail", args={"to": "bob"}, id="call-1"),
    ToolCall(name="drop_table", args={"name": "users"}, id="call-2"),
]
ALLOWED = {"send_mail": True, "drop_table": {"allowed_decisions": ["approve", "reject"]}}


def approving(allowed: Any = ALLOWED, **options: Any) -> Any:
    """An agent that wants to call two tools, and needs an approval for each."""
    middleware = HumanInTheLoopMiddleware(interrupt_on=allowed, **options)
    return create_agent(
        model(AIMessage("I will.", tool_calls=CALLS), "Done.", disable_streaming=True),
        [send_mail, drop_table],
        middleware=[middleware],
    )


def decisions(*each: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"decisions": list(each)}}


APPROVE, REJECT = {"type": "approve"}, {"type": "reject"}


async def outputs(served: Any, task: dict[str, Any]) -> list[str]:
    """What the tools that ran have returned."""
    events = [metadata(event) for event in await served.events(task["id"])]
    return [event["output"] for event in events if event["kind"] == "tool_complete" and event.get("output")]


async def test_an_approval_s_text_says_what_may_be_decided_and_its_data_has_all() -> None:
    async with agent(approving()) as served:
        task = await send(served)
    assert "Decide about send_mail: approve, edit, reject, respond." in said({"task": task})
    assert "Decide about drop_table: approve, reject." in said({"task": task})
    (question,) = questions(task)
    assert [each["args"] for each in question["value"]["action_requests"]] == [{"to": "bob"}, {"name": "users"}]


async def test_nobody_approves_arguments_that_a_terminal_does_not_show() -> None:
    described = {"allowed_decisions": ["approve", "reject"], "description": "A mail goes out."}
    async with agent(approving({**ALLOWED, "send_mail": described})) as served:
        text = said({"task": await send(served)})
    assert 'A mail goes out.\nsend_mail\n  to: "bob"\nDecide about send_mail: approve, reject.' in text
    # LangChain's own description has the arguments as Python writes them.
    assert 'Tool execution requires approval\ndrop_table\n  name: "users"\nDecide about drop_table' in text


async def test_a_terminal_may_decide_about_each_action_by_a_text_of_json() -> None:
    async with agent(approving()) as served:
        task = await send(served)
        text = '{"decisions": [{"type": "approve"}, {"type": "reject"}]}'
        assert state(await answer(served, task, {"text": text})) == DONE
        assert await outputs(served, task) == ["sent to bob"]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        pytest.param(
            {"text": "yes"},
            "Allowed are send_mail: approve, edit, reject, respond; drop_table: approve,",
            id="a bare yes",
        ),
        pytest.param(decisions(APPROVE), "it has 1 decisions for 2 actions", id="too few"),
        pytest.param(decisions(APPROVE, {"type": "edit"}), "decision 2 is 'edit'", id="not allowed"),
        pytest.param(decisions(APPROVE, {"type": "maybe"}), "decision 2 is 'maybe'", id="unknown"),
        pytest.param(
            decisions({"type": "edit"}, APPROVE), "decision 1 has no `edited_action`", id="an edit of nothing"
        ),
        pytest.param(decisions({"type": "respond"}, APPROVE), "decision 1 has no `message`", id="no response"),
        pytest.param({"data": {"decisions": True}}, "Expected `array`, got `bool`", id="no list"),
    ],
)
async def test_a_wrong_decision_is_refused_and_the_task_still_waits(reply: dict[str, Any], why: str) -> None:
    async with agent(approving()) as served:
        task = await send(served)
        assert why in await refusal(served, task, reply)
        task = await answer(served, task, decisions(APPROVE, APPROVE))
    assert state(task) == DONE


async def test_decisions_are_carried_out() -> None:
    edited = {"name": "send_mail", "args": {"to": "eve"}}
    async with agent(approving()) as served:
        task = await answer(
            served,
            await send(served),
            decisions({"type": "edit", "edited_action": edited}, {**REJECT, "message": "no"}),
        )
        assert "sent to eve" in (ran := " ".join(await outputs(served, task)))
    assert state(task) == DONE
    assert "dropped" not in ran


@pytest.mark.parametrize(("text", "ran"), [("approve", ["dropped users", "sent to bob"]), ("reject", [])])
async def test_a_decision_as_text_stands_for_all_actions(text: str, ran: list[str]) -> None:
    async with agent(approving()) as served:
        task = await answer(served, await send(served), {"text": text})
        assert [each for each in sorted(await outputs(served, task)) if "sent" in each or "dropped" in each] == ran
    assert state(task) == DONE


async def test_approvals_of_single_calls_are_decided_one_by_one() -> None:
    async with agent(approving(interrupt_mode="per_call")) as served:
        task = await send(served)
        first, second = (each["id"] for each in questions(task))
        assert 'approval\ntype: tool_approval\ntool_call_id: call-1\nname: send_mail\nargs: {"to":"bob"}' in said(
            {"task": task}
        )
        by_tool = {each["value"]["name"]: each["id"] for each in questions(task)}
        assert {first, second} == set(by_tool.values())
        assert "schema" in questions(task)[0]
        await refusal(served, task, {"data": {"answers": {by_tool["drop_table"]: {"type": "edit"}}}})
        task = await answer(served, task, {"data": {"answers": {by_tool["drop_table"]: REJECT}}})
        assert list(ids(task).values()) == [by_tool["send_mail"]]
        task = await answer(served, task, {"text": "approve"})
        assert "sent to bob" in await outputs(served, task)
    assert state(task) == DONE
