"""How much of another agent's answer is read, where it may lead, and how often it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ipaddress
import itertools
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tailrace.a2a import peer, received
from tailrace.a2a.client import AgentClient, new_http
from tailrace.a2a.discovery import DiscoveredAgent, discover, interface_of
from tailrace.a2a.incoming import ArtifactUpdate, card_in, decoded, event_in
from tailrace.a2a.peer import body_of
from tailrace.a2a.received import Received, TooMuch
from tailrace.a2a.trust import is_own_agent
from tailrace.config import Settings
from tailrace.errors import AgentDown, AgentError, ConfigError
from tests.support.processes import reserved_port

CARD = {"name": "other", "supportedInterfaces": [{"protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]}


def zeros(megabytes: int) -> Iterator[bytes]:
    """So many megabytes of zeros as gzip."""
    packing = zlib.compressobj(9, wbits=31)
    for _ in range(megabytes):
        yield packing.compress(bytes(1_000_000))
    yield packing.flush()


def answered(chunks: Iterable[bytes], **headers: str) -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return httpx.Response(200, content=body(), headers={key.replace("_", "-"): value for key, value in headers.items()})


async def test_a_body_that_unpacks_to_more_than_the_limit_is_read_no_further() -> None:
    packed = b"".join(zeros(400))
    with pytest.raises(AgentError, match="more than 1,000,000 bytes"):
        await body_of(answered([packed], content_encoding="gzip"), 1_000_000, "http://there/")
    sizes = [len(piece) async for piece in peer.unpacked(answered([packed], content_encoding="gzip"), "http://there/")]
    assert sum(sizes) == 400_000_000
    assert max(sizes) <= peer.PIECE_BYTES


async def test_gzip_is_read_in_all_its_members_wherever_it_is_cut() -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"two")
    for size in (1, 7, len(packed)):
        chunks = [packed[start : start + size] for start in range(0, len(packed), size)]
        assert await body_of(answered(chunks, content_encoding="gzip"), 100, "http://there/") == b"one two"


@pytest.mark.parametrize(("encoding", "said"), [("gzip", "not gzip"), ("br", "'br'"), ("gzip, gzip", "'gzip, gzip'")])
async def test_what_is_packed_otherwise_is_refused_in_words(encoding: str, said: str) -> None:
    with pytest.raises(AgentError, match=said):
        await body_of(answered([b"{}"], content_encoding=encoding), 100, "http://there/")


# Limits of a stream


def update(size: int, number: int = 0) -> ArtifactUpdate:
    given = {"taskId": "t", "artifact": {"artifactId": f"a{number}", "parts": [{"text": "x" * size}]}, "append": True}
    update = event_in({"artifactUpdate": given}, "http://there/").artifact_update
    assert update is not None
    return update


def test_events_are_counted_and_a_stream_of_too_many_is_given_up() -> None:
    told = Received(trusted=False)
    for _ in range(received.MAX_EVENTS):
        told.count(10)
    with pytest.raises(TooMuch, match="100,000 events"):
        told.count(10)


@pytest.mark.parametrize("packed", [False, True])
async def test_bytes_are_counted_and_a_stream_of_too_many_is_given_up_though_it_says_nothing(packed: bool) -> None:
    comments = b":" + b" " * 999_997 + b"\n\n"
    body = [comments] * 65 if not packed else [gzip.compress(comments * 65)]
    headers = {"content-type": "text/event-stream"} | ({"content-encoding": "gzip"} if packed else {})

    def answer(request: httpx.Request) -> httpx.Response:
        return answered(iter(body), **headers)

    settings = Settings(specialist_urls="http://127.0.0.1:1")
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        asked = AgentClient(http, "http://127.0.0.1:1", owner="me", settings=settings)
        with pytest.raises(TooMuch, match="64,000,000 bytes"):
            await anext(asked.stream("SubscribeToTask", {"id": "t"}))


async def test_bytes_that_unpack_to_nothing_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.a2a.client.MAX_BYTES", 100_000)
    members = gzip.compress(b"") * 100
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}

    def answer(request: httpx.Request) -> httpx.Response:
        return answered(itertools.repeat(members), **headers)

    settings = Settings(specialist_urls="http://127.0.0.1:1")
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        asked = AgentClient(http, "http://127.0.0.1:1", owner="me", settings=settings)
        with pytest.raises(TooMuch, match="100,000 bytes"):
            await anext(asked.stream("SubscribeToTask", {"id": "t"}))
    with pytest.raises(AgentError, match="more than 100,000 bytes"):
        await body_of(answered(itertools.repeat(members), content_encoding="gzip"), 100_000, "http://there/")


async def test_an_answer_that_never_begins_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = asyncio.Event()

    async def hints(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.001)
        writer.close()
        gone.set()

    monkeypatch.setattr(peer, "HEAD_S", 0.1)
    async with await asyncio.start_server(hints, "127.0.0.1", 0) as server, new_http() as http:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        asked = AgentClient(http, url, owner="me", settings=Settings(specialist_urls=url))
        with pytest.raises(AgentError, match="did not begin to answer") as told:
            await anext(asked.stream("SendStreamingMessage", {}))
        assert told.value.arrived
        await gone.wait()


@pytest.mark.parametrize("value", ["[],", "1,", '{"a":1},'])
def test_json_of_too_many_values_is_refused_before_it_is_decoded(value: str) -> None:
    body = f'{{"message":{{"parts":[{value * 500_000}1]}}}}'.encode()
    with pytest.raises(AgentError, match="more than 500,000 values"):
        decoded(body, "http://there/")


def test_artifacts_have_a_size_and_a_number() -> None:
    told = Received(trusted=False)
    told.count(received.MAX_ARTIFACT_BYTES + 1)
    with pytest.raises(TooMuch, match="16,000,000 bytes"):
        told.add(update(1))
    told = Received(trusted=False)
    for number in range(received.MAX_ARTIFACTS):
        told.add(update(1, number))
    with pytest.raises(TooMuch, match="1,000 artifacts"):
        told.add(update(1, received.MAX_ARTIFACTS))


async def test_an_agent_that_is_faster_than_it_is_read_is_slowed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    told, own = Received(trusted=False), Received(trusted=True)
    for each in (told, own):
        await each.pause()
        for _ in range(3 * received.EVENTS_A_SECOND):
            each.count(1)
        await each.pause()
    assert (told.slowed, own.slowed) == (True, False)
    assert len(slept) == 1
    assert 1 < slept[0] <= 2


# Where a card may lead


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://me:hidden@agent.example", r"agent\.example has a user or a password"),
        ("https://me:hid/den@agent.example", r"'https://…@agent\.example/.*' is not a URL"),
    ],
)
async def test_an_agent_whose_url_has_a_password_is_not_asked_and_the_password_is_not_shown(
    url: str, said: str
) -> None:
    """Its URL would be in the task's events, and the password would not even be sent."""
    async with new_http() as http:
        with pytest.raises(AgentError, match=said) as refused:
            await discover(http, url, Settings())
    assert "hid" not in str(refused.value)


def found(place: str, at: str) -> DiscoveredAgent:
    (interface,) = CARD["supportedInterfaces"]
    card = {**CARD, "supportedInterfaces": [{**interface, "url": place}]}  # type: ignore[dict-item]
    return DiscoveredAgent(at, card_in(card, at), card)


@pytest.mark.parametrize(
    ("place", "allowed"),
    [
        ("https://agent.example/rpc", True),
        ("https://agent.example:443/rpc", True),
        ("https://allowed.example/rpc", True),
        ("http://127.0.0.1:7000/ours/rpc", True),
        ("http://agent.example/rpc", False),
        ("https://agent.example:8443/rpc", False),
        ("https://elsewhere.example/rpc", False),
        ("http://169.254.169.254/latest/meta-data/", False),
        ("http://127.0.0.1:7000/rpc", False),
        ("file:///etc/passwd", False),
        ("/rpc", False),
        ("http://[::1", False),
    ],
)
def test_a_card_leads_to_its_own_origin_or_where_the_operator_allows_it(place: str, allowed: bool) -> None:
    settings = Settings(
        specialist_urls="https://agent.example",
        peer_origins="https://allowed.example",
        agent_urls="http://127.0.0.1:7000/ours/",
    )
    if allowed:
        assert interface_of(found(place, "https://agent.example"), settings) == place
        return
    with pytest.raises(AgentError, match=r"TAILRACE_PEER_ORIGINS|which is not a URL"):
        interface_of(found(place, "https://agent.example"), settings)


def test_a_card_may_spell_this_machine_s_loopback_in_its_own_way() -> None:
    settings = Settings(specialist_urls="http://127.0.0.1:9000")
    for place in ("http://localhost:9000/rpc", "http://[::1]:9000/rpc"):
        assert interface_of(found(place, "http://127.0.0.1:9000"), settings) == place
        assert not is_own_agent(place, Settings(agent_urls="http://127.0.0.1:9000"))
    for place in ("http://localhost:9001/rpc", "https://localhost:9000/rpc", "http://127.0.0.2:9000/rpc"):
        with pytest.raises(AgentError, match="another origin"):
            interface_of(found(place, "http://127.0.0.1:9000"), settings)


@pytest.mark.parametrize(
    "origin", ["agent.example", "https://a.example/", "ftp://a.example", "https://a.example:x", "*"]
)
def test_an_origin_that_is_none_is_refused_by_its_setting(origin: str) -> None:
    with pytest.raises(ConfigError, match="TAILRACE_PEER_ORIGINS"):
        Settings(peer_origins=origin)


async def test_for_an_own_agent_that_does_not_run_the_words_in_its_place_are_told_and_for_others_not() -> None:
    place, told = "http://127.0.0.1:9/", "silent does not run. The console of `make run` says why."

    def refuse(_: httpx.Request) -> httpx.Response:
        return httpx.Response(
            503, headers={"content-type": "text/plain"}, stream=httpx.ByteStream(f"{told}\n".encode())
        )

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
        with pytest.raises(AgentDown) as own:
            await discover(http, place, Settings(agent_urls=place))
        with pytest.raises(AgentError) as other:
            await discover(http, place, Settings(specialist_urls=place))
    assert str(own.value) == told
    assert not isinstance(other.value, AgentDown)
    assert str(other.value).endswith("takes no requests now (HTTP 503). Try again in 5 s.")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name leads to an address of the Internet when it is first asked for, and to this machine after that."""
    asked: list[str] = []

    def look_up(host: str, port: int) -> list[Any]:
        asked.append(host)
        return [ipaddress.ip_address("93.184.216.34" if asked.count(host) == 1 else "127.0.0.1")]

    monkeypatch.setattr("tailrace.network.resolver.look_up", look_up)
    return asked


async def test_a_name_that_leads_inside_is_not_connected_to(names: list[str]) -> None:
    settings = Settings(specialist_urls="http://agent.example")
    names.append("agent.example")  # from now on it leads to this machine
    async with new_http() as http:
        said = r"resolves to 127\.0\.0\.1.*TAILRACE_PEER_ORIGINS"
        with pytest.raises(AgentError, match=said):
            await discover(http, "http://agent.example", settings)
        with pytest.raises(AgentError, match=said):
            await AgentClient(http, "http://agent.example/rpc", owner="me", settings=settings).call("GetTask", {})


async def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_checked(
    names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[tuple[str, str, Any]] = []

    async def handle(self: Any, request: httpx.Request) -> httpx.Response:
        connected.append((request.url.host, request.headers["host"], request.extensions.get("sni_hostname")))
        return httpx.Response(404, stream=httpx.ByteStream(b""))

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    async with new_http() as http:
        with pytest.raises(AgentError, match="404"):
            await discover(http, "http://agent.example", Settings(specialist_urls="http://agent.example"))
    assert connected == [("93.184.216.34", "agent.example", "agent.example")]
    assert names == ["agent.example"]


async def test_addresses_inside_are_for_what_the_operator_has_named_so() -> None:
    with reserved_port() as port:
        place = f"http://127.0.0.1:{port}"
        async with new_http() as http:
            for settings, said in (
                (Settings(), "not a public address"),
                (Settings(specialist_urls=f"http://127.0.0.2:{port}"), "not a public address"),
                (Settings(specialist_urls="http://127.0.0.1:1"), "not a public address"),
                (Settings(specialist_urls=f"http://localhost:{port}"), "could not be reached"),
                (Settings(specialist_urls=place), "could not be reached"),
                (Settings(peer_origins=place), "could not be reached"),
                (Settings(agent_urls=place), "could not be reached"),
            ):
                with pytest.raises(AgentError, match=said):
                    await discover(http, place, settings)


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("/agents/other/", "which is elsewhere"),
        ("/agents/ours/../other/", "which is elsewhere"),
        ("//elsewhere.example/agents/ours/", "which is elsewhere"),
        ("http://agents.example/agents/ours/rpc", "which is elsewhere"),
        ("/agents/ours/rpc", "redirects more than 3 times"),
        ("", "redirects more than 3 times"),
    ],
)
async def test_who_asks_one_of_our_agents_is_not_redirected_to_another_place(to: str, said: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(307, headers={"Location": to}, stream=httpx.ByteStream(b""))

    settings = Settings(agent_urls="https://agents.example/agents/ours/")
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        ours = AgentClient(http, "https://agents.example/agents/ours/", owner="alice", settings=settings)
        with pytest.raises(AgentError, match=said):
            await ours.call("GetTask", {"id": "t"})
    assert all(path.startswith("/agents/ours/") for path in asked)


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_certificates_that_cannot_be_read_are_an_error_that_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    settings = Settings(peer_origins="http://127.0.0.1:1")
    async with new_http() as http:
        client = AgentClient(http, "http://127.0.0.1:1/", owner="me", settings=settings)
        with pytest.raises(AgentError, match=f"SSL_CERT_FILE has value '{path}', but must be"):
            await client.task("t")
