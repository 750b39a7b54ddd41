"""Realistic logs in every format. The same seed gives the same log."""

from __future__ import annotations

import asyncio
import functools
import json
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from log_analyst.graph import builder
from tailrace.authoring.emission import EmittedArtifact, EmittedStatus, EmittedText
from tailrace.authoring.emit import set_request
from tailrace.inputs.request import File, Request
from triage.findings import Finding

T0 = datetime(2024, 3, 5, 9, 0, tzinfo=UTC).timestamp()
MINUTE = 60.0
HOUR = 3600.0
TROUBLE = T0 + 42 * MINUTE
# An alert fires some time after its cause.
ALERT = (TROUBLE + MINUTE, TROUBLE + 12 * MINUTE)

Line = tuple[float, str]


def moments(rng: random.Random, start: float, end: float, per_minute: float) -> list[float]:
    """Return the times of a Poisson process."""
    found, at = [], start
    while (at := at + rng.expovariate(per_minute / 60)) < end:
        found.append(at)
    return found


def when(at: float, form: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(form)


def seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def access_line(rng: random.Random, at: float, *, route: str = "", status: int = 0) -> str:
    route = (
        route
        or rng.choices(
            [f"/api/orders/{rng.randrange(10**6)}", "/api/cart", f"/static/app.{rng.randrange(9)}.js", "/health"],
            [5, 3, 2, 1],
        )[0]
    )
    status = status or rng.choices([200, 304, 404], [90, 8, 2])[0]
    query = f"?session={rng.randrange(10**9):x}" if rng.random() < 0.3 else ""
    return (
        f"10.0.{rng.randrange(9)}.{rng.randrange(250)} - - [{when(at, '%d/%b/%Y:%H:%M:%S')} +0000] "
        f'"GET {route}{query} HTTP/1.1" {status} {rng.randrange(20000)} "-" "Mozilla/5.0 (X11; Linux x86_64)"'
    )


def nginx_error_line(rng: random.Random, at: float) -> str:
    return (
        f"{when(at, '%Y/%m/%d %H:%M:%S')} [error] 31#31: *{rng.randrange(10**6)} connect() failed (111: Connection "
        f"refused) while connecting to upstream, client: 10.0.0.{rng.randrange(250)}, server: shop, "
        f'request: "GET /api/orders/{rng.randrange(10**6)} HTTP/1.1", upstream: "http://127.0.0.1:9000/", host: "shop"'
    )


APP_TEXTS = (
    (
        30,
        "INFO",
        lambda r: f"order {r.randrange(10**6)} accepted for user u-{r.randrange(9999)} in {r.randrange(400)}ms",
    ),
    (20, "INFO", lambda r: f"cart {r.getrandbits(64):016x} updated"),
    (15, "DEBUG", lambda r: f"cache hit ratio {r.random():.3f} over {r.randrange(9000)} keys"),
    (8, "INFO", lambda r: f"GET /api/orders/{r.randrange(10**6)} took {r.randrange(900)} ms"),
    (3, "WARN", lambda r: f"slow query took {r.random() * 5:.2f}s on shard-{r.randrange(8)}"),
    (1, "INFO", lambda r: f"flushed {r.randrange(500)} sessions to /var/lib/shop/s-{r.randrange(10**5)}.db"),
)


def app_text(rng: random.Random) -> tuple[str, str]:
    _, level, text = rng.choices(APP_TEXTS, [weight for weight, _, _ in APP_TEXTS])[0]
    return level, text(rng)


def app_line(rng: random.Random, at: float, level: str = "", text: str = "") -> str:
    if not text:
        level, text = app_text(rng)
    return f"{when(at, '%Y-%m-%d %H:%M:%S')},{int(at * 1000) % 1000:03d} {level:5} [shop.web] {text}"


def json_app_line(rng: random.Random, at: float, level: str = "", text: str = "") -> str:
    if not text:
        level, text = app_text(rng)
    return json.dumps({"ts": when(at, "%Y-%m-%dT%H:%M:%S.%fZ"), "level": level.lower(), "logger": "web", "msg": text})


def syslog_line(rng: random.Random, at: float, level: str = "", text: str = "") -> str:
    if not text:
        level, text = app_text(rng)
    day = datetime.fromtimestamp(at, UTC).day
    return f"{when(at, '%b')} {day:2d} {when(at, '%H:%M:%S')} web-1 shop[811]: {level} {text}"


def syslog_5424_line(rng: random.Random, at: float, level: str = "", text: str = "") -> str:
    if not text:
        level, text = app_text(rng)
    pri = {"DEBUG": 15, "INFO": 14, "WARN": 12, "ERROR": 11}[level]
    return f'<{pri}>1 {when(at, "%Y-%m-%dT%H:%M:%S.%fZ")} web-1 shop 811 ID47 [a@1 b="c\\"]"] {text}'


MAKERS: dict[str, Callable[..., str]] = {
    "plain text": app_line,
    "JSON lines": json_app_line,
    "syslog": syslog_line,
    "syslog (RFC 5424)": syslog_5424_line,
}


def steady(
    maker: Callable[..., str], seed: int = 1, *, start: float = T0, end: float = T0 + HOUR, per_minute: float = 60
) -> list[Line]:
    """Return lines with a constant rate from `start` to `end`."""
    return list(_steady(maker, seed, start, end, per_minute))


@functools.cache  # most tests have the same lines around what they are about
def _steady(maker: Callable[..., str], seed: int, start: float, end: float, per_minute: float) -> tuple[Line, ...]:
    rng = random.Random(seed)
    return tuple((at, maker(rng, at)) for at in moments(rng, start, end, per_minute))


def text_of(*lines: Iterable[Line], end: str = "\n") -> str:
    """Return all lines as one log, in the order of their times."""
    return "".join(line + end for _, line in sorted(at_and_line for some in lines for at_and_line in some))


def file(text: str, name: str = "app.log") -> File:
    return File(filename=name, media_type="text/plain", text=text)


def asked(*files: File, text: str = "Why is the shop slow?", alert: tuple[float, float] | None = None) -> Request:
    data = [{"alert": {"title": "5xx", "start": alert[0], "end": alert[1]}}] if alert else []
    return Request(text=text, data=data, files=list(files))


def upstream_dies(seed: int = 5) -> tuple[list[Line], list[Line]]:
    """Return the access log and the error log of a server whose upstream is down for eight minutes."""
    rng = random.Random(seed)
    fine = [(at, access_line(rng, at)) for at in moments(rng, T0, T0 + HOUR, 120)]
    kept = [(at, line) for at, line in fine if not 0 < at - TROUBLE < 8 * MINUTE or "/api/" not in line]
    lost = [at for at, line in fine if 0 < at - TROUBLE < 8 * MINUTE and "/api/" in line]
    failed = [(at, access_line(rng, at, route=f"/api/orders/{rng.randrange(999)}", status=502)) for at in lost]
    return kept + failed, [(at, nginx_error_line(rng, at)) for at in lost]


class Ran:
    """The results of a run of the graph."""

    def __init__(self, state: dict[str, Any], parts: list[Any]) -> None:
        self.state = state
        self.report = "".join(part.text for part in parts if isinstance(part, EmittedText))
        self.progress = [part for part in parts if isinstance(part, EmittedStatus)]
        artifacts = [part for part in parts if isinstance(part, EmittedArtifact)]
        self.artifact: dict[str, Any] = artifacts[-1].part.data if artifacts else {}
        self.findings: list[Finding] = [Finding(**finding) for finding in self.artifact.get("findings", [])]
        self.templates: list[dict[str, Any]] = self.artifact.get("templates", [])
        self.question = state.get("__interrupt__")

    def of(self, kind: str, words: str = "") -> list[Finding]:
        return [f for f in self.findings if f.type == kind and words in f.subject]


async def run_async(request: Request) -> Ran:
    set_request(request)
    parts: list[dict[str, Any]] = []
    state: dict[str, Any] = {}
    compiled = builder.compile()
    async for part in compiled.astream({"messages": [("user", request.text)]}, stream_mode=["custom", "values"]):
        mode, data = part
        if mode == "custom":
            parts.append(data)
        else:
            state = data
    return Ran(state, parts)


def run(request: Request) -> Ran:
    """Run the whole graph on `request`."""
    return asyncio.run(run_async(request))
