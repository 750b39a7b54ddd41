"""The machine's and the services' metrics, sampled from /proc, nginx's stub_status and the access log."""

import asyncio
import csv
import math
import os
import re
import time
from collections import defaultdict
from pathlib import Path

import httpx

from local.recording.lines import utc
from local.recording.processes import Processes

COLUMNS = [
    "time",  # ISO 8601 UTC, the end of the interval the row is about
    "cpu_percent",  # of all the machine's cores
    "load_1m",
    "memory_used_mb",  # MiB: MemTotal less MemAvailable
    "network_lo_kb_per_second",  # KiB sent over loopback
    "nginx_requests_per_second",  # stub_status, without the requests of this sampler
    "nginx_connections_active",  # stub_status, without the connection of this sampler
    "nginx_4xx_per_second",  # this and the next three: access log
    "nginx_5xx_per_second",
    "request_p50_ms",
    "request_p95_ms",
    "upstream_cpu_percent",  # of one core; this and the next three are empty while there is no upstream
    "upstream_rss_mb",
    "upstream_threads",
    "upstream_pool_in_use",  # database connections
    "database_cpu_percent",  # of one core; the database and the job that runs on it
]
ACCESS = re.compile(rb'" (\d{3}) \d+ ".*" rt=([\d.]+) ')
ACTIVE = re.compile(r"Active connections: (\d+)")
HANDLED = re.compile(r"\n (\d+) (\d+) (\d+)")
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
Cell = str | float | int | None


class Metrics:
    """Writes a row to metrics.csv every `interval` seconds. A cell that cannot be measured is empty."""

    def __init__(self, folder: Path, processes: Processes, ports: dict[str, int], interval: float) -> None:
        self.folder = folder
        self.processes = processes
        self.ports = ports
        self.interval = interval
        self.last: dict[str, tuple[float, float]] = {}
        self.read = 0  # bytes of the access log

    async def run(self) -> None:
        """Write rows until this is cancelled.

        Raises:
            RecordingError: a process ended by itself.
        """
        async with httpx.AsyncClient(trust_env=False, timeout=0.5) as http:
            with (self.folder / "metrics.csv").open("w", newline="") as file:
                table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                table.writeheader()
                await self.row(http)  # the start of the first interval
                started = time.monotonic()
                for n in range(1, 1_000_000):
                    await asyncio.sleep(max(0.0, started + n * self.interval - time.monotonic()))
                    self.processes.check()
                    table.writerow(await self.row(http))
                    file.flush()

    async def row(self, http: httpx.AsyncClient) -> dict[str, Cell]:
        row: dict[str, Cell] = {**self.machine(), **self.services()}
        if status := await self.get(http, "status"):
            active, handled = ACTIVE.search(status), HANDLED.search(status)
            if active and handled:
                row["nginx_connections_active"] = int(active[1]) - 1
                rate = self.rate("requests", float(handled[3]))
                row["nginx_requests_per_second"] = None if rate is None else max(0.0, rate - 1 / self.interval)
        row.update(self.access())
        if self.processes.pid("shop") is not None and (used := await self.get(http, "shop", "/pool")):
            row["upstream_pool_in_use"] = int(used)
        row = {name: round(cell, 2) if isinstance(cell, float) else cell for name, cell in row.items()}
        return {"time": utc(), **row}

    async def get(self, http: httpx.AsyncClient, port: str, path: str = "/") -> str | None:
        try:
            return (await http.get(f"http://127.0.0.1:{self.ports[port]}{path}")).text
        except httpx.HTTPError:
            return None

    def rate(self, name: str, total: float) -> float | None:
        """Return the growth of `total` per second since the last call with this name; None for the first call."""
        now = time.monotonic()
        before = self.last.get(name)
        self.last[name] = (now, total)
        return None if before is None else (total - before[1]) / (now - before[0])

    def machine(self) -> dict[str, Cell]:
        ticks = [int(cell) for cell in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        idle, total = self.rate("idle", ticks[3] + ticks[4]), self.rate("ticks", sum(ticks))
        memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        used = int(memory["MemTotal"].split()[0]) - int(memory["MemAvailable"].split()[0])
        loopback = re.search(r"^\s*lo:(.*)$", Path("/proc/net/dev").read_text(), re.MULTILINE)
        sent = self.rate("lo", int(loopback[1].split()[8]) / 1024) if loopback else None
        return {
            "cpu_percent": 100 * (1 - idle / total) if idle is not None and total else None,
            "load_1m": float(Path("/proc/loadavg").read_text().split()[0]),
            "memory_used_mb": used / 1024,
            "network_lo_kb_per_second": sent,
        }

    def services(self) -> dict[str, Cell]:
        shares = [share for share in (self.cpu("database"), self.cpu("reprice")) if share is not None]
        return {"database_cpu_percent": sum(shares) if shares else None, **self.upstream()}

    def cpu(self, name: str) -> float | None:
        """Return the process's share of one core, in percent; None if it does not run or has just started."""
        pid = self.processes.pid(name)
        if pid is None:
            return None
        cells = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        rate = self.rate(f"cpu of {pid}", (int(cells[11]) + int(cells[12])) / TICKS)
        return None if rate is None else 100 * rate

    def upstream(self) -> dict[str, Cell]:
        pid = self.processes.pid("shop")
        if pid is None:
            return {}
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        if "VmRSS" not in status:  # it has just ended
            return {}
        return {
            "upstream_cpu_percent": self.cpu("shop"),
            "upstream_rss_mb": int(status["VmRSS"].split()[0]) / 1024,
            "upstream_threads": int(status["Threads"]),
        }

    def access(self) -> dict[str, Cell]:
        """Return rates and latencies of the lines that the access log has got since the last call."""
        with (self.folder / "access.log").open("rb") as file:
            file.seek(self.read)
            text = file.read()
        text = text[: text.rfind(b"\n") + 1]
        self.read += len(text)
        classes: dict[bytes, int] = defaultdict(int)
        times = []
        for line in text.splitlines():
            if match := ACCESS.search(line):
                classes[match[1][:1]] += 1
                times.append(float(match[2]) * 1000)
        times.sort()
        return {
            "nginx_4xx_per_second": classes[b"4"] / self.interval,
            "nginx_5xx_per_second": classes[b"5"] / self.interval,
            "request_p50_ms": percentile(times, 50),
            "request_p95_ms": percentile(times, 95),
        }


def percentile(ordered: list[float], percent: float) -> float | None:
    """Return the nearest-rank percentile of `ordered`; None if it is empty."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None
