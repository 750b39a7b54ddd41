"""The shop's database: SQLite behind a TCP port, one JSON line for each query and for each answer.

`python -m local.recording.database PORT FILE` fills FILE with products and order lines and serves until it is
stopped. A query is `{"op": NAME, …arguments}`; the answer is `{"rows": [...]}` or `{"error": TEXT}`. Each connection
has its own thread and its own SQLite connection. SQLite allows one writer at a time: another write waits BUSY_MS for it
and then fails with "database is locked".
"""

import json
import random
import socketserver
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from local.recording.lines import write

PRODUCTS = 25_000
ORDER_LINES = 150_000
RECENT = 100_000  # order lines
BUSY_MS = 8_000
SLOW_MS = 500
CHECKPOINT_SECONDS = 30
SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, cents INTEGER, stock INTEGER);
CREATE TABLE order_lines (id INTEGER PRIMARY KEY, order_id INTEGER, product INTEGER, quantity INTEGER);
CREATE TABLE cart_lines (customer INTEGER, product INTEGER, quantity INTEGER, PRIMARY KEY (customer, product));
"""
# The products that stand most often in the same order as the product `id`.
BOUGHT_TOGETHER = """
SELECT other.product, count(*) FROM order_lines AS mine
JOIN order_lines AS other ON other.id BETWEEN mine.id - 2 AND mine.id + 2 AND other.order_id = mine.order_id
WHERE mine.product = :id AND other.product != :id AND mine.id > :since
GROUP BY other.product ORDER BY count(*) DESC LIMIT 5
"""
Row = tuple[Any, ...]


def connect(file: str) -> sqlite3.Connection:
    """Return a connection without automatic transactions. A write waits BUSY_MS for the lock."""
    base = sqlite3.connect(file, timeout=BUSY_MS / 1000, isolation_level=None)
    base.execute("PRAGMA synchronous = NORMAL")
    base.execute(
        "PRAGMA automatic_index = OFF"
    )  # SQLite would build one for each query, which costs more than it saves
    return base


def fill(base: sqlite3.Connection) -> None:
    """Write PRODUCTS products and ORDER_LINES lines of past orders. Popular products stand in more of them."""
    chance = random.Random(1)  # noqa: S311
    kinds = ["lamp", "chair", "kettle", "shelf", "rug", "mirror", "desk", "clock", "vase", "stool"]
    looks = ["oak", "steel", "linen", "green", "blue", "round", "small", "folding", "brass", "plain"]
    base.executescript(SCHEMA)
    base.execute("BEGIN")
    base.executemany(
        "INSERT INTO products (name, cents, stock) VALUES (?, ?, 100000)",
        (
            (f"{chance.choice(looks)} {chance.choice(kinds)} {n}", chance.randrange(500, 20_000))
            for n in range(PRODUCTS)
        ),
    )
    base.executemany(
        "INSERT INTO order_lines (order_id, product, quantity) VALUES (?, ?, ?)",
        ((n // 3, 1 + int(PRODUCTS * chance.random() ** 3), 1) for n in range(ORDER_LINES)),
    )
    base.execute("COMMIT")


def home(base: sqlite3.Connection, query: dict[str, Any]) -> list[Row]:
    return base.execute("SELECT id, name, cents FROM products ORDER BY id LIMIT 24").fetchall()


def product(base: sqlite3.Connection, query: dict[str, Any]) -> list[Row]:
    """Return the product, then the products most often bought with it in the last RECENT order lines."""
    rows = base.execute("SELECT id, name, cents, stock FROM products WHERE id = ?", (query["id"],)).fetchall()
    if not rows:
        return []
    (last,) = base.execute("SELECT max(id) FROM order_lines").fetchone()
    return rows + base.execute(BOUGHT_TOGETHER, {"id": query["id"], "since": last - RECENT}).fetchall()


def search(base: sqlite3.Connection, query: dict[str, Any]) -> list[Row]:
    words = f"%{query['words']}%"
    statement = "SELECT id, name, cents FROM products WHERE name LIKE ? ORDER BY cents LIMIT 20"
    return base.execute(statement, (words,)).fetchall()


def cart(base: sqlite3.Connection, query: dict[str, Any]) -> list[Row]:
    statement = "SELECT product, quantity FROM cart_lines WHERE customer = ?"
    return base.execute(statement, (query["customer"],)).fetchall()


def cart_add(base: sqlite3.Connection, query: dict[str, Any]) -> list[Row]:
    base.execute("BEGIN IMMEDIATE")
    base.execute(
        "INSERT INTO cart_lines VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET quantity = quantity + 1",
        (query["customer"], query["product"]),
    )
    base.execute("COMMIT")
    return cart(base, query)


def checkout(base: sqlite3.Connection, query: dict[str, Any]) -> list[Row]:
    base.execute("BEGIN IMMEDIATE")
    lines = cart(base, query)
    (order,) = base.execute("SELECT max(order_id) + 1 FROM order_lines").fetchone()
    for item, quantity in lines:
        values = (order, item, quantity)
        base.execute("INSERT INTO order_lines (order_id, product, quantity) VALUES (?, ?, ?)", values)
        base.execute("UPDATE products SET stock = stock - ? WHERE id = ?", (quantity, item))
    base.execute("DELETE FROM cart_lines WHERE customer = ?", (query["customer"],))
    base.execute("COMMIT")
    return [(order, len(lines))]


OPERATIONS: dict[str, Callable[[sqlite3.Connection, dict[str, Any]], list[Row]]] = {
    "home": home,
    "product": product,
    "search": search,
    "cart": cart,
    "cart_add": cart_add,
    "checkout": checkout,
}


class Session(socketserver.StreamRequestHandler):
    """Answers the queries of one connection, one after the other."""

    def handle(self) -> None:
        base = connect(sys.argv[2])
        try:
            while line := self.rfile.readline():
                self.wfile.write(json.dumps(answer(base, json.loads(line))).encode() + b"\n")
        except ConnectionError:
            write("orders-db", "warning", "connection lost: the client went away")
        finally:
            base.close()


def answer(base: sqlite3.Connection, query: dict[str, Any]) -> dict[str, Any]:
    """Run one operation, and roll it back if it fails. Slow and failed ones are logged with their duration."""
    op, started = query["op"], time.perf_counter()
    try:
        rows = OPERATIONS[op](base, query)
    except sqlite3.Error as error:
        if base.in_transaction:
            base.execute("ROLLBACK")
        ms = round((time.perf_counter() - started) * 1000)
        write("orders-db", "error", f"statement {op} failed after {ms} ms: {error}", op=op, ms=ms)
        return {"error": str(error)}
    ms = round((time.perf_counter() - started) * 1000)
    if ms >= SLOW_MS:
        write("orders-db", "warning", f"slow statement {op}: {ms} ms", op=op, ms=ms)
    return {"rows": rows}


def checkpoint(file: str) -> None:
    """Move the write-ahead log into the database every CHECKPOINT_SECONDS, until the process ends."""
    base = connect(file)
    while True:
        time.sleep(CHECKPOINT_SECONDS)
        _, pages, moved = base.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        write("orders-db", "info", f"checkpoint: {moved} of {pages} pages", pages=pages, moved=moved)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    port, file = int(sys.argv[1]), sys.argv[2]
    base = connect(file)
    fill(base)
    base.close()
    threading.Thread(target=checkpoint, args=(file,), daemon=True).start()
    with Server(("127.0.0.1", port), Session) as server:
        write("orders-db", "info", f"ready: {PRODUCTS} products, {ORDER_LINES} order lines")
        server.serve_forever()


if __name__ == "__main__":
    main()
