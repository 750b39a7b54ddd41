"""Prometheus, logfmt of go-kit: it scrapes, evaluates rules and writes blocks; then its disk is full."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path

from tests.recordings.http import ask
from tests.recordings.kind import Kind
from tests.recordings.room import Room

_CONFIG = """global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [rules.yml]
alerting:
  alertmanagers:
    - static_configs: [{{targets: ["127.0.0.1:9093"]}}]
scrape_configs:
  - job_name: self
    static_configs: [{{targets: ["127.0.0.1:9090"]}}]
  - job_name: shop
    static_configs: [{{targets: ["127.0.0.1:9000", "127.0.0.1:9001"]}}]
{more}"""
_RULES = """groups:
  - name: shop
    rules:
      - alert: down
        expr: up == 0
      - record: twice
        expr: 'label_replace(up, "job", "one", "", "")'
"""
_EXPORTER = """import itertools, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        n = next(numbers)
        body = [f'orders_total {n}', f'orders_total {n}', f'stamped {n} {1000 * n}', 'broken{ 7'][:1 + n % 5]
        self.send_response(200)
        self.end_headers()
        self.wfile.write('\\n'.join([*body, '']).encode())
    def log_message(self, *arguments): pass
numbers = itertools.count()
HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"""


def record(room: Room) -> None:
    log = Path("/var/log/prometheus.log")
    disk = Path("/var/lib/prometheus/data")
    disk.mkdir(parents=True, exist_ok=True)
    room.run("mount", "-t", "tmpfs", "-o", "size=1g", "disk", str(disk))
    config = room.file("/etc/prom/prometheus.yml", _CONFIG.format(more=""))
    room.file("/etc/prom/rules.yml", _RULES)
    exporter = room.file("/srv/exporter.py", _EXPORTER)
    for port in ("9000", "9001"):
        room.start(sys.executable, exporter, port)
    options = (
        *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={disk}", "--web.enable-lifecycle"),
        *("--web.enable-admin-api", "--storage.tsdb.min-block-duration=30s", "--storage.tsdb.max-block-duration=2m"),
        *("--log.level=debug", "--storage.tsdb.retention.size=12MB"),
    )
    server = room.start(*options, log=log)
    room.wait_for_port(9090)

    def visit() -> None:
        what, number = room.random.random(), room.random.randrange(1000)
        if what < 0.1:
            more = f"  - job_name: job{number}\n" + (
                "    static_configs: [{targets: ['127.0.0.1:9002']}]\n" if number % 2 else "    nonsense: 1\n"
            )
            room.file(str(config), _CONFIG.format(more=more))
            ask("127.0.0.1", 9090, "/-/reload", "POST")
        elif what < 0.13:
            ask("127.0.0.1", 9090, "/api/v1/admin/tsdb/snapshot", "POST")
        elif what < 0.3:
            ask("127.0.0.1", 9090, f"/api/v1/query?query=up%5B{number}s")
        elif what < 0.4:
            ask("127.0.0.1", 9090, "/api/v1/admin/tsdb/clean_tombstones", "POST")

    room.repeat(visit, 120, 0.5)
    room.stop(server)
    server = room.start(*options, log=log)
    room.wait_for_port(9090)
    room.repeat(visit, 100, 0.5)
    with room.incident("the disk is full", "Scrape commit failed"):
        with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
            while file.write(bytes(2**20)):
                pass
        room.repeat(visit, 40, 0.5)
    room.stop(server, signal.SIGTERM)
    room.logs.append(log)


KIND = Kind(
    name="prometheus",
    host="prom-1",
    programs=("prometheus", "mount"),
    packages="prometheus",
    header=r'ts=\S+ caller=\S+ level=\w+ (?:component=(?:"[^"]*"|\S+) )?',
    record=record,
)
