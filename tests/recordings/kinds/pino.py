"""A Node service that logs JSON lines with pino: orders, stock, reports; then its payments are stopped."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from tests.recordings import shop
from tests.recordings.http import ask
from tests.recordings.kind import Kind
from tests.recordings.room import Room

SERVICE = Path(__file__).parents[1] / "services"
_ITEMS = ("paper", "ink", "pens", "glue", "staples", "folders", "stamps", "tape", "chalk", "cards")
_USERS = ("mara", "quinn", "tobi", "u1042", "u7731", "web-shop", "kiosk")


def order(room: Room, port: int) -> None:
    """Send the service one request."""
    number, what = room.random.randrange(10**5), room.random.random()
    headers = {"Content-Type": "application/json", "x-id": f"{room.random.randrange(16**8):08x}"}
    if what < 0.55:
        body = {
            "id": number,
            "item": room.random.choice(_ITEMS),
            "user": room.random.choice(_USERS),
            "count": number % 9 + 1,
        }
        ask("127.0.0.1", port, "/orders", "POST", body=json.dumps(body).encode(), headers=headers)
    elif what < 0.8:
        ask("127.0.0.1", port, f"/orders/{number}", headers=headers)
    elif what < 0.9:
        ask("127.0.0.1", port, f"/report?month=2026-{number % 12 + 1:02}", headers=headers)
    elif what < 0.95:
        body_ = room.random.choice((b"{broken", b'{"note": "' + b"x" * 2000 + b'"}'))
        ask("127.0.0.1", port, "/orders", "POST", body=body_, headers=headers)
    else:
        ask("127.0.0.1", port, f"/{number:x}", headers=headers)


def run_service(room: Room, program: str, log: Path, *events: str) -> None:
    """Run the service and its payments, which are killed after two minutes and are back 25 seconds later."""
    backend = room.file("/srv/shop.py", Path(shop.__file__).read_text())
    payments = room.start(sys.executable, backend, "9000")
    service = room.start("node", f"/srv/lib/{program}", "3000", "9000", log=log, env={"HOSTNAME": room.host})
    room.wait_for_port(3000)
    room.wait_for_port(9000)

    def orders(count: int) -> None:
        room.repeat(lambda: order(room, 3000), count, 0.35)

    orders(312)
    with room.incident("the payments are killed", *events):
        room.stop(payments, signal.SIGKILL)
        orders(65)
    room.start(sys.executable, backend, "9000")
    orders(39)
    room.stop(service)


def record(room: Room) -> None:
    log = Path("/var/log/orders.log")
    room.file("/srv/lib/orders.mjs", (SERVICE / "orders.mjs").read_text())
    run_service(room, "orders.mjs", log, "payment failed")
    room.logs.append(log)


KIND = Kind(
    name="pino",
    host="orders-7d9f4c-x2k8p",
    programs=("node", "npm"),
    packages="nodejs npm",
    npm=("express", "pino"),
    header=r'\{"level":\d+,"time":\d+,"pid":\d+,"hostname":"[^"]*","service":"\w+",.*?"msg":"',
    record=record,
)
