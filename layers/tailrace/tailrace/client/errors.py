"""What went wrong, as a client's caller gets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tailrace.errors import AgentError, ClientError, ServerRefused, ServerUnreachable

_INTERNAL_ERROR, _UNAUTHENTICATED = -32603, -32000


def unreachable(url: str, error: Exception) -> ServerUnreachable:
    """The error for a server that has not answered."""
    if isinstance(error, TimeoutError | httpx.ReadTimeout):
        return ServerUnreachable(f"{url} was silent for too long.")
    return ServerUnreachable(f"{url} cannot be reached: {str(error).rstrip('.') or type(error).__name__}.")


def refused_401(url: str, words: str) -> ServerRefused:
    """The error for a server that does not know us."""
    right = "Set TAILRACE_TOKEN to a token of it (`make token` makes one)"
    return ServerRefused(f"{url} does not know who asks (401): {words.rstrip('.')}. {right}.", status=401)


@contextmanager
def client_errors(*, cuts: bool = False) -> Iterator[None]:
    """Turn the errors of the agent's client into those of this one.

    `cuts` says that a stream is read: an agent that fails to answer, or breaks off, has cut it.

    Raises:
        ServerRefused, ServerUnreachable
    """
    try:
        yield
    except AgentError as error:
        raise _as_client_error(error, cuts=cuts) from None


def _as_client_error(error: AgentError, *, cuts: bool) -> ClientError:
    words = str(error)
    if error.retry_after_s is not None:
        return ServerRefused(words, code=error.code, retry_after_s=float(error.retry_after_s))
    if error.code == _UNAUTHENTICATED or " answered 401 " in words:
        return refused_401("The agent", words)
    if error.code == _INTERNAL_ERROR and cuts:
        return ServerUnreachable(words)
    if error.code is not None or error.malformed:
        return ServerRefused(words, code=error.code)
    return ServerUnreachable(words)
