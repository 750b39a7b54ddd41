"""The gateway's conversations: a list with a search, one with its tasks, and its title."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from tailrace.a2a.identity import conversation_id_of
from tailrace.events import Message, Part, submitted
from tailrace.log import Head
from tailrace.log.conversations import Conversation
from tests.integration.test_gateway_contexts import ASKED, DONE, say
from tests.sample_agents.recall import RECALL
from tests.support.conditions import eventually
from tests.support.gateway import System
from tests.support.in_process import system

BOB = {"x-test-owner": "bob"}


async def get(sut: System, path: str = "", **params: str | list[str]) -> Any:
    response = await sut.http.get(f"/api/conversations{path}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def in_state(sut: System, task_id: str, state: str) -> None:
    """Wait until the task's head has the state. It follows a moment after the event that a reader sees."""

    async def is_in_state() -> bool:
        return (await sut.log.head(task_id)).state == state

    await eventually(is_in_state)


async def contexts(sut: System, **params: str | list[str]) -> list[str]:
    return [each["contextId"] for each in (await get(sut, **params))["conversations"]]


async def keep(sut: System, context_id: str, title: str, *, agent: str = "orchestrator", owner: str = "alice") -> None:
    """Keep a record whose task has expired."""
    record = Conversation(
        id=conversation_id_of(owner, agent, context_id),
        owner=owner,
        agent=agent,
        context_id=context_id,
        task="gone",
        title=title,
    )
    await sut.log.conversations.claim(record, None)


async def test_a_conversation_has_the_first_words_as_its_title_and_its_tasks_newest_first(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        first, _, _ = await say(sut, "one  and\nmore", "a/c")
        second, state, _ = await say(sut, "ask", "a/c")
        assert state == ASKED
        await in_state(sut, second["id"], ASKED)
        listed = (await get(sut))["conversations"]
        assert len(listed) == 1
        assert {key: listed[0][key] for key in ("contextId", "agent", "title", "task", "state")} == {
            "contextId": "a/c",
            "agent": "orchestrator",
            "title": "one and more",
            "task": second["id"],
            "state": ASKED,
        }
        assert listed[0]["created"] <= listed[0]["updated"]
        whole = await get(sut, "/a%2Fc")
        assert [(task["id"], task["status"]["state"]) for task in whole.pop("tasks")] == [
            (second["id"], ASKED),
            (first["id"], DONE),
        ]
        assert whole.pop("nextPageToken") == ""
        assert whole == listed[0]


async def test_a_title_is_no_text_of_a_file_but_may_be_the_files_names(tmp_path: Path) -> None:
    files = [{"text": "ERROR disk full", "filename": name, "mediaType": "text/plain"} for name in ("a.log", "b.log")]
    async with system(RECALL, tmp_path) as sut:
        for context_id, parts in (("words", [*files, {"text": "what is this?"}]), ("files", files)):
            body = {"message": {"parts": parts, "contextId": context_id}}
            assert (await sut.http.post("/api/tasks", json=body)).status_code == 201
        titles = {each["contextId"]: each["title"] for each in (await get(sut))["conversations"]}
        assert titles == {"words": "what is this?", "files": "a.log, b.log"}


async def test_tasks_of_a_conversation_come_in_pages_and_without_those_of_others(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        ids = []
        for n in range(3):
            ids.append((await say(sut, f"m{n}", "c"))[0]["id"])
            await say(sut, "other", f"other {n}")
        seen: list[str] = []
        page = await get(sut, "/c", pageSize="2")
        seen += [task["id"] for task in page["tasks"]]
        assert len(seen) == 2
        page = await get(sut, "/c", pageSize="2", pageToken=page["nextPageToken"])
        assert page["nextPageToken"] == ""
        assert [*seen, *(task["id"] for task in page["tasks"])] == ids[::-1]


async def test_a_list_is_searched_by_words_agent_and_state(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        await say(sut, "Grüße", "greeting")
        asking, _, _ = await say(sut, "ask", "asking")
        await in_state(sut, asking["id"], ASKED)
        await keep(sut, "old", "An old one")
        await keep(sut, "old", "The same context", agent="other")
        assert set(await contexts(sut)) == {"greeting", "asking", "old"}
        assert await contexts(sut, q="GRÜSSE") == ["greeting"]
        assert await contexts(sut, state=ASKED) == ["asking"]
        assert await contexts(sut, state=[ASKED, "TASK_STATE_AUTH_REQUIRED"]) == ["asking"]
        assert await contexts(sut, state=["TASK_STATE_AUTH_REQUIRED", "TASK_STATE_FAILED"]) == []
        assert [each["title"] for each in (await get(sut, agent="other"))["conversations"]] == ["The same context"]
        assert await contexts(sut, agent="orchestrator", q="old") == ["old"]
        assert (await get(sut, "/old", agent="other"))["title"] == "The same context"
        old = await get(sut, "/old")
        assert ("state" in old, old["title"], old["tasks"]) == (False, "An old one", [])
        refused = await sut.http.get("/api/conversations", params={"state": "DONE"})
        assert refused.status_code == 400
        assert "'DONE'" in refused.json()["detail"]
        assert "TASK_STATE_COMPLETED" in refused.json()["detail"]
        assert (await sut.http.get("/api/conversations?pageToken=x")).status_code == 400


async def test_pages_hold_each_conversation_once_and_a_request_reads_a_bounded_number_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.conversations._RECORDS_PER_PAGE", 3)
    async with system(RECALL, tmp_path) as sut:
        for n in range(40):
            await keep(sut, f"c{n}", "even" if n % 2 == 0 else "odd")
        for size, most in (("2", 2), ("100", 15)):
            seen: list[str] = []
            params = {"q": "even", "pageSize": size}
            while True:
                page = await get(sut, **params)
                assert len(page["conversations"]) <= most
                seen += [each["contextId"] for each in page["conversations"]]
                if not page["nextPageToken"]:
                    break
                params["pageToken"] = page["nextPageToken"]
            assert sorted(seen) == sorted(f"c{n}" for n in range(0, 40, 2))


async def test_the_tasks_of_a_conversation_are_looked_for_in_a_bounded_number_of_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.conversations._HEADS_PER_PAGE", 2)
    async with system(RECALL, tmp_path) as sut:
        first, _, _ = await say(sut, "one", "c")
        for n in range(12):
            head = Head(task_id=f"t{n}", owner="alice", context_id=f"c{n}", agent="orchestrator")
            message = Message(message_id="m", role="ROLE_USER", parts=[Part(text="hi")])
            await sut.log.create(head, submitted(head.source, message))
        page = await get(sut, "/c")
        assert page["tasks"] == []
        assert page["nextPageToken"] != ""
        page = await get(sut, "/c", pageToken=page["nextPageToken"])
        assert [task["id"] for task in page["tasks"]] == [first["id"]]


async def test_a_title_is_changed_and_stays(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        await say(sut, "one", "c")
        response = await sut.http.patch("/api/conversations/c", json={"title": "Mine ✓"})
        assert (response.status_code, response.json()["title"]) == (200, "Mine ✓")
        await say(sut, "two", "c")
        assert (await get(sut, "/c"))["title"] == "Mine ✓"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"title": ""}', "title"),
        (b'{"title": "  "}', "only spaces"),
        (b'{"title": " \\u202e"}', "2 of which none can be seen"),
        (b'{"title": "\\ud83d"}', "\\ud83d is half of a surrogate pair"),
        (b'{"title": "%s"}' % (b"x" * 201), "1 to 200"),
        (b'{"title": "two\\nlines"}', "U+000A"),
        (b'{"title": "\\u0000"}', "U+0000"),
        (b'{"title": 5}', "title"),
        (b'{"name": "x"}', "name"),
        (b"rubbish", '{"title":'),
    ],
)
async def test_a_title_that_is_none_is_refused_with_words(tmp_path: Path, body: bytes, words: str) -> None:
    async with system(RECALL, tmp_path) as sut:
        await keep(sut, "c", "Title")
        response = await sut.http.patch("/api/conversations/c", content=body)
        assert (response.status_code, words in response.json()["detail"]) == (400, True), response.text
        assert response.headers["content-type"] == "application/problem+json"
        assert (await get(sut, "/c"))["title"] == "Title"


async def test_somebody_elses_conversation_is_as_unknown_as_any_other(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        await say(sut, "one", "c")
        answers: list[httpx.Response] = []
        for context_id in ("c", "d"):
            path = f"/api/conversations/{context_id}"
            answers.append(await sut.http.get(path, headers=BOB))
            answers.append(await sut.http.patch(path, headers=BOB, json={"title": "Bob's"}))
        assert {answer.status_code for answer in answers} == {404}
        assert answers[0].json()["detail"] == answers[2].json()["detail"].replace("'d'", "'c'")
        assert (await sut.http.get("/api/conversations", headers=BOB)).json()["conversations"] == []
        assert (await get(sut, "/c"))["title"] == "one"


async def test_the_routes_of_conversations_name_their_methods(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        await keep(sut, "c", "Title")
        assert (await sut.http.head("/api/conversations")).status_code == 200
        assert (await sut.http.head("/api/conversations/c")).status_code == 200
        refused = await sut.http.put("/api/conversations/c", json={})
        assert refused.status_code == 405
        assert {"DELETE", "GET", "HEAD", "PATCH"} <= set(refused.headers["allow"].split(", "))


async def delete(sut: System, context_id: str, **headers: str) -> httpx.Response:
    return await sut.http.delete(f"/api/conversations/{context_id}", headers=headers)


async def test_a_deleted_conversation_is_gone_with_its_tasks_and_can_begin_anew(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        first, _, _ = await say(sut, "one", "c")
        second, _, _ = await say(sut, "two", "c")
        kept, _, _ = await say(sut, "one", "kept")
        assert (await delete(sut, "c", **BOB)).status_code == 404
        assert (await delete(sut, "c")).status_code == 204
        for task in (first, second):
            assert (await sut.http.get(f"/api/tasks/{task['id']}")).status_code == 404
            assert await sut.log.read(task["id"]) == []
        assert (await sut.http.get("/api/conversations/c")).status_code == 404
        assert (await delete(sut, "c")).status_code == 404
        assert await contexts(sut) == ["kept"]
        assert [task["id"] for task in (await sut.http.get("/api/tasks")).json()["tasks"]] == [kept["id"]]
        assert (await say(sut, "three", "c"))[1:] == (DONE, "three")


async def test_a_conversation_with_an_unfinished_task_is_not_deleted(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        await say(sut, "one", "c")
        asking, _, _ = await say(sut, "ask", "c")
        refused = await delete(sut, "c")
        assert (refused.status_code, asking["id"] in refused.json()["detail"]) == (409, True)
        assert len((await get(sut, "/c"))["tasks"]) == 2
        await sut.http.post(f"/api/tasks/{asking['id']}/cancel")
        assert (await delete(sut, "c")).status_code == 204


def damage(path: Path, task_id: str, seq: int, stored: bytes) -> None:
    """Replace what is stored of the events from `seq` on, up to the end of their batch."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        changed = database.execute(
            "UPDATE items SET packed = ? WHERE task_id = ? AND seq <= ? AND seq + count > ?",
            (stored, task_id, seq, seq),
        )
        assert changed.rowcount == 1


@pytest.mark.parametrize("stored", [b"x is no zlib", b"urn:tailrace:upload: is no event"], ids=["bytes", "JSON"])
@pytest.mark.parametrize("which", ["first", "newest"])
async def test_a_conversation_with_a_damaged_event_is_deleted(tmp_path: Path, which: str, stored: bytes) -> None:
    async with system(RECALL, tmp_path) as sut:
        task, _, _ = await say(sut, "one", "c")
        await in_state(sut, task["id"], DONE)
        seq = 1 if which == "first" else await sut.log.last(task["id"])
        damage(tmp_path / "log.sqlite3", task["id"], seq, stored)
        assert (await delete(sut, "c")).status_code == 204
        assert await sut.log.last(task["id"]) == 0
        assert (await sut.http.get("/api/conversations/c")).status_code == 404
        assert (await say(sut, "two", "c"))[1:] == (DONE, "two")


async def test_a_conversation_whose_working_task_is_damaged_is_not_deleted(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        task, _, _ = await say(sut, "ask", "c")
        await in_state(sut, task["id"], ASKED)
        damage(tmp_path / "log.sqlite3", task["id"], await sut.log.last(task["id"]), b"x is no zlib")
        refused = await delete(sut, "c")
        assert (refused.status_code, task["id"] in refused.json()["detail"]) == (409, True)


async def expire(sut: System, path: Path, task_id: str) -> None:
    """Let a completed task and its events expire."""
    await in_state(sut, task_id, DONE)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        for table in ("heads", "items"):
            database.execute(f"UPDATE {table} SET ttl = 1 WHERE task_id = ?", (task_id,))


@pytest.mark.parametrize(("expired", "heard"), [("first", "one, two, three"), ("latest", "three")])
async def test_a_conversation_goes_on_from_its_latest_task_and_anew_if_that_has_expired(
    expired: str, heard: str, tmp_path: Path
) -> None:
    async with system(RECALL, tmp_path) as sut:
        tasks = [(await say(sut, text, "c"))[0]["id"] for text in ("one", "two")]
        gone, left = tasks if expired == "first" else tasks[::-1]
        await in_state(sut, left, DONE)
        await expire(sut, tmp_path / "log.sqlite3", gone)
        shown = await get(sut, "/c")
        assert ([task["id"] for task in shown["tasks"]], shown["title"]) == ([left], "one")
        assert shown.get("state") == (DONE if expired == "first" else None)
        assert (await sut.http.get(f"/api/stream/{gone}")).status_code == 404
        assert (await say(sut, "three", "c"))[1:] == (DONE, heard)


async def test_a_conversation_whose_tasks_have_all_expired_is_deleted(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        for text in ("one", "two"):
            task, _, _ = await say(sut, text, "c")
            await expire(sut, tmp_path / "log.sqlite3", task["id"])
        assert await contexts(sut) == ["c"]
        assert (await delete(sut, "c")).status_code == 204
        assert await contexts(sut) == []
        assert (await say(sut, "three", "c"))[1:] == (DONE, "three")
