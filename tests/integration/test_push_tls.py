"""A webhook is called at a checked address, and its certificate is checked against its name."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tailrace.errors import AgentError
from tailrace.network import resolver
from tailrace.network.resolver import Resolver
from tailrace.push import Webhook, sender
from tailrace.push.sender import Sender


def certificate(folder: Path, name: str) -> Path:
    """Write a self-signed certificate for `name` and its key; return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


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
