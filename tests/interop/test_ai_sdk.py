"""Vercel's AI SDK (`ai` 7.0.173) talks to the gateway: its own chat, with its own transport and with ours."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.interop.cached import HERE
from tests.interop.steps import Steps, steps_of
from tests.sample_agents import chatting
from tests.support.cutting_proxy import cutting
from tests.support.in_process import system
from tests.support.react_chat import ROOT, packages

# Fewer bytes than any of the answers has, and more than one event.
CUT_AFTER = 1_500
_ROUTE = re.compile(r"```js\n(// app/api/chat/.+?)```", re.DOTALL)


def parts(shown: dict[str, Any], kind: str, place: int = -1) -> list[dict[str, Any]]:
    """The parts of this type of a message, by default of the last one."""
    return [part for part in shown["messages"][place]["parts"] if part["type"] == kind]


def texts(shown: dict[str, Any], place: int = -1) -> list[str]:
    return [part["text"] for part in parts(shown, "text", place)]


async def test_the_ai_sdk_chats_with_our_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node, folder = await asyncio.to_thread(packages)
    shutil.copy(HERE / "ai_sdk" / "chat.mjs", folder)
    route = _ROUTE.search((ROOT / "docs" / "FRONTENDS.md").read_text())
    assert route is not None
    (folder / "route.mjs").write_text(route[1])
    monkeypatch.setattr(chatting, "FOLDER", tmp_path)
    monkeypatch.setattr("gateway.chat.history._LARGE", 1)  # a page for each task
    gate = tmp_path / "go"

    def watching(seen: Steps) -> None:
        if list(seen)[-1] == "writing":
            gate.touch()
        elif list(seen)[-1] == "cut":
            gate.unlink()

    async with asyncio.timeout(120), system(chatting.graph, tmp_path) as served, cutting(served.url) as proxy:
        proxy.cut_after_bytes = CUT_AFTER
        steps = await steps_of(node, "chat.mjs", served.url, proxy.url, on_step=watching, cwd=folder)
        # Stop cancels the task, and the next message waits for that; closing a page would cancel none.
        _, stopped, *others = (await served.log.list("alice", limit=100)).heads
        while (await served.log.head(stopped.task_id)).state != "TASK_STATE_CANCELED":
            await asyncio.sleep(0.01)
    check_conversation(steps)
    check_tool(steps["tool"])
    check_approvals(steps)
    check_question(steps)
    # Two pages have the same message, one of which came in its middle, by the SDK's own transport.
    first, second = steps["written"]["first"], steps["written"]["second"]
    assert texts(steps["writing"]) == ["It flows"]
    assert texts(first) == [chatting.SLOW]
    assert second["messages"] == first["messages"]
    assert steps["nothing to resume"] == second
    assert texts({"messages": steps["late"].pop("half")}) == ["It flows"]
    assert steps["late"]["messages"] == first["messages"]
    # Each cut cost a reconnect, and the message is that of a page that was not cut.
    assert proxy.connections > 3
    check_tool(steps["cut"], word="river")
    check_tool(steps["routed"], word="stream")
    assert steps["stopped"]["cancelled"]["status"] == steps["stopped"]["status"] == "ready"
    assert texts(steps["stopped"]["cancelled"]) == ["It flows"]
    assert texts(steps["stopped"])[0].startswith("You said go on")
    # A page that is loaded again has the messages that it had.
    stored = steps["stored"]
    assert stored.pop("nobodys") == []
    for chat, step in (("words", "continued"), ("looking", "tool"), ("approved",) * 2, ("denied",) * 2):
        assert stored[chat] == steps[step]["messages"], chat
    assert texts({"messages": stored["asking"]}) == texts(steps["answered"])
    assert [message["role"] for message in stored["asking"]] == ["user", "assistant"] * 2
    assert "'nobody'" in steps["wrong"]["error"]
    assert (texts(steps["busy"]), steps["busy"]["status"]) == (["whole"], "ready")
    assert steps["over"]["error"] == "The answer ended while the connection was lost. Load the messages again."
    assert steps["refused"]["error"] == "The request has no credentials that this gateway knows."
    assert {head.state for head in others} == {"TASK_STATE_COMPLETED"}


def check_conversation(steps: Steps) -> None:
    assert [texts(steps["conversation"], place) for place in (1, 3)] == [
        ["You said hello, message 1."],
        ["You said again, message 2."],
    ]
    # What the page has is what the agent knows: an edited message begins the conversation anew, as the page shows it.
    assert texts(steps["edited"]) == texts(steps["regenerated"]) == ["You said hi, message 1."]
    assert texts(steps["continued"]) == ["You said then, message 2."]
    edited, regenerated = steps["edited"]["messages"], steps["regenerated"]["messages"]
    assert (len(edited), len(regenerated), len(steps["continued"]["messages"])) == (2, 2, 4)
    assert edited[-1]["id"] != regenerated[-1]["id"]
    metadata = edited[-1]["metadata"]
    assert (metadata["state"], metadata["contextId"], metadata["task"]) == ("completed", "words", edited[-1]["id"])
    assert metadata["usage"] == {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}


def check_tool(shown: dict[str, Any], word: str = "mill") -> None:
    kinds = [part["type"] for part in shown["messages"][-1]["parts"] if part["type"] != "data-step"]
    asking = ["step-start", "reasoning", "text", "dynamic-tool", "source-url", "data-artifact", "file"]
    assert kinds == [*asking, "step-start", "text", "step-start"]
    (reasoning,), (tool,) = parts(shown, "reasoning"), parts(shown, "dynamic-tool")
    assert (reasoning["text"], reasoning["state"]) == ("A word.", "done")
    assert (tool["toolName"], tool["state"], tool["input"]) == ("look_up", "output-available", {"word": word})
    assert tool["output"] == {"word": word, "found": True}
    assert parts(shown, "source-url")[0]["url"] == "https://example.com/mill"
    assert parts(shown, "data-artifact")[0]["data"] == {"name": "counts", "data": {"mill": 1}}
    (file,) = parts(shown, "file")
    assert (file["mediaType"], file["url"][:27]) == ("image/svg+xml", "data:image/svg+xml;base64,P")
    ran = next(part["data"] for part in parts(shown, "data-step") if part["data"]["name"] == "tools")
    assert (ran["state"], ran["text"], ran["done"], ran["total"]) == ("done", f"looking for {word}", 1, 2)
    assert texts(shown) == ["Let me see.", f'The tool has answered: {{"word": "{word}", "found": true}}']


def check_approvals(steps: Steps) -> None:
    for step, end, words in (
        ("approved", "output-available", "sent to bob"),
        ("denied", "output-denied", "User rejected the tool call for `send_mail` with reason: No."),
    ):
        (asked,) = parts(steps[step]["asked"], "dynamic-tool")
        assert (asked["state"], asked["input"], asked["toolName"]) == ("approval-requested", {"to": "bob"}, "send_mail")
        assert steps[step]["asked"]["messages"][-1]["metadata"]["state"] == "input-required"
        # The answer goes on with the message that asked, in the same part.
        (decided,) = parts(steps[step], "dynamic-tool")
        assert (len(steps[step]["messages"]), decided["state"]) == (2, end)
        assert texts(steps[step]) == ["I will.", f"The tool has answered: {words}"]


def check_question(steps: Steps) -> None:
    (question,) = parts(steps["answered"]["asked"], "data-question")
    assert (question["data"]["state"], question["data"]["value"]["options"]) == ("open", ["red", "green"])
    assert "'blue' is not one of ['red', 'green']. The task still waits." in steps["unfit"]["error"]
    assert texts(steps["answered"]) == ["The tool has answered: the user says red"]
    assert steps["answered"]["messages"][-1]["metadata"]["state"] == "completed"
