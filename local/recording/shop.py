"""The upstream: a small shop over HTTP/1.1, with a thread per connection and a pool of database connections.

`python -m local.recording.shop PORT DATABASE_PORT` serves until it is stopped. Its latencies come from real work:
queries, JSON, and the key derivation that signs the receipt of a checkout. A request that gets no database connection
within POOL_SECONDS is answered with 503. `/health` says only that the process runs.
"""

import hashlib
import json
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local.recording.lines import write

POOL_SIZE = 8
POOL_SECONDS = 3.0
QUERY_SECONDS = 10.0
SLOW_MS = 500
REPORT_SECONDS = 15
RECEIPT_ROUNDS = 120_000
STATIC = {
    "app.js": ("text/javascript", b"document.title = 'shop';\n" * 250),
    "style.css": ("text/css", b"body { margin: 0 }\n" * 180),
}


class Unavailable(Exception):
    """The database does not answer, or failed. The request is answered with 503."""


class Connection:
    """A connection to the database. The first query opens it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket: socket.socket | None = None

    def rows(self, query: dict[str, Any]) -> list[list[Any]]:
        """Return the rows that the database answers with. The next query opens a broken connection again.

        Raises:
            Unavailable: the connection is broken, or the query failed.
        """
        try:
            if self.socket is None:
                self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=QUERY_SECONDS)
            self.socket.sendall(json.dumps(query).encode() + b"\n")
            with self.socket.makefile("rb") as lines:
                answer = json.loads(lines.readline())
        except (OSError, ValueError) as error:
            self.close()
            raise Unavailable(f"database connection broken: {error}") from error
        if "error" in answer:
            raise Unavailable(f"query {query['op']} failed: {answer['error']}")
        rows: list[list[Any]] = answer["rows"]
        return rows

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket = None


class Pool:
    """Has POOL_SIZE connections to the database."""

    def __init__(self, port: int) -> None:
        self.free: queue.LifoQueue[Connection] = queue.LifoQueue()
        for _ in range(POOL_SIZE):
            self.free.put(Connection(port))

    @property
    def used(self) -> int:
        return POOL_SIZE - self.free.qsize()

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection.

        Raises:
            Unavailable: none is free within POOL_SECONDS.
        """
        try:
            connection = self.free.get(timeout=POOL_SECONDS)
        except queue.Empty:
            text = f"connection pool exhausted: {POOL_SIZE} of {POOL_SIZE} in use, gave up after {POOL_SECONDS:g} s"
            raise Unavailable(text) from None
        try:
            yield connection
        finally:
            self.free.put(connection)


class Shop(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, pool: Pool) -> None:
        super().__init__(("127.0.0.1", port), Request)
        self.pool = pool
        self.served = 0

    def report(self) -> None:
        """Log every REPORT_SECONDS how many requests were served, until the process ends."""
        before = 0
        while True:
            time.sleep(REPORT_SECONDS)
            served, before = self.served - before, self.served
            used, threads = self.pool.used, threading.active_count()
            write(
                "shop", "info",
                f"served {served} requests in {REPORT_SECONDS} s, pool {used} of {POOL_SIZE}, {threads} threads",
            )  # fmt: skip


class Request(BaseHTTPRequestHandler):
    """Handles the requests of one connection."""

    server: Shop
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self.started = time.perf_counter()
        url = urlsplit(self.path)
        match url.path.strip("/").split("/"):
            case [""]:
                self.query("home")
            case ["api", "products", number] if number.isdigit():
                self.query("product", id=int(number))
            case ["api", "search"]:
                self.query("search", words=parse_qs(url.query).get("q", [""])[0])
            case ["api", "cart"]:
                self.query("cart", customer=self.customer)
            case ["static", name] if name in STATIC:
                self.answer(200, STATIC[name][1], STATIC[name][0])
            case ["health"]:
                self.answer(200, b"ok\n", "text/plain")
            case ["pool"]:
                self.answer(200, b"%d" % self.server.pool.used, "text/plain")
            case _:
                self.answer(404, b'{"error": "no such page"}')

    def do_POST(self) -> None:
        self.started = time.perf_counter()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match self.path:
            case "/api/cart":
                product = json.loads(body)["product"]
                if self.query("cart_add", customer=self.customer, product=product):
                    self.log("info", "cart saved", product=product)
            case "/api/checkout":
                if rows := self.query("checkout", customer=self.customer):
                    self.log("info", "order placed", order=rows[0][0], lines=rows[0][1])
            case _:
                self.answer(404, b'{"error": "no such page"}')

    @property
    def customer(self) -> int:
        return int(self.headers.get("X-Customer", 0))

    def query(self, op: str, **arguments: object) -> list[list[Any]] | None:
        """Answer the request with the rows of a query, and return them; None if the database is not available."""
        try:
            with self.server.pool.connection() as connection:
                started = time.perf_counter()
                rows = connection.rows({"op": op, **arguments})
                ms = round((time.perf_counter() - started) * 1000)
        except Unavailable as error:
            self.log("error", str(error))
            self.answer(503, b'{"error": "try again later"}')
            return None
        if ms >= SLOW_MS:
            self.log("warning", f"slow query {op}: {ms} ms", op=op)
        if op == "checkout":
            receipt = hashlib.pbkdf2_hmac("sha256", json.dumps(rows).encode(), b"receipt", RECEIPT_ROUNDS)
            rows[0].append(receipt.hex())
        self.answer(200 if rows or op != "product" else 404, json.dumps({op: rows}).encode())
        return rows

    def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.server.served += 1
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except ConnectionError:
            self.close_connection = True
            self.log("warning", "client went away before the answer was ready")

    def log(self, level: str, message: str, **fields: object) -> None:
        ms = round((time.perf_counter() - self.started) * 1000)
        request = self.headers.get("X-Request-Id", "-")
        write("shop", level, message, request=request, path=self.path, ms=ms, **fields)

    def log_message(self, format: str, *args: object) -> None:
        """nginx writes the access log."""


def main() -> None:
    shop = Shop(int(sys.argv[1]), Pool(int(sys.argv[2])))
    threading.Thread(target=shop.report, daemon=True).start()
    write("shop", "info", f"shop started, {POOL_SIZE} database connections in the pool")
    shop.serve_forever()


if __name__ == "__main__":
    main()
