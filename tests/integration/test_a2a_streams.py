"""Streams: how they begin and end, and how the resume extension resumes them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.sample_agents.hello_world import TEXT, hello_world
from tests.support.events import EXTENSION, artifact_text, message, metadata, said, state_of
from tests.support.in_process import agent
from tests.support.jsonrpc import Agent, Frame

DONE = "TASK_STATE_COMPLETED"
ASKED = "TASK_STATE_INPUT_REQUIRED"


async def stream(served: Agent, text: str, **fields: Any) -> list[Frame]:
    return await served.frames("SendStreamingMessage", {"message": message(text, **fields)})


async def subscribe(served: Agent, task_id: str, cursor: object = None) -> list[Frame]:
    return await served.frames("SubscribeToTask", {"id": task_id}, cursor=cursor)


async def test_a_stream_begins_with_the_task_and_has_every_event_to_the_end() -> None:
    async with agent(hello_world()) as served:
        frames = await stream(served, "hello")
        events = await served.events(frames[0].result["task"]["id"])
    assert [frame.id for frame in frames] == list(range(1, len(frames) + 1))
    assert [frame.result for frame in frames] == events
    assert state_of(events[0]) == "TASK_STATE_SUBMITTED"
    assert [state_of(event) for event in events].count(DONE) == 1
    assert state_of(events[-1]) == DONE
    assert artifact_text(events) == TEXT
    for event in events:
        kept = metadata(event)
        assert {"seq", "ts", "attempt", "agent", "kind"} <= kept.keys()
        assert (kept["agent"], kept["attempt"]) == ("hello_world", 0 if kept["seq"] == 1 else 1)
    stamps = [metadata(event)["ts"] for event in events]
    assert stamps == sorted(stamps)


async def test_a_stream_names_its_version_and_extensions() -> None:
    async with agent(hello_world()) as served:
        body = b'{"jsonrpc":"2.0","id":1,"method":"SubscribeToTask","params":{"id":"%s"}}'
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        wanted = f"urn:example:unknown, {EXTENSION}"
        response = await served.post(body % task["id"].encode(), last_event_id="0", a2a_extensions=wanted)
    assert response.headers["a2a-version"] == "1.0"
    assert response.headers["a2a-extensions"] == EXTENSION
    assert response.headers["x-accel-buffering"] == "no"


async def test_a_question_closes_the_stream_of_a_message_but_not_a_subscription() -> None:
    async with agent(hello_world()) as served:
        asking = await stream(served, "ask twice")
        assert (state_of(asking[-1].result), said(asking[-1].result)) == (ASKED, "Which service?")
        task_id = asking[0].result["task"]["id"]
        async with served.stream("SubscribeToTask", {"id": task_id}) as frames:
            first = await anext(frames)
            assert state_of(first.result) == ASKED
            replied = await stream(served, "payments", taskId=task_id)
            await stream(served, "noon", taskId=task_id)
            rest = [frame async for frame in frames]
        events = await served.events(task_id)
    # The reply's stream closes at the second question, whose interrupt is a mapping.
    assert (state_of(replied[-1].result), said(replied[-1].result)) == (ASKED, "Since when?")
    # The subscription got every event after its snapshot.
    assert first.id == asking[-1].id
    assert [frame.result for frame in rest] == events[len(asking) :]
    assert state_of(events[-1]) == DONE
    assert artifact_text(events) == f"{TEXT}\n\nIt is payments.\n\nSince noon."


async def test_the_stream_of_a_reply_begins_with_the_current_task() -> None:
    async with agent(hello_world()) as served:
        asking = await stream(served, "ask")
        task_id = asking[0].result["task"]["id"]
        frames = await stream(served, "payments", taskId=task_id)
        events = await served.events(task_id)
    task = frames[0].result["task"]
    assert [each["parts"][0]["text"] for each in task["history"]] == ["ask", "Which service?", "payments"]
    assert frames[0].id is not None
    assert frames[0].id > len(asking)
    assert [frame.result for frame in frames[1:]] == events[frames[0].id :]
    assert state_of(frames[-1].result) == DONE


async def test_a_subscription_without_a_cursor_begins_with_a_snapshot() -> None:
    gate = asyncio.Event()
    async with agent(hello_world(gate)) as served:
        task_id = (await served.begin("slow"))["id"]
        reached = await served.until(task_id, lambda frame: "artifactUpdate" in frame.result)
        async with served.stream("SubscribeToTask", {"id": task_id}) as frames:
            first = await anext(frames)
            gate.set()
            rest = [frame async for frame in frames]
        events = await served.events(task_id)
    task = first.result["task"]
    assert first.id is not None
    assert first.id >= len(reached)
    assert task["metadata"][EXTENSION]["seq"] == first.id
    assert task["status"]["state"] == "TASK_STATE_WORKING"
    assert task["artifacts"] == [{"artifactId": "response", "name": "response", "parts": [{"text": "Hello, "}]}]
    assert [frame.id for frame in rest] == list(range(first.id + 1, len(events) + 1))
    assert [frame.result for frame in rest] == events[first.id :]


async def test_every_concurrent_stream_gets_the_same_events_in_the_same_order() -> None:
    gate = asyncio.Event()
    async with agent(hello_world(gate)) as served:
        task_id = (await served.begin("slow"))["id"]
        streams = [asyncio.create_task(subscribe(served, task_id, cursor=0)) for _ in range(20)]
        async with served.stream("SubscribeToTask", {"id": task_id}, cursor=0) as leaving:
            await anext(leaving)
        gate.set()
        received = await asyncio.gather(*streams)
        events = await served.events(task_id)
    for frames in received:
        assert [frame.result for frame in frames] == events


async def test_a_finished_task_refuses_a_subscription_without_a_cursor() -> None:
    async with agent(hello_world()) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        error = await served.error("SubscribeToTask", {"id": task["id"]})
    assert error["code"] == -32004
    assert DONE in error["message"]
    assert error["data"][0]["reason"] == "UNSUPPORTED_OPERATION"


async def test_a_finished_task_replays_the_rest_after_every_cursor() -> None:
    async with agent(hello_world()) as served:
        whole = await stream(served, "hello")
        task_id = whole[0].result["task"]["id"]
        for cursor in range(len(whole) + 1):
            assert await subscribe(served, task_id, cursor) == whole[cursor:]


async def test_a_running_task_resumes_after_every_cursor() -> None:
    gate = asyncio.Event()
    async with agent(hello_world(gate)) as served:
        task_id = (await served.begin("slow"))["id"]
        so_far = await served.until(
            task_id, lambda frame: "statusUpdate" in frame.result and "Waiting." in str(frame.result)
        )
        streams = [asyncio.create_task(subscribe(served, task_id, cursor)) for cursor in range(len(so_far) + 1)]
        gate.set()
        received = await asyncio.gather(*streams)
        events = await served.events(task_id)
    assert len(events) > len(so_far)
    for cursor, frames in enumerate(received):
        assert [frame.id for frame in frames] == list(range(cursor + 1, len(events) + 1))
        assert [frame.result for frame in frames] == events[cursor:]


@pytest.mark.parametrize("text", ["hello", "ask"])
async def test_a_message_sent_again_with_a_cursor_resumes_its_stream(text: str) -> None:
    async with agent(hello_world()) as served:
        params = {"message": message(text)}
        whole = await served.frames("SendStreamingMessage", params)
        for cursor in (0, 1, len(whole) - 1, len(whole)):
            assert await served.frames("SendStreamingMessage", params, cursor=cursor) == whole[cursor:]


async def test_the_stream_of_a_repeated_reply_ends_at_the_next_question() -> None:
    async with agent(hello_world()) as served:
        task_id = (await stream(served, "ask twice"))[0].result["task"]["id"]
        reply = {"message": message("payments", taskId=task_id)}
        first = await served.frames("SendStreamingMessage", reply)
        again = await served.frames("SendStreamingMessage", reply)
    assert state_of(first[-1].result) == ASKED
    # Only the current task, which waits.
    assert [(frame.id, state_of(frame.result)) for frame in again] == [(first[-1].id, ASKED)]


async def test_an_invalid_cursor_is_refused_before_the_stream_begins() -> None:
    no_seq = [b"-1", b"1.5", b"abc", b"", b"0x1", b"1e3", b"+1", b"1 2", b"\xb2", b"9" * 16]
    async with agent(hello_world()) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        newest = len(await served.events(task["id"]))
        not_there = [b"%d" % cursor for cursor in (newest + 1, 10**14)]
        body = b'{"jsonrpc":"2.0","id":1,"method":"SubscribeToTask","params":{"id":"%s"}}' % task["id"].encode()
        for cursor in no_seq + not_there:
            headers = {b"A2A-Version": b"1.0", b"Last-Event-ID": cursor, b"Content-Type": b"application/json"}
            response = await served.http.post(served.url + "/", content=body, headers=headers)
            assert response.headers["content-type"] == "application/json"
            error = response.json()["error"]
            assert error["code"] == -32602
            assert ("Last-Event-ID has value" if cursor in no_seq else f"newest event of the task is {newest}") in (
                error["message"]
            )


async def test_a_message_with_a_cursor_past_its_task_is_refused_and_changes_nothing() -> None:
    async with agent(hello_world()) as served:
        new = {"message": message("hello")}
        error = await served.error("SendStreamingMessage", new, last_event_id="1")
        assert (error["code"], "newest event of the task is 0" in error["message"]) == (-32602, True)
        assert (await served.result("ListTasks", {}))["tasks"] == []
        task_id = (await stream(served, "ask"))[0].result["task"]["id"]
        before = await served.events(task_id)
        reply = {"message": message("payments", taskId=task_id)}
        error = await served.error("SendStreamingMessage", reply, last_event_id=str(len(before) + 1))
        assert (error["code"], f"newest event of the task is {len(before)}" in error["message"]) == (-32602, True)
        assert await served.events(task_id) == before
        stray = {"message": message("payments", taskId="no-such-task")}
        assert (await served.error("SendStreamingMessage", stray, last_event_id="9"))["code"] == -32001
        rest = await served.frames("SendStreamingMessage", reply, cursor=len(before))
    assert [frame.id for frame in rest] == list(range(len(before) + 1, rest[-1].id + 1))
    assert state_of(rest[-1].result) == DONE


async def test_comments_keep_a_silent_stream_open() -> None:
    gate = asyncio.Event()
    async with agent(hello_world(gate), heartbeat_s=0.05) as served:
        task_id = (await served.begin("slow"))["id"]
        body = b'{"jsonrpc":"2.0","id":1,"method":"SubscribeToTask","params":{"id":"%s"}}' % task_id.encode()
        async with served.http.stream(
            "POST",
            served.url + "/",
            content=body,
            headers={"A2A-Version": "1.0", "Last-Event-ID": "0", "Content-Type": "application/json"},
        ) as response:
            comments = 0
            async for line in response.aiter_lines():
                comments += line.startswith(":")
                if comments == 2:
                    gate.set()
        assert comments >= 2
        assert state_of((await served.events(task_id))[-1]) == DONE


async def test_the_history_has_the_requested_length() -> None:
    async with agent(hello_world()) as served:
        task = (await served.result("SendMessage", {"message": message("ask")}))["task"]
        whole = task["history"]
        assert len(whole) == 2
        for length, expected in ((None, whole), (0, None), (1, whole[1:]), (2, whole), (9, whole)):
            params = {"id": task["id"]} if length is None else {"id": task["id"], "historyLength": length}
            assert (await served.result("GetTask", params)).get("history") == expected
