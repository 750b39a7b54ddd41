"""A webhook: whom to tell of a task's events, how it knows us, and how far it has been told."""

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
# What may stand in a header: a scheme is a token (RFC 9110, section 5.6.2), a value is visible ASCII and spaces.
_SCHEME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_URL = re.compile(r"[\x21-\x7e]+")
_VALUE = re.compile(r"[\x20-\x7e]*")


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """`delivered` is the seq of the last event that was acknowledged. Whoever delivers holds the lease (ms).

    `version` is the protocol's in which the webhook was asked for: 1.0 is told every event, 0.3 the task. `due` is from
    when somebody must see to it that it is delivered to (ms), 0 when there is no more to deliver than was; `failures`
    counts the deliveries that gave up since the last acknowledgement.
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

    def asks_for(self) -> tuple[str, ...]:
        """What the client said, to tell the same webhook sent twice from another one."""
        return (self.task_id, self.id, self.url, self.token, self.scheme, self.credentials, self.version)

    @property
    def headers(self) -> dict[str, str]:
        """The headers by which the webhook knows us."""
        headers = {}
        if self.token:
            # The text does not name a header for it; this is the one all SDKs of 0.3 and 1.0 send.
            headers["X-A2A-Notification-Token"] = self.token
        if self.scheme:
            headers["Authorization"] = f"{self.scheme} {self.credentials}".strip()
        return headers


def default_id(task_id: str, url: str) -> str:
    """The id of a webhook that was given none; the same for the same, so that asking twice is asking once."""
    return str(uuid.uuid5(_NAMESPACE, f"{task_id}\0{url}"))


def check(hook: Webhook, *, internal: bool) -> Webhook:
    """`hook` if it can be delivered to, as far as can be told without asking DNS.

    `internal` allows addresses of this machine and its networks, and plain HTTP.

    Raises:
        RequestError: it cannot.
    """
    _short("id", hook.id, _MAX_ID)
    _short("url", hook.url, _MAX_URL)
    for name, value in (("token", hook.token), ("credentials", hook.credentials)):
        _short(name, value, _MAX_SECRET)
        if not _VALUE.fullmatch(value):
            raise RequestError(f"{name} has characters that no HTTP header may have.")
    if hook.scheme and not _SCHEME.fullmatch(hook.scheme):
        raise RequestError(f"authentication.scheme has value {shorten(hook.scheme)!r}, but must be one word.")
    try:
        parts = urlsplit(hook.url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise RequestError(f"url has value {shorten(hook.url)!r}, which is no URL: {error}.") from None
    right = ("https", "http") if internal else ("https",)
    if parts.scheme not in right or not host or not _URL.fullmatch(hook.url):
        raise RequestError(f"url has value {shorten(hook.url)!r}, but must be an absolute URL of {' or '.join(right)}.")
    if parts.username is not None:
        raise RequestError("url must not hold a user or password; put them into `authentication`.")
    if not internal:
        refuse_literal(host)
    return hook


def _short(name: str, value: str, limit: int) -> None:
    if len(value) > limit:
        raise RequestError(f"{name} has {len(value):,} characters; the limit is {limit:,}.")
