"""A gateway that dies at any request of a deletion: the conversation is whole or gone, and the same request ends it."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from gateway.deletion import Deletion
from tailrace.a2a.identity import conversation_id_of
from tailrace.agent.deletions import Deletions
from tailrace.push.sqlite import SQLiteWebhooks
from tailrace.push.webhook import Webhook
from tests.integration.test_gateway_contexts import DONE, say
from tests.sample_agents.recall import RECALL
from tests.support.gateway import System
from tests.support.in_process import system


class Killed(BaseException):
    """The process has died."""


class Death:
    """Lets a process make n requests, and no more."""

    def __init__(self, n: int) -> None:
        self.left = n

    def of(self, store: Any) -> Any:
        return Dying(store, self)


class Dying:
    """A store whose requests a `Death` counts."""

    def __init__(self, store: Any, death: Death) -> None:
        self._store, self._death = store, death

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._store, name)
        if name == "conversations":
            return self._death.of(member)
        if not (asyncio.iscoroutinefunction(member) or name == "append"):  # of SQLite it returns a future
            return member

        async def call(*args: Any, **named: Any) -> Any:
            if self._death.left <= 0:
                raise Killed
            self._death.left -= 1
            return await member(*args, **named)

        return call


async def upload(sut: System) -> dict[str, Any]:
    """Upload a file; return the part that refers to it."""
    content = b"content"
    body = {"filename": "a.txt", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    granted = (await sut.http.post("/api/uploads", json=body)).json()
    stored = await sut.http.put(granted["upload"]["url"], content=content, headers=granted["upload"]["headers"])
    assert stored.status_code == 204
    part: dict[str, Any] = granted["part"]
    return part


async def test_a_deletion_goes_on_after_a_kill_at_any_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[Any, Any, Any]] = []

    class Opened(Deletions):
        def __init__(self, *stores: Any) -> None:
            opened.append(stores)  # type: ignore[arg-type]
            super().__init__(*stores)

    monkeypatch.setattr("gateway.app.Deletions", Opened)
    hooks = SQLiteWebhooks(tmp_path / "push.sqlite3")
    async with system(RECALL, tmp_path) as sut:
        settings, log, agents = opened[0]
        for n in range(60):
            context, path = f"c{n}", f"/api/conversations/c{n}"
            part = await upload(sut)
            first, state, _ = await say(sut, "one", context, parts=[{"text": "one"}, part])
            assert state == DONE
            second, _, text = await say(sut, "two", context)
            assert text.endswith("two")
            await hooks.put(Webhook(task_id=first["id"], id="h", url="http://127.0.0.1:9/"))
            record = await log.conversations.get(conversation_id_of("alice", "orchestrator", context))
            death = Death(n)
            deletions = Deletions(settings, death.of(log), agents)
            deletions.__dict__["_webhooks"] = death.of(hooks)
            dying = Deletion(death.of(log), deletions)
            ended = False
            try:
                await dying.delete(record)
                ended = True
            except Killed:
                shown = await sut.http.get(path)
                listed = (await sut.http.get("/api/conversations")).json()["conversations"]
                assert bool(listed) == (shown.status_code == 200), "it is whole or gone"
                if listed:
                    assert len(shown.json()["tasks"]) == 2
                    assert shown.json()["title"] == "one"
                else:
                    refused = await sut.http.post(
                        "/api/tasks", json={"message": {"parts": [{"text": "three"}], "contextId": context}}
                    )
                    assert (refused.status_code, "being deleted" in refused.text) == (409, True)
                assert (await sut.http.delete(path)).status_code == 204
            for task in (first, second):
                assert (await sut.http.get(f"/api/tasks/{task['id']}")).status_code == 404
                assert await log.read(task["id"]) == []
            assert await hooks.list(first["id"]) == []
            assert [each.name for each in (tmp_path / "uploads").iterdir()] == ["secret"]
            assert (await sut.http.get(path)).status_code == 404
            _, _, text = await say(sut, "three", context)
            assert text == "three", "the thread begins anew"
            assert (await sut.http.delete(path)).status_code == 204
            if ended:
                break
        assert ended
        assert n > 12, "it was killed at each of its requests"
    await hooks.close()
