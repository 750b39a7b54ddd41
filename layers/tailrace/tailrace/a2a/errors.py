"""A2A's errors, by their codes (specification, sections 3.3.2 and 5.4). Each binding has its own form for them.

`RpcError` has the JSON-RPC code: of the numbers in section 5.4 only this one is different for every error.
"""

from __future__ import annotations

from typing import Any

from tailrace.errors import ContextBusy, ContextDamaged, RequestError, TailraceError, TaskUnknown, shorten

METHOD_NOT_FOUND = -32601

# After how many seconds a caller may try again that was refused because the agent is busy.
_RETRY_AFTER_S = 5
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


class RpcError(TailraceError):
    """An error as the caller gets it: the JSON-RPC `code`, and A2A's `reason` if the error is A2A's own.

    `retry_after_s` says when to try again, in seconds, if the agent is only too busy.

    `rpc_id` is the request's id, if the request did not become a `Call`. `status` is the HTTP status, if it is another
    one than section 5.4 gives to the code.
    """

    rpc_id: str | int | None = None

    def __init__(
        self,
        code: int,
        message: str,
        reason: str = "",
        *,
        status: int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.code = code
        self.reason = reason
        self.status = status

    @property
    def details(self) -> list[dict[str, Any]]:
        """The details as ProtoJSON `Any`s; empty for an error that is not A2A's own (section 9.5)."""
        if not self.reason:
            return []
        return [{"@type": _ERROR_INFO, "reason": self.reason, "domain": "a2a-protocol.org"}]


def parse_error(message: str) -> RpcError:
    return RpcError(-32700, message)


def invalid_request(message: str) -> RpcError:
    return RpcError(-32600, message)


def method_not_found(method: str) -> RpcError:
    return RpcError(METHOD_NOT_FOUND, f"There is no method {shorten(method)!r}.")


def invalid_params(message: str) -> RpcError:
    return RpcError(-32602, message)


def internal_error() -> RpcError:
    return RpcError(-32603, "The agent failed to answer; its log says why.")


def too_busy(reason: str) -> RpcError:
    """The agent could do this later. HTTP+JSON answers 503."""
    return RpcError(-32603, f"{reason}. Try again in {_RETRY_AFTER_S} s.", retry_after_s=_RETRY_AFTER_S)


def unauthenticated() -> RpcError:
    """HTTP's 401 (section 7.4). A2A has no code of its own for it; JSON-RPC leaves -32000 to the server."""
    return RpcError(-32000, "This agent does not know the caller; its card says how to authenticate.", status=401)


def misdirected(host: str, right: str) -> RpcError:
    """HTTP's 421 (RFC 9110, section 15.5.20): the request is meant for another server."""
    return RpcError(-32600, f"Host has value {shorten(host)!r}, but must be {right}.", status=421)


def from_another_origin(origin: str) -> RpcError:
    """HTTP's 403: another site's page sent the request."""
    message = f"Origin has value {shorten(origin)!r}, but must be this agent's: it answers no page of another site."
    return RpcError(-32600, message, status=403)


def task_not_found(task_id: str) -> RpcError:
    return RpcError(-32001, f"Task not found: {shorten(task_id)!r}.", "TASK_NOT_FOUND")


def config_not_found(task_id: str, config_id: str) -> RpcError:
    """The same error as for a task (section 3.1.8)."""
    about = f"Push notification config not found: {shorten(config_id)!r}, of task {shorten(task_id)!r}."
    return RpcError(-32001, about, "TASK_NOT_FOUND")


def not_cancelable(message: str) -> RpcError:
    return RpcError(-32002, message, "TASK_NOT_CANCELABLE")


def unsupported_operation(message: str) -> RpcError:
    return RpcError(-32004, message, "UNSUPPORTED_OPERATION")


def content_type_not_supported(message: str, *, status: int | None = None) -> RpcError:
    return RpcError(-32005, message, "CONTENT_TYPE_NOT_SUPPORTED", status=status)


def no_extended_card() -> RpcError:
    """In 1.0 the error of an agent whose card promises an extended card (section 3.3.4), in 0.3 of any agent."""
    return RpcError(-32007, "This agent has no extended card for you.", "EXTENDED_AGENT_CARD_NOT_CONFIGURED")


def extension_required(uris: list[str]) -> RpcError:
    message = f"This agent needs extensions that A2A-Extensions does not name: {', '.join(uris)}."
    return RpcError(-32008, message, "EXTENSION_SUPPORT_REQUIRED")


def version_not_supported(version: str, supported: str = "1.0 and 0.3 are") -> RpcError:
    return RpcError(-32009, f"A2A-Version {shorten(version)!r} is not supported; {supported}.", "VERSION_NOT_SUPPORTED")


def as_rpc_error(error: Exception) -> RpcError:
    """The error that a caller gets for `error`. An unexpected error becomes a general one, without its text."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, TaskUnknown):
        return task_not_found(error.task_id)
    if isinstance(error, ContextBusy | ContextDamaged):
        return unsupported_operation(str(error))
    if isinstance(error, RequestError):
        return invalid_params(str(error))
    if isinstance(error, TailraceError):
        return RpcError(-32603, str(error))
    return internal_error()
