"""A webhook is called at a checked address, and its certificate is checked against its name."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import AgentError
from tailrace.network import resolver
from tailrace.network.resolver import Resolver
from tailrace.push import Webhook, sender
from tailrace.push.sender import Sender
from tests.support.certificates import certificate


@pytest.mark.parametrize(("name", "right"), [("hook.example", True), ("other.example", False)])
async def test_the_certificate_is_checked_against_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, right: bool
) -> None:
    path = certificate(tmp_path, name)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(path)
    named: list[str | None] = []
    serving.sni_callback = lambda _, server_name, __: named.append(server_name)
    got: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=serving)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setattr(resolver, "getaddrinfo", resolve)
    monkeypatch.setattr(sender, "ssl_context", lambda: ssl.create_default_context(cafile=path))
    hook = Webhook(task_id="t", id="a", url=f"https://hook.example:{port}/told?key=1")
    async with server, Sender(hook, Resolver(), internal=True) as sending:
        if right:
            await sending.send(b"{}")
            assert got[0].startswith(b"POST /told?key=1 HTTP/1.1\r\n")
            assert f"host: hook.example:{port}\r\n".encode() in got[0].lower()
        else:
            with pytest.raises(AgentError, match=r"hook\.example could not be reached"):
                await sending.send(b"{}")
            assert got == []
    assert named == ["hook.example"]
