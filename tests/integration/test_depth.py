"""JSON that is nested too deep is refused before anything is written, in requests and in calls of an author."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from tailrace import result
from tailrace.log import Head
from tests.sample_agents.hello_world import hello_world
from tests.support.events import message
from tests.support.in_process import agent
from tests.support.jsonrpc import nested
from tests.support.restarting_agent import restarting_agent
from tests.support.stuck_tasks import UNREADABLE


def one_node(node: Any) -> StateGraph[Any]:
    return StateGraph(dict).add_node("node", node).add_edge(START, "node")


def deep_message(levels: int) -> bytes:
    """Return a request with a data part of so many levels; Python's `json` could not encode it."""
    data = b"[" * levels + b"]" * levels
    return (
        b'{"jsonrpc":"2.0","id":7,"method":"SendMessage","params":{"message":{"messageId":"m","role":"ROLE_USER",'
        b'"parts":[{"data":' + data + b"}]}}}"
    )


@pytest.mark.parametrize(("levels", "words"), [(65, "at most 64 levels"), (960, "80 levels"), (50_000, "80 levels")])
async def test_a_process_refuses_a_deep_message_and_keeps_serving(tmp_path: Path, levels: int, words: str) -> None:
    headers = {"Content-Type": "application/json", "A2A-Version": "1.0", "x-tailrace-owner": "me"}
    async with restarting_agent(tmp_path) as process, httpx.AsyncClient(timeout=60, headers=headers) as http:
        answer = (await http.post(process.url, content=deep_message(levels))).json()
        listed = {"jsonrpc": "2.0", "id": 8, "method": "ListTasks", "params": {}}
        tasks = (await http.post(process.url, json=listed)).json()["result"]["tasks"]
        assert process.deaths == 0
    assert (answer["error"]["code"], tasks) == (-32602, [])
    assert words in answer["error"]["message"]
    assert answer["id"] in (7, None)  # a body that cannot be decoded has no id


async def test_the_0_3_binding_has_the_same_depth_limit() -> None:
    async with agent(hello_world()) as served:
        for levels, refused in ((64, False), (65, True)):
            parts = [{"kind": "text", "text": "hi"}, {"kind": "data", "data": {"a": nested(levels - 1)}}]
            params = {"message": {"role": "user", "messageId": f"m{levels}", "parts": parts}}
            answer = await served.call("message/send", params, version="0.3")
            assert ("error" in answer) == refused, answer
        assert (answer["error"]["code"], "64 levels" in answer["error"]["message"]) == (-32602, True)


async def test_a_message_at_the_depth_limit_is_readable_in_every_response() -> None:
    """A list nests it deepest; 0.3 has frames of its own."""
    async with agent(hello_world()) as served:
        sent = message("hi", metadata={"a": nested(63)})
        sent["parts"].append({"data": nested(64)})
        task = (await served.result("SendMessage", {"message": sent}))["task"]
        listed = await served.result("ListTasks", {"historyLength": 5, "includeArtifacts": True})
        task_v0_3 = await served.result("tasks/get", {"id": task["id"]}, version="0.3")
        frames = await served.frames("SubscribeToTask", {"id": task["id"]}, cursor=0)
    assert task["history"][0]["parts"][1]["data"] == nested(64)
    assert listed["tasks"][0]["history"][0]["parts"][1]["data"] == nested(64)
    assert task_v0_3["history"][0]["parts"][1]["data"] in (nested(64), {"value": nested(64)})
    assert frames[0].result["task"]["history"][0]["parts"][1]["data"] == nested(64)


async def test_a_result_that_is_too_deep_fails_at_the_call_with_a_reason() -> None:
    after: list[str] = []

    async def node(_: Any) -> Any:
        result("findings", {"a": nested(64)})
        after.append("not reached")
        return {}

    async with agent(one_node(node)) as served:
        task = (await served.result("SendMessage", {"message": message("hi")}))["task"]
    (part,) = task["status"]["message"]["parts"]
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert part["text"] == "The data of result('findings') is nested deeper than 64 levels; make it flatter, or a file."
    assert after == []


@pytest.mark.parametrize("value", [nested(200), [10**5_000], ["\ud800"]])
async def test_a_question_that_cannot_be_encoded_does_not_leave_the_task_working(value: Any) -> None:
    async def node(_: Any) -> Any:
        interrupt(value)
        return {}

    async with agent(one_node(node)) as served:
        task = (await served.result("SendMessage", {"message": message("hi")}))["task"]
    assert task["status"]["state"] in ("TASK_STATE_INPUT_REQUIRED", "TASK_STATE_FAILED")
    assert task["status"]["message"]["parts"][0]["text"]


async def test_a_0_3_stream_continues_after_an_unreadable_event() -> None:
    async with agent(hello_world(), lease_s=0.2, renew_s=0.1) as served:
        head = Head(task_id="t", owner="local", context_id="c", agent="hello_world")
        await served.log.create(head, UNREADABLE)
        frames = await served.frames("tasks/resubscribe", {"id": "t"}, cursor=0, version="0.3")
    assert [frame.id for frame in frames] == [1, 2]
    assert frames[0].result == {
        "kind": "status-update",
        "taskId": "t",
        "contextId": "",
        "status": {"state": "unknown"},
        "final": False,
    }
    assert frames[1].result["status"]["state"] == "failed"
