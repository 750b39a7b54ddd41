"""Chat models for tests: they give the replies that a test names, word by word, with tool calls in pieces and usage."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCall
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

Reply = Callable[[Sequence[BaseMessage]], AIMessage]


class Speaker(BaseChatModel):
    """Replies with `reply(messages)`; each call counts 11 tokens in and 7 out. `before(n)` runs before chunk n."""

    reply: Reply
    before: Callable[[int], Any] = lambda _: None

    @property
    def _llm_type(self) -> str:
        return "speaker"

    def bind_tools(self, *_: Any, **__: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.reply(messages))])

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for place, chunk in enumerate(_chunks(self.reply(messages))):
            waiting = self.before(place)
            if waiting is not None:
                await waiting
            yield ChatGenerationChunk(message=chunk)


def says(*replies: str | AIMessage, **options: Any) -> Speaker:
    """A model that gives `replies` in turn, counted by the AI messages in the conversation. The last one repeats."""

    def reply(messages: Sequence[BaseMessage]) -> AIMessage:
        count = sum(isinstance(message, AIMessage) for message in messages)
        chosen = replies[min(count, len(replies) - 1)]
        return AIMessage(chosen) if isinstance(chosen, str) else chosen.model_copy(deep=True)

    return Speaker(reply=reply, **options)


def calls(tool: str, arguments: dict[str, Any], *, text: str = "", call: str = "call-1") -> AIMessage:
    """A reply that calls a tool."""
    return AIMessage(text, tool_calls=[ToolCall(name=tool, args=arguments, id=call)])


def _chunks(message: AIMessage) -> list[AIMessageChunk]:
    if isinstance(message.content, str):
        words = message.content.split(" ") if message.content else []
        chunks = [AIMessageChunk(content=(" " if place else "") + word) for place, word in enumerate(words)]
    else:
        blocks = [block if isinstance(block, dict) else {"type": "text", "text": block} for block in message.content]
        chunks = [AIMessageChunk(content=[{**block, "index": place}]) for place, block in enumerate(blocks)]
    for place, called in enumerate(message.tool_calls):
        arguments = json.dumps(called["args"])
        half = len(arguments) // 2
        pieces = [(called["name"], "", called["id"]), (None, arguments[:half], None), (None, arguments[half:], None)]
        for name, args, identity in pieces:
            piece = tool_call_chunk(name=name, args=args, id=identity, index=place)
            chunks.append(AIMessageChunk(content="", tool_call_chunks=[piece]))
    usage: Any = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    chunks.append(AIMessageChunk(content="", usage_metadata=usage, response_metadata={"model_name": "speaker-1"}))
    return chunks
