"""nginx's error log, level info: requests of a shop, broken clients, reloads; then the shop is killed."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.recordings import shop
from tests.recordings.http import ask, send
from tests.recordings.kind import Kind
from tests.recordings.room import Room

_CONFIG = """worker_processes 2;
error_log /var/log/nginx/error.log info;
events { worker_connections 64; }
http {
  access_log /var/log/nginx/access.log;
  limit_req_zone $binary_remote_addr zone=login:1m rate=1r/s;
  client_max_body_size 1k;
  server {
    listen 8080;
    server_name shop.example;
    root /var/www;
    location / { try_files $uri =404; }
    location /files/ { }
    location /private/ { deny all; }
    location /login { limit_req zone=login burst=1 nodelay; proxy_pass http://127.0.0.1:9000; }
    location /api/ { proxy_pass http://127.0.0.1:9000; proxy_read_timeout 2s; }
  }
  server {
    listen 8443 ssl;
    server_name shop.example;
    ssl_certificate /etc/nginx/cert.pem;
    ssl_certificate_key /etc/nginx/key.pem;
  }
}
"""


def run_nginx(room: Room) -> None:
    """Run nginx, the shop and its visitors."""
    room.file("/etc/nginx/nginx.conf", _CONFIG)
    Path("/var/log/nginx").mkdir()
    for name in ("index.html", "files/list.txt", "files/old/a.txt"):
        room.file(f"/var/www/{name}", "here\n")
    room.run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=shop.example"),
        *("-keyout", "/etc/nginx/key.pem", "-out", "/etc/nginx/cert.pem"),
    )
    addresses = room.addresses("10.20.7", 60)
    program = room.file("/srv/shop.py", Path(shop.__file__).read_text())
    backend = room.start(sys.executable, program, "9000")
    nginx = room.start("nginx", "-g", "daemon off;")
    room.wait_for_port(9000)
    room.wait_for_port(8080)

    def visit(address: str) -> None:
        number, what = room.random.randrange(10**5), room.random.random()
        if what < 0.55:
            path = room.random.choice((f"/api/orders/{number}", f"/api/items/{number}?q=a{number}", "/api/cart", "/"))
            ask(address, 8080, path, room.random.choice(("GET", "GET", "POST")))
        elif what < 0.70:
            ask(
                address,
                8080,
                room.random.choice((f"/files/{number}.txt", f"/files/old/{number:x}.pdf", "/files/list.txt")),
            )
        elif what < 0.75:
            ask(address, 8080, room.random.choice(("/files/", "/files/old/")))
        elif what < 0.80:
            ask(address, 8080, f"/private/{number}")
        elif what < 0.85:
            for _ in range(3):
                ask(address, 8080, "/login")
        elif what < 0.88:
            ask(address, 8080, "/api/orders", "POST", body=b"x" * (1025 + number))
        elif what < 0.90:
            ask(address, 8080, f"/api/{room.random.choice(('half', 'none', 'odd'))}/{number}")
        elif what < 0.91:
            ask(address, 8080, f"/api/slow/{number}", timeout=room.random.choice((0.5, 4)))
        elif what < 0.93:
            send(address, 8080, b"GET /a\x00b HTTP/1.1\r\n\r\n")
        elif what < 0.95:
            send(address, 8080, b"GET / HTTP/1.1\r\n\r\n")
        elif what < 0.97:
            send(address, 8443, room.random.choice((b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x00\x00\x01\x01")))
        else:
            send(address, 8080, room.random.choice((b"\x16\x03\x01\x00\xa5\x01", b"G\x07T / HTTP/1.0\r\n\r\n")))

    def visits(count: int) -> None:
        room.repeat(lambda: visit(room.random.choice(addresses)), count, 0.12)

    visits(210)
    room.run("nginx", "-s", "reload")
    visits(245)
    with room.incident("the shop is killed", "connect() failed"):
        room.stop(backend, signal.SIGKILL)
        visits(88)
    backend = room.start(sys.executable, program, "9000")
    visits(70)
    room.stop(nginx)


def record(room: Room) -> None:
    run_nginx(room)
    room.logs.append(Path("/var/log/nginx/error.log"))


KIND = Kind(
    name="nginx",
    host="web-1",
    programs=("nginx", "openssl"),
    packages="nginx openssl",
    header=r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[a-z]+\] \d+#\d+: (?:\*\d+ )?",
    record=record,
)
