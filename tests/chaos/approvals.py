"""A user who answers the questions of a task that asks several at once: each by its id, with a reply of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.chaos.inspector import WAITING
from tests.chaos.watch import Watch, Watched

# Makes a request of this method, at this path, with this body, until it is answered.
Ask = Callable[[str, str, Any], Awaitable[tuple[int, Any]]]


async def approve(ask: Ask, watch: Watch, watched: Watched) -> None:
    """Answer whatever the task asks, until it has ended."""
    answered: set[str] = set()

    def unanswered() -> list[dict[str, Any]]:
        return [each for each in _open(watched) if each["id"] not in answered]

    while True:
        await watch.until(lambda: watched.ended or bool(unanswered()))
        if watched.ended:
            return
        question = min(unanswered(), key=lambda each: str(each["value"]))
        data = {"answers": {question["id"]: f"yes to {question['value']['question']}"}}
        message = {"messageId": f"{watched.task}-{question['id']}", "parts": [{"data": data}]}
        path = f"/api/tasks/{watched.task}/messages"
        status, _ = await ask("POST", path, {"message": message})
        if status == 202:
            answered.add(question["id"])
        await asyncio.sleep(0.05)  # refused: the task works with an earlier answer, and will ask again


def _open(watched: Watched) -> list[dict[str, Any]]:
    """The open questions of a task that waits."""
    if watched.state != WAITING:
        return []
    states = [entry.body["statusUpdate"]["status"] for entry in watched.entries if "statusUpdate" in entry.body]
    questions: list[dict[str, Any]] = next(
        part["data"]["interrupts"]
        for status in reversed(states)
        if status["state"] == WAITING and "message" in status
        for part in status["message"]["parts"]
        if "data" in part
    )
    return questions
