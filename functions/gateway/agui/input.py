"""What an AG-UI client sends: a `RunAgentInput` of AG-UI 1.0, checked field by field, as messages of A2A.

The log has the conversation, so of the `messages` only the user's newest ones are read. What else the input says is in
the message's metadata, where an agent finds it: `request().metadata["ag-ui"]`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

import msgspec

from gateway.agui.projection import ARTIFACTS
from gateway.agui.questions import INPUT
from gateway.api_route import NOT_EMPTY
from gateway.requests import BrowserMessage
from tailrace.a2a.types import convert
from tailrace.errors import RequestError, shorten

# A client sends the whole conversation each time. Lambda takes no larger request.
MAX_BODY = 6_000_000
EXAMPLE = '{"threadId": "t1", "runId": "r1", "messages": [{"id": "m1", "role": "user", "content": "…"}]}'
_MEDIA = ("image", "audio", "video", "document")


class ResumeEntry(msgspec.Struct, rename="camel"):
    """The answer to an interrupt, or that there will be none."""

    interrupt_id: str
    status: Literal["resolved", "cancelled"]
    payload: Any = None


class RunAgentInput(msgspec.Struct, rename="camel"):
    """What a run begins with. Members that AG-UI does not have, or a later version has, are ignored."""

    thread_id: Annotated[str, NOT_EMPTY]
    run_id: Annotated[str, NOT_EMPTY]
    messages: list[dict[str, Any]]
    state: Any = None
    tools: list[dict[str, Any]] | None = None
    context: list[dict[str, Any]] | None = None
    forwarded_props: Any = None
    resume: list[ResumeEntry] | None = None
    parent_run_id: str | None = None
    protocol_version: str | None = None

    def __post_init__(self) -> None:
        for name, text in (("threadId", self.thread_id), ("runId", self.run_id)):
            if not text:
                raise ValueError(f"Expected `{name}` as a text that is not empty")
        known: set[str] = set()
        for each in self.resume or ():
            if each.interrupt_id in known:
                raise ValueError(
                    f"Expected each `interruptId` of `resume` once, got {shorten(each.interrupt_id)!r} twice"
                )
            known.add(each.interrupt_id)

    def newest(self, known: Collection[str] = ()) -> list[dict[str, Any]]:
        """The user's messages at the end of the conversation, without those that are `known` already."""
        newest: list[dict[str, Any]] = []
        for message in reversed(self.messages):
            if message.get("role") != "user" or message.get("id") in known:
                break
            newest.append(message)
        return newest[::-1]

    def message(self, known: Collection[str] = ()) -> BrowserMessage:
        """The user's newest messages as one of A2A; `known` are the ids of those that were sent before.

        Raises:
            RequestError: there is none, or nothing in it can be used.
        """
        newest = self.newest(known)
        if not newest:
            role = repr(shorten(str(self.messages[-1].get("role")))) if self.messages else "none at all"
            raise RequestError(
                f"The last of `messages` has the role {role}, but must be a new one of the user's, without a `resume`."
            )
        made = [_parts(message.get("content")) for message in newest]
        parts = [part for each, _ in made for part in each]
        skipped = [why for _, each in made for why in each]
        if not parts:
            raise RequestError(f"Nothing in the user's message can be used: {'; '.join(skipped) or 'it is empty'}.")
        about = self._about() | ({"skipped": skipped} if skipped else {})
        return self._sent(str(newest[-1].get("id") or ""), parts, about)

    def reply(self, answer: dict[str, Any], message_id: str) -> BrowserMessage:
        """A message with the part that answers what the agent asks."""
        return self._sent(message_id, [answer], {**self._about(), "resume": True})

    def _sent(self, message_id: str, parts: list[dict[str, Any]], about: dict[str, Any]) -> BrowserMessage:
        fields = {"contextId": self.thread_id, "parts": parts, "metadata": {INPUT: about}}
        message = convert(fields, BrowserMessage)
        message.message_id = message_id or None
        return message

    def _about(self) -> dict[str, Any]:
        state = self.state
        if isinstance(state, dict):  # The agent knows its own artifacts.
            state = {key: value for key, value in state.items() if key != ARTIFACTS}
        more = {
            "parentRunId": self.parent_run_id,
            "state": state,
            "tools": self.tools,
            "context": self.context,
            "forwardedProps": self.forwarded_props,
        }
        return {"runId": self.run_id, **{key: value for key, value in more.items() if value not in (None, [], {})}}


def _parts(content: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """The parts of a message's content, and what of it cannot be used: AG-UI wants a run to go on without that."""
    if isinstance(content, str):
        return ([{"text": content}] if content else []), []
    parts: list[dict[str, Any]] = []
    skipped: list[str] = []
    for each in content if isinstance(content, list) else ():
        made = _part(each) if isinstance(each, dict) else "a part that is no object"
        if isinstance(made, str):
            skipped.append(made)
        else:
            parts.append(made)
    return parts, skipped


def _part(part: dict[str, Any]) -> dict[str, Any] | str:
    kind, source = part.get("type"), part.get("source")
    if kind == "text" and isinstance(part.get("text"), str):
        return {"text": part["text"]}
    if kind not in _MEDIA or not isinstance(source, dict) or not isinstance(source.get("value"), str):
        return f"a part of the type {shorten(str(kind))!r}"
    media_type = source.get("mimeType")
    about = {"mediaType": media_type} if isinstance(media_type, str) else {}
    name = part["metadata"].get("filename") if isinstance(part.get("metadata"), dict) else None
    about |= {"filename": name if isinstance(name, str) and name else str(kind)}
    if source.get("type") == "data":
        return {**about, "raw": source["value"]}
    if source.get("type") == "url" and source["value"].startswith("urn:"):  # an upload
        return {**about, "url": source["value"], "metadata": part.get("metadata")}
    return f"a {kind} at an address, which is not fetched"
