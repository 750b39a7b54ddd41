"""A chat's messages as a page has them that has followed it: what was asked again, in other words, is left out."""

from __future__ import annotations

from gateway.chat.messages import ChatMessages, StoredMessage
from gateway.chat.streaming import told
from gateway.conversations import tasks_of
from tailrace.errors import RequestError, shorten
from tailrace.events import encode
from tailrace.log import EventLog
from tailrace.log.base import check_token
from tailrace.log.conversations import Conversation

# A page of messages ends with the task that makes it so large, in bytes: files are in it.
_LARGE = 2_000_000
# In a page's token, between the place in the list of tasks and the task after which the last one began.
_AFTER = "#"


async def messages_of(log: EventLog, record: Conversation, size: int, token: str) -> ChatMessages:
    """The messages of up to `size` tasks, the newest without a token, in their order.

    There may be fewer, even none, although there is a next page, which has older ones.

    Raises:
        RequestError: the token is none of a page's.
        LogUnavailable
    """
    place, after = _read(token)
    heads, further = await tasks_of(log, record, size, place)
    pages: list[list[StoredMessage]] = []
    bytes_left = _LARGE
    for head in heads:
        if bytes_left <= 0:
            further = place
            break
        place = head.place
        if after and head.task_id != after:  # A newer task began without it.
            continue
        projection = (await told(log, head.task_id, keeps=True)).projection
        pages.append(projection.messages)
        bytes_left -= len(encode(projection.messages))
        after = projection.after if isinstance(projection.after, str) else ""
        if projection.after is None:  # It began the chat anew.
            further = ""
            break
    newest_last = [message for page in reversed(pages) for message in page]
    return ChatMessages(newest_last, f"{further}{_AFTER}{after}" if further else "")


def _read(token: str) -> tuple[str, str]:
    """The place and the task in a token."""
    place, mark, after = token.partition(_AFTER)
    if token and not mark:
        raise RequestError(f"The page token has value {shorten(token)!r}, but must be the `nextPageToken` of a page.")
    return check_token(place), after
