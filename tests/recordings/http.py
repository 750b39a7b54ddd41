"""Requests of many clients, each from an address of its own, for the kinds that serve HTTP."""

from __future__ import annotations

import contextlib
import http.client
import socket


def ask(
    address: str,
    port: int,
    path: str,
    method: str = "GET",
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    timeout: float = 10,
) -> int:
    """Send one request from an address; return the status, 0 if there was no answer in time."""
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=timeout, source_address=(address, 0))
    ) as connection:
        try:
            connection.request(method, path, body, {"Connection": "close", **(headers or {})})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return 0


def send(address: str, port: int, data: bytes) -> bytes:
    """Send bytes that may be no request; return the answer, b"" if there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2, source_address=(address, 0)) as connection:
            connection.sendall(data)
            return connection.recv(65_536)
    except OSError:
        return b""
