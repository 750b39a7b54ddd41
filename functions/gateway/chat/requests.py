"""What a page of the AI SDK sends (`HttpChatTransport` in the package `ai`): checked, and as messages of A2A."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes

import msgspec

from gateway.api_route import NOT_EMPTY
from gateway.chat.approvals import Response
from gateway.requests import BrowserMessage
from tailrace.a2a.types import convert
from tailrace.errors import RequestError, shorten

# A page sends the whole conversation, of which only the last message is read. A Lambda function gets no more.
MAX_BODY = 6_000_000
EXAMPLE = '{"id": "chat-1", "messages": [{"id": "m-1", "role": "user", "parts": [{"type": "text", "text": "…"}]}]}'
# The data part that answers questions by their ids, and how all data parts begin.
_ANSWERS, _DATA = "data-answers", "data-"


class UIMessage(msgspec.Struct, kw_only=True):
    """A message as a page has it. What else it has is the page's own."""

    id: Annotated[str, NOT_EMPTY]
    role: Literal["user", "assistant", "system"]
    parts: list[dict[str, Any]]
    metadata: Any = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("Expected `id` of a message as a text that is not empty")


class ChatBody(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The body of `POST /api/chat`. `message_id` names the message that is edited, made anew or gone on with."""

    id: Annotated[str, NOT_EMPTY]
    messages: Annotated[list[UIMessage], msgspec.Meta(extra_json_schema={"minItems": 1})]
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    message_id: str | None = None
    agent: str | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("Expected `id` of the chat as a text that is not empty")
        if not self.messages:
            raise ValueError("Expected `messages` with at least one message, got []")

    @property
    def last(self) -> UIMessage:
        return self.messages[-1]

    @property
    def changes_history(self) -> bool:
        """Whether a message is asked again, or asked in other words: what came after it no longer counts."""
        edits = self.message_id is not None and self.message_id == self.last.id
        return self.trigger == "regenerate-message" or edits


def user_message(sent: UIMessage, context_id: str) -> BrowserMessage:
    """The user's message as one of A2A.

    Raises:
        RequestError: a part cannot be sent.
    """
    parts = [_part(part, place) for place, part in enumerate(sent.parts)]
    metadata = sent.metadata if isinstance(sent.metadata, dict) else None
    fields: dict[str, Any] = {"messageId": sent.id, "contextId": context_id, "parts": parts}
    return convert(fields | ({"metadata": metadata} if metadata else {}), BrowserMessage)


def responses_in(sent: UIMessage) -> dict[str, Response]:
    """What the user has decided about approvals in a message of the assistant, by the approval's id."""
    responses: dict[str, Response] = {}
    for part in sent.parts:
        approval = part.get("approval")
        if not isinstance(approval, dict) or not isinstance(approval.get("approved"), bool):
            continue
        reason = approval.get("reason")
        responses[str(approval.get("id"))] = Response(approval["approved"], reason if isinstance(reason, str) else None)
    return responses


def _part(part: dict[str, Any], place: int) -> dict[str, Any]:
    kind, at = part.get("type"), f"messages[-1].parts[{place}]"
    match kind:
        case "text":
            return {"text": part.get("text")}
        case "file":
            return _file(part, at)
        case _ if kind == _ANSWERS:
            return {"data": {"answers": part.get("data")}}
        case str() if kind.startswith(_DATA):
            return {"data": part.get("data")}
    right = "a user's message can have parts of the types text, file and data-…"
    raise RequestError(f"{at}.type has value {shorten(repr(kind))}, but {right}.")


def _file(part: dict[str, Any], at: str) -> dict[str, Any]:
    url, name = part.get("url"), part.get("filename")
    made: dict[str, Any] = {"filename": name or "file", "mediaType": part.get("mediaType")}
    if not isinstance(url, str):
        raise RequestError(f"{at}.url has value {shorten(repr(url))}, but must be a text.")
    if not url.startswith("data:"):  # an upload, or nothing that is fetched
        provider = part.get("providerMetadata")
        ours = provider.get("tailrace") if isinstance(provider, dict) else None
        return {**made, "url": url, **({"metadata": ours} if ours else {})}
    head, comma, content = url.removeprefix("data:").partition(",")
    try:
        if not comma:
            raise ValueError
        raw = base64.b64decode(content, validate=True) if head.endswith(";base64") else unquote_to_bytes(content)
    except ValueError:
        raise RequestError(f"{at}.url has value {shorten(url)!r}, but must be a data URL (RFC 2397).") from None
    return {**made, "raw": base64.b64encode(raw).decode()}
