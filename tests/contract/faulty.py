"""A proxy in front of DynamoDB that injects faults: real HTTP, real connections, real resets."""

from __future__ import annotations

import http.client
import json
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal
from urllib.parse import urlsplit

# A fault of one request: an error code (see `_STATUS`), a response lost after the write, a request lost before it, or
# no response.
Fault = str | Literal["reset after", "reset before", "silence"]

_STATUS = {"InternalServerError": 500, "ServiceUnavailable": 503}


class FaultyProxy(socketserver.ThreadingTCPServer):
    """Forwards requests to `endpoint`. `faults` has the faults of the next requests by operation."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, endpoint: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(endpoint).netloc
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        self.faults: dict[str, list[Fault]] = {}
        self.seen: list[str] = []
        self.stopped = threading.Event()

    def shutdown_request(self, request: Any) -> None:
        request.close()  # without shutdown(), so that the client gets a reset


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].partition(".")[2]
        self.server.seen.append(operation)
        faults = self.server.faults.get(operation)
        match faults.pop(0) if faults else "":
            case "reset before":
                self._reset()
            case "reset after":
                self._forward(body)
                self._reset()
            case "silence":
                self.server.stopped.wait(10)
                self._reset()
            case "":
                self._answer(*self._forward(body))
            case code:
                shown = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "arn:aws:secret"}
                self._answer(_STATUS.get(code, 400), json.dumps(shown).encode())

    def _forward(self, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.server.upstream)
        connection.request("POST", self.path, body, {**self.headers, "Connection": "close"})
        with connection.getresponse() as response:
            answer = response.status, response.read()
        connection.close()
        return answer

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def faulty_proxy(endpoint: str) -> Iterator[FaultyProxy]:
    with FaultyProxy(endpoint) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield proxy
        proxy.stopped.set()
        proxy.shutdown()
        thread.join()
