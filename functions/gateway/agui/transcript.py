"""The messages of a task as an AG-UI client has them, and the events that bring it there.

A client can only append to a message. When the log takes text back, what it repeats is not sent again, and if the
message did change, a MESSAGES_SNAPSHOT states all of them anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from gateway.agui import events as ag

RESPONSE = "response"


class Call(msgspec.Struct):
    """A tool call in the message `parent`. `step` is that of the model that made it, or of the tool."""

    id: str
    name: str
    parent: str
    step: str | None
    arguments: list[str] = []
    result: str | None = None
    failed: bool = False


class Entry(msgspec.Struct):
    """A message. `step` wrote it, and `artifact` is the text artifact that it is a part of."""

    id: str
    role: str
    step: str | None = None
    artifact: str = ""
    name: str = ""
    content: Any = None
    pieces: list[str] = []
    calls: list[Call] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Transcript(msgspec.Struct):
    """The messages in their order. `earlier` are those of earlier tasks, or those that the client has sent.

    `open` and `open_calls` are the ids of what was started and not ended, and `thinking` that of the reasoning. `held`
    has what the client has of messages that the log has taken back, until it is known what stays. `passages` are the
    ids of an artifact's messages, each with the id of the model's message that it is.
    """

    task_id: str
    earlier: list[Any] = []
    entries: dict[str, Entry] = {}
    calls: dict[str, Call] = {}
    open: list[str] = []
    open_calls: list[str] = []
    thinking: str = ""
    held: dict[str, str] = {}
    passages: dict[str, list[tuple[str, str | None]]] = {}

    # Texts

    def artifact_text(
        self, artifact: str, text: str, *, append: bool, step: str | None, message: str | None
    ) -> Iterator[ag.Event]:
        """A piece of a text artifact. What one model's message or one step says without a break is a message."""
        if not append and artifact in self.passages:
            self._take_back(artifact)
        passages = self.passages.setdefault(artifact, [])
        if not text:
            return
        if not passages or passages[-1][1] != message:
            place = f"-{len(passages)}" if passages else ""
            passages.append((message or f"{self.task_id}-{artifact}{place}", message))
        name = "" if artifact == RESPONSE else artifact
        yield from self.say(passages[-1][0], text, step=step, artifact=artifact, name=name)

    def say(
        self, message_id: str, text: str, *, step: str | None, artifact: str = "", name: str = ""
    ) -> Iterator[ag.Event]:
        """A piece of a message of the assistant."""
        begun = self.entries.get(message_id)
        if begun is None or not begun.pieces:
            text = text.lstrip("\n")  # a blank line that sets it apart from the artifact's text before it
        if not text:
            return
        entry = self._entry(message_id, "assistant")
        entry.step, entry.artifact = step or entry.step, artifact
        if not entry.pieces and not entry.calls and message_id not in self.held:
            entry.name = name  # It stays: a message that is started again must have the same.
        entry.pieces.append(text)
        if (known := self.held.get(message_id)) is not None:
            now = entry.text
            if known.startswith(now):
                if known == now:
                    del self.held[message_id]
                return
            if not now.startswith(known):
                yield from self.restated()
                return
            del self.held[message_id]
            text = now[len(known) :]
        if message_id not in self.open:
            self.open.append(message_id)
            yield ag.TextStart(message_id, "assistant", entry.name)
        yield ag.TextContent(message_id, text)

    def think(self, message_id: str, text: str, step: str | None) -> Iterator[ag.Event]:
        """A piece of a model's reasoning."""
        entry = self._entry(message_id, "reasoning")
        entry.step = step
        entry.pieces.append(text)
        if self.thinking != message_id:
            yield from self.thought()
            yield from self._thinks(message_id)
        yield ag.ReasoningContent(message_id, text)

    def thought(self) -> Iterator[ag.Event]:
        """The reasoning is over, if there is any."""
        if self.thinking:
            yield ag.ReasoningMessageEnd(self.thinking)
            yield ag.ReasoningEnd(self.thinking)
            self.thinking = ""

    def _thinks(self, message_id: str) -> Iterator[ag.Event]:
        self.thinking = message_id
        yield ag.ReasoningStart(message_id)
        yield ag.ReasoningMessageStart(message_id, "reasoning")

    # Tool calls

    def call(
        self, call_id: str, name: str, arguments: str, *, message: str | None, step: str | None
    ) -> Iterator[ag.Event]:
        """A piece of the arguments of a call."""
        call = self.calls.get(call_id)
        if call is None:
            entry = self._entry(message or call_id, "assistant")
            call = self.calls[call_id] = Call(call_id, name, entry.id, step)
            entry.step = step or entry.step
            entry.calls.append(call)
            yield from self._calls(call)
        if arguments:
            if call_id not in self.open_calls:
                yield from self._calls(call)
            call.arguments.append(arguments)
            yield ag.CallArguments(call_id, arguments)

    def _calls(self, call: Call) -> Iterator[ag.Event]:
        self.open_calls.append(call.id)
        yield ag.CallStart(call.id, call.name, call.parent)

    def called(self, call_id: str) -> Iterator[ag.Event]:
        """The arguments of a call are complete."""
        if call_id in self.open_calls:
            self.open_calls.remove(call_id)
            yield ag.CallEnd(call_id)

    def answered(self, call_id: str, result: str, *, failed: bool) -> Iterator[ag.Event]:
        """The tool has answered."""
        call = self.calls[call_id]
        if call.result == result:
            return
        stated = call.result is not None
        call.result, call.failed = result, failed
        yield from self.called(call_id)
        if stated:
            yield from self.restated()
        else:
            yield ag.CallResult(_result_id(call_id), call_id, result)

    # What is over, and what is void

    def add_user(self, message_id: str, content: str | list[Any]) -> None:
        """A message of the user, which the client has."""
        self._entry(message_id, "user").content = content

    def ended(self, step: str | None = None) -> Iterator[ag.Event]:
        """End what a step has open; everything without one."""
        yield from self.thought()
        for message_id in [each for each in self.open if step is None or self.entries[each].step == step]:
            self.open.remove(message_id)
            yield ag.TextEnd(message_id)
        for call_id in [each for each in self.open_calls if step is None or self.calls[each].step == step]:
            yield from self.called(call_id)

    def void(self, steps: Collection[str]) -> Iterator[ag.Event]:
        """What these steps said and called does not count: they run again. Text artifacts are taken back apart."""
        void = False
        for entry in list(self.entries.values()):
            for call in [each for each in entry.calls if each.step in steps]:
                del self.calls[call.id]
                void = True
            entry.calls = [each for each in entry.calls if each.id in self.calls]
            if entry.step in steps and not entry.artifact and entry.pieces:
                entry.pieces, void = [], True
        if void:
            yield from self.restated()

    def settled(self) -> Iterator[ag.Event]:
        """State the messages anew if the client has text that the log has taken back."""
        if self.held:
            yield from self.restated()

    def restated(self) -> Iterator[ag.Event]:
        """All messages. What was open can be started again."""
        yield from self.ended()
        yield self.snapshot()

    def snapshot(self) -> ag.MessagesSnapshot:
        """All messages. The client has then what is in it, and nothing else."""
        self.held = {}
        # What is gone comes back at the end, as at the client.
        self.entries = {key: entry for key, entry in self.entries.items() if any(_messages(entry))}
        self.open = [each for each in self.open if each in self.entries]
        return ag.MessagesSnapshot(self.messages)

    def reopened(self) -> Iterator[ag.Event]:
        """For who has only the snapshot: start again what is open."""
        for message_id in self.open:
            yield ag.TextStart(message_id, "assistant", self.entries[message_id].name)
        calls, self.open_calls = self.open_calls, []
        for call_id in calls:
            yield from self._calls(self.calls[call_id])
        if self.thinking:
            yield from self._thinks(self.thinking)

    @property
    def messages(self) -> list[Any]:
        """All messages, as AG-UI has them; each tool's answer behind the message that called it."""
        own = [message for entry in self.entries.values() for message in _messages(entry)]
        ids = {message.id for message in own}
        return [*(each for each in self.earlier if _id_of(each) not in ids), *own]

    @property
    def of_user(self) -> list[str]:
        """The ids of the user's messages."""
        return [entry.id for entry in self.entries.values() if entry.role == "user"]

    def _entry(self, message_id: str, role: str) -> Entry:
        return self.entries.setdefault(message_id, Entry(message_id, role))

    def _take_back(self, artifact: str) -> None:
        for message_id, _ in self.passages.pop(artifact):
            entry = self.entries.get(message_id)
            if entry is not None and entry.pieces:
                self.held.setdefault(message_id, entry.text)
                entry.pieces = []


def _messages(entry: Entry) -> Iterator[Any]:
    if entry.role == "user":
        yield ag.UserMessage(entry.id, "user", entry.content)
    elif entry.role == "reasoning":
        if entry.pieces:
            yield ag.ReasoningMessage(entry.id, "reasoning", entry.text)
    elif entry.pieces or entry.calls:
        calls = [
            ag.ToolCall(call.id, "function", ag.FunctionCall(call.name, "".join(call.arguments)))
            for call in entry.calls
        ]
        yield ag.AssistantMessage(entry.id, "assistant", entry.text, entry.name, calls)
        for call in entry.calls:
            if call.result is not None:
                error = call.result if call.failed else ""
                yield ag.ToolMessage(_result_id(call.id), "tool", call.result, call.id, error)


def _result_id(call_id: str) -> str:
    return f"{call_id}-result"


def _id_of(message: Any) -> str:
    return str(message.get("id")) if isinstance(message, dict) else str(message.id)
