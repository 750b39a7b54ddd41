"""Requests to another agent over HTTP: where they may go, which redirects they follow, how much they read."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Mapping

import httpx

from tailrace.a2a.transport import OUTSIDE
from tailrace.a2a.trust import is_own_agent, may_be_inside, origin_of
from tailrace.config import Settings
from tailrace.errors import AgentDown, AgentError, shorten
from tailrace.places import without_user

# Maximum size of a response that is not a stream, after gunzip. One event of a stream may be as large.
MAX_ANSWER_BYTES = 16_000_000
MAX_CARD_BYTES = 1_000_000
# How long it may take until a response begins with its status and its headers.
HEAD_S = 120.0
# Statuses of an answer that there is no room for a request now, and when to try again if it does not say so.
NO_ROOM = (429, 503)
_RETRY_AFTER_S = 5
# Maximum length of a text in the place of an answer.
_MAX_ERROR_CHARS = 500
_MAX_REDIRECTS = 3
_REDIRECTS = {"GET": (301, 302, 303, 307, 308), "POST": (307, 308)}
# Maximum size of what one step of gunzip gives.
PIECE_BYTES = 262_144


class Peer:
    """The agent at `url`. `own` says whether it is one of our own agents.

    Our own agents may be at any address. Others may be at an internal address only if the operator allows it.
    """

    def __init__(self, http: httpx.AsyncClient, url: str, settings: Settings) -> None:
        self.url = url
        self.own = is_own_agent(url, settings)
        self._http = http
        self._settings = settings
        self._outside = not self.own and not may_be_inside(url, settings)

    @contextlib.asynccontextmanager
    async def ask(
        self,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        silence_s: float | None = None,
        head_s: float | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """The response to one request, its body not read yet.

        `silence_s` is how long the response may be silent; None for the HTTP client's own limit. `head_s` is how long
        it may take until it begins; None for `HEAD_S`.

        Raises:
            AgentError: the agent could not be reached, or redirects elsewhere.
        """
        limit_s = HEAD_S if head_s is None else head_s
        try:
            url = httpx.URL(self.url)
            if url.userinfo:
                text = (
                    f"The URL of the agent at {url.host} has a user or a password. Leave them out: they are never sent."
                )
                raise AgentError(text, malformed=True)
            for _ in range(_MAX_REDIRECTS + 1):
                response = await self._send(self._request(method, url, headers, body, silence_s), limit_s)
                try:
                    if response.status_code not in _REDIRECTS.get(method, ()):
                        yield response
                        return
                    url = self._redirected(response, url)
                finally:
                    await response.aclose()
        except httpx.TimeoutException as error:
            # The request was sent as a whole, so it has probably arrived.
            raise AgentError(
                f"{self.url} could not be reached: {_text_of(error)}.", arrived=isinstance(error, httpx.ReadTimeout)
            ) from None
        except httpx.HTTPError as error:
            raise AgentError(f"{self.url} could not be reached: {_text_of(error)}.") from None
        except (httpx.InvalidURL, UnicodeError) as error:
            shown = without_user(self.url)
            why = f": {error}" if shown == self.url else ""  # the error may name a part of the password
            raise AgentError(f"{shorten(shown)!r} is not a URL{why}.") from None
        raise AgentError(f"{self.url} redirects more than {_MAX_REDIRECTS} times.", malformed=True)

    async def _send(self, request: httpx.Request, head_s: float) -> httpx.Response:
        """The response, its headers read. The limit is for all: any number of interim responses may come before it."""
        try:
            async with asyncio.timeout(head_s):
                return await self._http.send(request, stream=True)
        except TimeoutError:
            raise AgentError(f"{self.url} did not begin to answer within {head_s:g} s.", arrived=True) from None

    def _request(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes | None, silence_s: float | None
    ) -> httpx.Request:
        timeout = self._http.timeout
        if silence_s is not None:
            timeout = httpx.Timeout(timeout.connect, read=silence_s)
        headers = {**headers, "Accept-Encoding": "gzip"}
        return self._http.build_request(
            method, url, headers=headers, content=body, timeout=timeout, extensions={OUTSIDE: self._outside}
        )

    def _redirected(self, response: httpx.Response, url: httpx.URL) -> httpx.URL:
        to = url.join(response.headers.get("location", ""))
        if origin_of(to) != origin_of(url) or (self.own and not is_own_agent(str(to), self._settings)):
            raise AgentError(
                f"{self.url} redirects to {shorten(str(to))!r}, which is elsewhere; "
                "redirects are followed on the same scheme, host and port only.",
                malformed=True,
            )
        return to


def refusal_in(response: httpx.Response, body: bytes, url: str, *, own: bool) -> AgentError | None:
    """The error for an answer that somebody gives in the agent's place; None for any other answer.

    Of our own agents one that does not run says so in plain text (503). Lambda answers for a function when all
    executions are taken (429), and a proxy when no server has room.
    """
    status = response.status_code
    if own and status == 503 and response.headers.get("content-type", "").startswith("text/plain") and body.strip():
        return AgentDown(shorten(body.decode(errors="replace").strip(), _MAX_ERROR_CHARS))
    if status not in NO_ROOM:
        return None
    wait_s = retry_after_of(response) or _RETRY_AFTER_S
    return AgentError(f"{url} takes no requests now (HTTP {status}). Try again in {wait_s} s.", retry_after_s=wait_s)


def retry_after_of(response: httpx.Response) -> int | None:
    """The seconds in `Retry-After`; None if there are none."""
    text = response.headers.get("retry-after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else None


async def body_of(response: httpx.Response, limit: int, url: str) -> bytes:
    """The whole body, after gunzip.

    Raises:
        AgentError: it is larger than `limit` bytes.
    """
    body = bytearray()
    async for piece in unpacked(response, url):
        body += piece
        if max(len(body), response.num_bytes_downloaded) > limit:
            raise AgentError(f"{url} answered with more than {limit:,} bytes.", arrived=True, malformed=True)
    return bytes(body)


def unpacked(response: httpx.Response, url: str) -> AsyncIterator[bytes]:
    """The body as it arrives, after gunzip, in pieces of a bounded size. (httpx decompresses each chunk in one go.)

    Each chunk that arrives gives at least one piece, if only an empty one, so that a caller can count what arrives.

    Raises:
        AgentError: the body has another encoding than gzip, or is not gzip.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return aiter(response.stream)
    if encoding in ("gzip", "x-gzip"):
        return _gunzipped(response.aiter_raw(), url)
    raise AgentError(f"{url} answered in the encoding {shorten(encoding)!r}; only gzip is read.", malformed=True)


async def _gunzipped(chunks: AsyncIterator[bytes], url: str) -> AsyncIterator[bytes]:
    member = zlib.decompressobj(wbits=31)
    async for chunk in chunks:
        rest = chunk
        while rest:
            if member.eof:
                member = zlib.decompressobj(wbits=31)
            try:
                piece = member.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                raise AgentError(f"{url} answered with something that is not gzip: {error}.", malformed=True) from None
            rest = member.unused_data if member.eof else member.unconsumed_tail
            if piece:
                yield piece
                await asyncio.sleep(0)  # Let others run: a gzip bomb has pieces without end.
        yield b""


def _text_of(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
