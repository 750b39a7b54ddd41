"""A webhook: where a task's events are sent, with which credentials, and how far they were delivered."""

from __future__ import annotations

import re
import uuid
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from tailrace.errors import RequestError, shorten
from tailrace.network.addresses import refuse_literal

_NAMESPACE = uuid.UUID("5f0b2a52-2a0f-5c44-9d5c-7a11aace0002")
_MAX_ID, _MAX_URL, _MAX_SECRET = 200, 2_000, 4_000
# What a header may contain: a scheme is a token (RFC 9110, section 5.6.2), a value is visible ASCII and spaces.
_SCHEME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_URL = re.compile(r"[\x21-\x7e]+")
_VALUE = re.compile(r"[\x20-\x7e]*")


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook of one task. `token`, `scheme` and `credentials` are sent with every notification.

    `version` is the version of A2A in which the webhook was created: 1.0 gets every event, 0.3 gets the task.
    `delivered` is the seq of the last event that was acknowledged. `holder` is the process that delivers, until
    `lease_until`. From `due` on, the sweeper starts a delivery if none is under way; 0 means that there is nothing to
    deliver. `failures` counts the failed deliveries since the last acknowledgement. Times are ms since the epoch.
    """

    task_id: str
    id: str
    url: str
    token: str = ""
    scheme: str = ""
    credentials: str = ""
    version: Literal["1.0", "0.3"] = "1.0"
    delivered: int = 0
    holder: str = ""
    lease_until: int = 0
    due: int = 0
    failures: int = 0

    def request_fields(self) -> tuple[str, ...]:
        """The fields that the client set. Two webhooks are the same if these are equal."""
        return (self.task_id, self.id, self.url, self.token, self.scheme, self.credentials, self.version)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that authenticate a notification to its receiver."""
        headers = {}
        if self.token:
            # The specification names no header for the token. All SDKs of 0.3 and 1.0 send this one.
            headers["X-A2A-Notification-Token"] = self.token
        if self.scheme:
            headers["Authorization"] = f"{self.scheme} {self.credentials}".strip()
        return headers


def default_id(task_id: str, url: str) -> str:
    """The id of a webhook without one. It is derived, so that the same request twice makes one webhook."""
    return str(uuid.uuid5(_NAMESPACE, f"{task_id}\0{url}"))


def check(hook: Webhook, *, internal: bool) -> Webhook:
    """Return `hook` if its fields can be used. Its host is not resolved here.

    `internal` allows addresses of this machine and its networks, and plain HTTP.

    Raises:
        RequestError: a field is too long or malformed, or the URL may not be used.
    """
    _short("id", hook.id, _MAX_ID)
    _short("url", hook.url, _MAX_URL)
    for name, value in (("token", hook.token), ("credentials", hook.credentials)):
        _short(name, value, _MAX_SECRET)
        if not _VALUE.fullmatch(value):
            raise RequestError(f"{name} has characters that no HTTP header may contain; use visible ASCII and spaces.")
    if hook.scheme and not _SCHEME.fullmatch(hook.scheme):
        raise RequestError(
            f"authentication.scheme has value {shorten(hook.scheme)!r}, but must be one word, like Bearer."
        )
    try:
        parts = urlsplit(hook.url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise RequestError(f"url has value {shorten(hook.url)!r}, which is not a URL: {error}.") from None
    schemes = ("https", "http") if internal else ("https",)
    if parts.scheme not in schemes or not host or not _URL.fullmatch(hook.url):
        raise RequestError(f"url has value {shorten(hook.url)!r}, but must be an absolute {' or '.join(schemes)} URL.")
    if parts.username is not None:
        raise RequestError("url must not contain a user or password; put them into `authentication`.")
    if not internal:
        refuse_literal(host)
    return hook


def _short(name: str, value: str, limit: int) -> None:
    if len(value) > limit:
        raise RequestError(f"{name} has {len(value):,} characters; the limit is {limit:,}.")
