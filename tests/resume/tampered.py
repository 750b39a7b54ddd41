"""A server of one finished task, in few lines, that can be made to do one thing wrong: proof that scenarios notice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tailrace.conformance.interfaces import EXTENSION

TASK = "0ae05c5d-a7fd-5fab-99aa-c8fcee99f880"
COMPLETED = "TASK_STATE_COMPLETED"


def events() -> list[dict[str, Any]]:
    """What "3 events; say hello" comes to."""

    def meta(seq: int, kind: str) -> dict[str, Any]:
        metadata = {
            "seq": seq,
            "ts": 1_795_360_000_000 + seq,
            "attempt": min(seq - 1, 1),
            "agent": "tamper",
            "kind": kind,
        }
        return {EXTENSION: metadata}

    def status(seq: int, kind: str, state: str = "TASK_STATE_WORKING") -> dict[str, Any]:
        body = {"taskId": TASK, "contextId": "c", "status": {"state": state}, "metadata": meta(seq, kind)}
        return {"statusUpdate": body}

    def text(seq: int, written: str, *, append: bool) -> dict[str, Any]:
        artifact = {"artifactId": "response", "name": "response", "parts": [{"text": written}]}
        body = {"taskId": TASK, "contextId": "c", "artifact": artifact, "append": append, "lastChunk": False}
        return {"artifactUpdate": {**body, "metadata": meta(seq, "token")}}

    message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "3 events; say hello"}]}
    begun = {"id": TASK, "contextId": "c", "status": {"state": "TASK_STATE_SUBMITTED"}, "history": [message]}
    return [
        {"task": {**begun, "metadata": meta(1, "state")}},
        status(2, "state"),
        *(status(seq, "progress") for seq in (3, 4, 5)),
        text(6, "hel", append=False),
        text(7, "lo", append=True),
        status(8, "state", COMPLETED),
    ]


class Server:
    """Does what PROTOCOL.md says. A tampering function overrides what it changes."""

    def __init__(self) -> None:
        self.events = events()
        self.opened = 0

    @property
    def last(self) -> int:
        return len(self.events)

    def frame(self, seq: int, event: Any, rpc_id: Any) -> str:
        return f"id: {seq}\ndata: {json.dumps({'jsonrpc': '2.0', 'id': rpc_id, 'result': event})}\n\n"

    def frames_after(self, cursor: int, rpc_id: Any) -> list[str]:
        """The frames of the events after the cursor."""
        return [self.frame(seq, event, rpc_id) for seq, event in enumerate(self.events, 1) if seq > cursor]

    def browser(self, cursor: int) -> list[str]:
        sync = f'event: sync\ndata: {{"seq":{self.last}}}\n\n'
        end = f'event: end\ndata: {{"state":"{COMPLETED}","seq":{self.last}}}\n\n'
        return ["retry: 2000\n\n", *self.frames_after(cursor, TASK), sync, end]

    def agent(self, cursor: int | None, rpc_id: Any) -> list[str]:
        if cursor is not None:
            return self.frames_after(cursor, rpc_id)
        task = {"id": TASK, "contextId": "c", "status": {"state": COMPLETED}}
        return [self.frame(self.last, {"task": {**task, "metadata": {EXTENSION: {"seq": self.last}}}}, rpc_id)]

    def status(self, cursor: int) -> int:
        """How a browser's stream is answered."""
        return 400 if cursor > self.last else 204 if cursor == self.last else 200

    def headers(self) -> dict[str, str]:
        kept = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return {**kept, "A2A-Extensions": EXTENSION}

    def problem(self) -> tuple[str, dict[str, Any]]:
        problem = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "No such seq."}
        return "application/problem+json", problem

    def refusal(self) -> dict[str, Any]:
        return {"code": -32602, "message": "No such seq."}


def handler_of(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/api/tasks":
                created = {"id": TASK, "contextId": "c", "streamUrl": f"/api/stream/{TASK}"}
                return self.answer(201, "application/json", json.dumps(created))
            reply: dict[str, Any] = {"jsonrpc": "2.0", "id": body["id"]}
            if body["method"] != "SubscribeToTask":
                reply["result"] = {"task": {"id": TASK}}
                return self.answer(200, "application/json", json.dumps(reply))
            cursor = self.headers.get("Last-Event-ID")
            if cursor is not None and not (cursor.isdigit() and int(cursor) <= server.last):
                reply["error"] = server.refusal()
                return self.answer(200, "application/json", json.dumps(reply))
            return self.stream(server.agent(None if cursor is None else int(cursor), body["id"]))

        def do_GET(self) -> None:
            if self.path == "/.well-known/agent-card.json":
                here = {
                    "url": f"http://{self.headers['Host']}/",
                    "protocolBinding": "JSONRPC",
                    "protocolVersion": "1.0",
                }
                return self.answer(200, "application/json", json.dumps({"supportedInterfaces": [here]}))
            if self.path == "/api/auth/me":
                return self.answer(404, "application/json", "{}")
            cursor = self.headers.get("Last-Event-ID") or parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0]
            status = server.status(int(cursor)) if cursor.isdigit() else 400
            if status == 200:
                return self.stream(server.browser(int(cursor)))
            kind, problem = server.problem()
            return self.answer(status, kind, "" if status == 204 else json.dumps(problem))

        def stream(self, frames: list[str]) -> None:
            server.opened += 1
            self.send_response(200)
            for name, value in server.headers().items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write("".join(frames).encode())

        def answer(self, status: int, kind: str, body: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

    return Handler


@contextmanager
def serving(server: Server) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_of(server)) as listener:
        listener.daemon_threads = True
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_address[1]}"
        finally:
            listener.shutdown()
            thread.join()


Tamper = Callable[[Server], None]
