"""HAProxy, as syslog has it: two servers behind it, checks, requests; then both servers are killed."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.recordings import shop
from tests.recordings.http import ask, send
from tests.recordings.kind import Kind
from tests.recordings.room import Room

_CONFIG = """global
  log /dev/log local0
  maxconn 200
  stats socket /run/haproxy.sock level admin
defaults
  log global
  mode http
  option httplog
  option log-health-checks
  retries 1
  timeout connect 500
  timeout client 2s
  timeout server 1500
frontend web
  bind *:8080
  http-request deny if { path_beg /private }
  use_backend images if { path_beg /images }
  default_backend shop
backend shop
  option httpchk GET /health
  server shop1 127.0.0.1:9001 check inter 1s fall 2 rise 2 maxconn 20
  server shop2 127.0.0.1:9002 check inter 1s fall 2 rise 2 maxconn 20
backend images
  server img1 127.0.0.1:9003 check inter 1s
frontend mail
  mode tcp
  option tcplog
  bind *:2525
  default_backend smtp
backend smtp
  mode tcp
  server mx1 127.0.0.1:9001 check inter 2s
"""


def record(room: Room) -> None:
    room.logs.append(room.syslog())
    config = str(room.file("/etc/haproxy/recorded.cfg", _CONFIG))
    program = room.file("/srv/shop.py", Path(shop.__file__).read_text())
    servers = {port: room.start(sys.executable, program, str(port)) for port in (9001, 9002, 9003)}
    for port in servers:
        room.wait_for_port(port)
    haproxy = room.start("haproxy", "-db", "-f", config)
    room.wait_for_port(8080)
    addresses = room.addresses("10.20.8", 50)

    def visit() -> None:
        number, what, address = room.random.randrange(10**5), room.random.random(), room.random.choice(addresses)
        if what < 0.7:
            ask(address, 8080, room.random.choice((f"/orders/{number}", "/cart", f"/images/{number:x}.png", "/")))
        elif what < 0.76:
            ask(address, 8080, f"/private/{number}")
        elif what < 0.82:
            send(address, 2525, b"GET / HTTP/1.0\r\n\r\n")
        elif what < 0.85:
            ask(address, 8080, f"/orders/slow/{number}")
        elif what < 0.89:
            send(address, 8080, b"\x16\x03\x01\x00\xa5\x01")
        else:
            ask(address, 8080, f"/orders/{number}", "POST", body=b"x" * (number % 900))

    def visits(count: int) -> None:
        room.repeat(visit, count, 0.2)

    def restart(port: int, after: int) -> None:
        room.stop(servers[port], signal.SIGKILL)
        visits(after)
        servers[port] = room.start(sys.executable, program, str(port))

    def command(text: str) -> None:
        room.run(
            sys.executable,
            "-c",
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('/run/haproxy.sock'); "
            "s.sendall(sys.argv[1].encode() + b'\\n'); s.recv(999)",
            text,
        )

    visits(140)
    restart(9002, 5)
    visits(70)
    command("set server shop/shop1 state maint")
    visits(18)
    command("set server shop/shop1 state ready")
    visits(70)
    restart(9003, 5)
    command("set server shop/shop2 state drain")
    visits(18)
    command("set server shop/shop2 state ready")
    visits(140)
    with room.incident("both servers of the shop are killed", "server is down", "backend has no server available"):
        for port in (9001, 9002):
            room.stop(servers[port], signal.SIGKILL)
        visits(70)
    for port in (9001, 9002):
        servers[port] = room.start(sys.executable, program, str(port))
    visits(52)
    room.stop(haproxy)


KIND = Kind(
    name="haproxy",
    host="lb-1",
    programs=("haproxy", "rsyslogd", "ip"),
    packages="haproxy rsyslog iproute2",
    header=r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ [\w.-]+(?:\[\d+\])?: ",
    record=record,
)
