"""The AI SDK's routes as a program sees them: who may ask, what is refused, cursors, and what a stream shows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tailrace.stream.sse import Parser
from tests.sample_agents.hello_world import TEXT, hello_world
from tests.support.front_door import front_door
from tests.support.in_process import system

NO_TASK = "00000000-0000-0000-0000-000000000000"
Chunks = list[tuple[str, dict[str, Any] | str]]


def user(text: str, message_id: str = "m-1") -> dict[str, Any]:
    return {"id": message_id, "role": "user", "parts": [{"type": "text", "text": text}]}


def chat(*messages: dict[str, Any], chat_id: str = "chat-1", **more: Any) -> dict[str, Any]:
    return {"id": chat_id, "messages": list(messages), **more}


async def chunks_of(response: httpx.Response, until: str = "") -> Chunks:
    """Each chunk with the last `id:` up to it, until the one with the type `until`."""
    assert response.status_code == 200, await response.aread()
    assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
    parser, seen = Parser(), Chunks()
    async for piece in response.aiter_bytes():
        for frame in parser.feed(piece):
            is_end = frame.data == b"[DONE]"
            seen.append((frame.id, "[DONE]" if is_end else msgspec.json.decode(frame.data)))
            if until and seen[-1][1] != "[DONE]" and seen[-1][1]["type"] == until:  # type: ignore[index]
                return seen
    return seen


async def post(http: httpx.AsyncClient, body: dict[str, Any], until: str = "", **headers: str) -> Chunks:
    async with http.stream("POST", "/api/chat", json=body, headers=headers) as response:
        return await chunks_of(response, until)


async def resume(http: httpx.AsyncClient, chat_id: str = "chat-1", cursor: str = "") -> Chunks | None:
    headers = {"Last-Event-ID": cursor} if cursor else {}
    async with http.stream("GET", f"/api/chat/{chat_id}/stream", headers=headers) as response:
        return None if response.status_code == 204 else await chunks_of(response)


def told(seen: Chunks | None) -> list[dict[str, Any] | str]:
    return [chunk for _, chunk in seen or []]


def text_in(seen: Chunks | None) -> str:
    return "".join(chunk["delta"] for chunk in told(seen) if isinstance(chunk, dict) and chunk["type"] == "text-delta")


async def test_from_every_cursor_a_reader_gets_what_it_has_not(tmp_path: Path) -> None:
    async with system(hello_world(), tmp_path) as served:
        whole = await post(served.http, chat(user("hello")))
        assert (text_in(whole), told(whole)[-2:]) == (TEXT, [{"type": "finish", "finishReason": "stop"}, "[DONE]"])
        # The id of an event is that of its last chunk.
        places = [place for place in range(1, len(whole)) if whole[place][0] != whole[place - 1][0]]
        assert len(places) > 5
        for place in places:
            rest = await resume(served.http, cursor=whole[place][0])
            assert told(rest) == told(whole)[place + 1 :], whole[place]
        # Nothing runs any more, so there is nothing to resume; and the same message again begins nothing.
        assert await resume(served.http) is None
        assert await post(served.http, chat(user("hello"))) == whole
        assert len((await served.log.list("alice")).heads) == 1


async def test_a_closed_stream_cancels_nothing_and_a_cancel_does(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with system(hello_world(gate), tmp_path) as served:
        for chat_id, end in (("closed", "finish"), ("canceled", "abort")):
            gate.clear()
            await post(served.http, chat(user("slow"), chat_id=chat_id), until="text-delta")
            resuming = asyncio.create_task(resume(served.http, chat_id))
            if end == "abort":
                canceled = await served.http.post(f"/api/chat/{chat_id}/cancel")
                assert canceled.status_code == 202
            gate.set()
            seen = told(await resuming)
            assert end in [chunk["type"] for chunk in seen if isinstance(chunk, dict)]
            assert seen[-1] == "[DONE]"
        assert (await served.http.post("/api/chat/canceled/cancel")).status_code == 409
        assert (await served.http.post("/api/chat/nobodys/cancel")).status_code == 404


async def test_an_answer_that_is_repeated_finds_its_stream(tmp_path: Path) -> None:
    async with system(hello_world(), tmp_path) as served:
        asked = await post(served.http, chat(user("ask twice")))
        question = next(chunk for chunk in told(asked) if isinstance(chunk, dict) and chunk["type"] == "data-question")
        assert question["data"]["value"] == "Which service?"
        reply = chat(user("ask twice"), user("payments", "m-2"))
        answered = await post(served.http, reply)
        assert text_in(answered) == "\n\nIt is payments."
        assert told(answered)[0]["messageId"] != told(asked)[0]["messageId"]  # type: ignore[index]
        assert await post(served.http, reply) == answered
        last = await post(served.http, chat(user("noon", "m-3")))  # of the messages only the last is needed
        assert text_in(last) == "\n\nSince noon."
        assert len((await served.log.list("alice")).heads) == 1


async def test_a_message_that_is_edited_takes_its_question_back(tmp_path: Path) -> None:
    async with system(hello_world(), tmp_path) as served:
        await post(served.http, chat(user("ask twice")))
        assert text_in(await post(served.http, chat(user("hello", "m-2"), messageId="m-2"))) == TEXT
        _, edited = (await served.log.list("alice")).heads
        task = (await served.http.get(f"/api/tasks/{edited.task_id}")).json()
        assert task["status"]["state"] == "TASK_STATE_CANCELED"


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"id": "c"}, 400, "`messages`"),
        (chat(), 400, "Expected `messages` with at least one message"),
        (chat(user("hello"), model="large"), 400, "`model`"),
        (chat(user("hello"), agent="nobody"), 400, "must be one of 'orchestrator'"),
        (chat({**user("x"), "role": "system"}), 400, "has role 'system'"),
        (chat({**user("x"), "parts": []}), 400, "at least one part"),
        (chat({**user("x"), "parts": [{"type": "tool-x"}]}), 400, "messages[-1].parts[0].type has value"),
        (
            chat({**user("x"), "parts": [{"type": "file", "url": "data:;base64,%", "mediaType": "a/b"}]}),
            400,
            "data URL",
        ),
        (
            chat({**user("x"), "parts": [{"type": "file", "url": "https://a.example/", "mediaType": "a/b"}]}),
            *(400, "does not fetch"),
        ),
        (chat({**user("x"), "parts": [{"type": "file", "url": "data:;base64,\xe9"}]}), 400, "data URL"),
        (chat({**user("x"), "parts": [{"type": "file", "url": "urn:x", "providerMetadata": "x"}]}), 400, "urn:x"),
        (chat({**user("x"), "role": "assistant", "parts": []}), 409, "no task that could ask"),
        (chat({**user("y", NO_TASK), "role": "assistant"}, user("x"), messageId="m-1"), 400, "of the assistant '0000"),
    ],
)
async def test_what_cannot_be_used_is_refused_and_begins_nothing(
    refusing: Any, body: dict[str, Any], status: int, why: str
) -> None:
    answer = await refusing.http.post("/api/chat", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert why in answer.json()["detail"], answer.json()
    assert (await refusing.log.list("alice")).heads == []


@pytest.fixture
async def refusing(tmp_path: Path) -> Any:
    async with system(hello_world(), tmp_path) as served:
        yield served


def flat(pages: list[list[Any]]) -> list[Any]:
    return [message for page in pages for message in page]


async def messages_in(http: httpx.AsyncClient, chat_id: str = "chat-1", size: int = 100) -> list[list[Any]]:
    """The pages of a chat's messages, oldest first."""
    pages: list[list[Any]] = []
    token = ""
    while not pages or token:
        answer = await http.get(f"/api/chat/{chat_id}", params={"pageSize": size, "pageToken": token})
        assert answer.status_code == 200, answer.text
        pages.insert(0, answer.json()["messages"])
        token = answer.json()["nextPageToken"]
    return pages


async def test_a_long_chat_has_all_its_messages_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with system(hello_world(), tmp_path) as served:
        first = told(await post(served.http, chat(user("hello", "1"))))[0]["messageId"]  # type: ignore[index]
        for number in "234":
            await post(served.http, chat(user("hello", number)))
        (whole,) = await messages_in(served.http)
        users = [message["id"] for message in whole if message["role"] == "user"]
        assert (users, len(whole)) == (["1", "2", "3", "4"], 8)
        for size in (1, 3):
            pages = await messages_in(served.http, size=size)
            assert flat(pages) == whole
            assert all(len(page) <= 2 * size for page in pages)
        with monkeypatch.context() as patch:
            patch.setattr("gateway.chat.history._LARGE", 1)  # as if each message had a large file
            assert await messages_in(served.http) == [whole[place : place + 2] for place in (0, 2, 4, 6)]
        # What was asked again is left out of every page, and so is what came before a new beginning.
        answer = {"id": first, "role": "assistant", "parts": []}
        await post(served.http, chat(user("hello", "1"), answer, user("hello", "5"), messageId="5"))
        again = flat(await messages_in(served.http, size=1))
        assert [message["id"] for message in again if message["role"] == "user"] == ["1", "5"]
        greeting = {"id": "greeting", "role": "assistant", "parts": []}  # the page's own
        await post(served.http, chat(greeting, user("hello", "6"), messageId="6"))
        anew = flat(await messages_in(served.http, size=1))
        assert [message["id"] for message in anew if message["role"] == "user"] == ["6"]
        for token in ("x", "x#", "5", "000000000000000"):
            answer = await served.http.get("/api/chat/chat-1", params={"pageToken": token})
            assert (answer.status_code, "page token" in answer.text) == (400, True), token


async def test_a_message_that_is_named_comes_whole_although_it_is_over(tmp_path: Path) -> None:
    async with system(hello_world(), tmp_path) as served:
        asked = await post(served.http, chat(user("ask twice")))
        answered = await post(served.http, chat(user("payments", "m-2")))
        for seen in (asked, answered):
            message = told(seen)[0]["messageId"]  # type: ignore[index]
            async with served.http.stream("GET", "/api/chat/chat-1/stream", params={"message": message}) as response:
                assert await chunks_of(response) == seen
        task = told(asked)[0]["messageId"]  # type: ignore[index]
        for message in ("x", NO_TASK, f"{task}-2", f"{task}-0", f"{task}-999"):
            refused = await served.http.get("/api/chat/chat-1/stream", params={"message": message})
            assert (refused.status_code, "has no message" in refused.text) == (404, True), message
        other = await served.http.get("/api/chat/chat-2/stream", params={"message": task})
        assert other.status_code == 404


async def test_a_cursor_that_is_none_is_refused(refusing: Any) -> None:
    for cursor, status in (("5", 400), ("x", 400), (f"{NO_TASK}:1", 404)):
        answer = await refusing.http.get("/api/chat/chat-1/stream", params={"cursor": cursor})
        assert answer.status_code == status, cursor


async def test_the_same_door_as_everywhere() -> None:
    """Credentials, scopes, other owners' chats, and the limits of tasks and streams."""
    gate = asyncio.Event()
    async with front_door(hello_world(gate), owner_tasks=2, owner_streams=1) as door:
        reader, ada, bob = [await door.bearer(*who) for who in (("reader", "read"), ("ada",), ("bob",))]
        assert (await door.http.post("/api/chat", json=chat(user("hello")))).status_code == 401
        assert (await door.http.get("/api/chat/chat-1/stream")).status_code == 401
        assert (await door.http.post("/api/chat", json=chat(user("hello")), headers=reader)).status_code == 403
        async with door.http.stream("POST", "/api/chat", json=chat(user("slow")), headers=ada) as open_one:
            task = (await chunks_of(open_one, until="start"))[0][1]["messageId"]  # type: ignore[index]
        async with asyncio.timeout(60):  # the closed stream has given its place back
            while (await door.http.get("/api/auth/me", headers=ada)).json()["left"]["streams"] == 0:
                await asyncio.sleep(0.01)
        async with door.http.stream("GET", "/api/chat/chat-1/stream", headers=ada) as open_one:
            pieces = open_one.aiter_bytes()  # without it the response would be closed
            await anext(pieces)
            for again in (
                await door.http.post("/api/chat", json=chat(user("x"), chat_id="other"), headers=ada),
                await door.http.get("/api/chat/chat-1/stream", headers=ada),
            ):
                assert (again.status_code, "streams of yours are open" in again.json()["detail"]) == (429, True)
        assert (await door.http.get("/api/chat/chat-1/stream", headers=bob)).status_code == 204
        stolen = await door.http.get(f"/api/chat/chat-1/stream?cursor={task}:1", headers=bob)
        made_up = await door.http.get(f"/api/chat/chat-1/stream?cursor={task[:-4]}0000:1", headers=bob)
        assert stolen.status_code == made_up.status_code == 404
        assert (await door.http.post("/api/chat/chat-1/cancel", json={}, headers=bob)).status_code == 404
        gate.set()
