"""Checks that a deployment streams: `python -m deploy.smoke URL` posts the sample, cuts its stream, resumes, replays.

Prints what it measured. Exit status 0 if every event came once and in order; 1 if one was lost, repeated or changed, or
if the run failed; 2 for wrong arguments. TAILRACE_ACCESS_SECRET is the gateway's secret. Times are printed, but no time
is too long.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tailrace.events import EXTENSION
from tailrace.stream.sse import Parser, ServerSentEvent

SAMPLE = Path(__file__).parents[1] / "frontend" / "sample"
# After how many events the stream is cut.
CUT_AFTER = 5
_WHOLE_S = 600.0
# The longest silence of a stream: four heartbeats.
_SILENCE_S = 60.0


class SmokeError(Exception):
    """The deployment breaks a promise. The message says which."""


@dataclass
class StreamRecord:
    """What was received of a stream, over all its connections."""

    events: list[bytes] = field(default_factory=list)
    end: dict[str, Any] | None = None
    retry_s: float = 2.0
    # For each connection, seconds from the request to the first byte and to the first event.
    first_byte_s: list[float] = field(default_factory=list)
    first_event_s: list[float] = field(default_factory=list)
    # For live events: seconds between chunks, and from each event's time (by the server's clock) to its arrival.
    gaps_s: list[float] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)


class Connection:
    """One connection of a stream. Puts what comes through it into `record`, up to `stop_after` events in all."""

    def __init__(self, record: StreamRecord, stop_after: int | None) -> None:
        self.has_begun = False
        self._record = record
        self._stop_after = stop_after
        self._parser = Parser()
        self._started = time.monotonic()
        self._cursor = len(record.events)
        self._live = False
        self._last_live_s: float | None = None

    def note_chunk(self, chunk: bytes) -> bool:
        """Note a chunk, which has just arrived. Return whether nothing more is to be read.

        Raises:
            SmokeError: an event was lost or repeated.
        """
        now = time.monotonic()
        if not self.has_begun:
            self.has_begun = True
            self._record.first_byte_s.append(now - self._started)
        for message in self._parser.feed(chunk):
            if message.name == "gap":
                raise SmokeError(f"The stream has a gap: {message.data.decode()}.")
            if message.name == "end":
                self._record.end = json.loads(message.data)
                return True
            if message.name:
                self._live = True  # after `sync`, events come as they happen
                continue
            self._note_event(message, now)
            if len(self._record.events) == self._stop_after:
                return True
        if self._parser.retry_ms is not None:
            self._record.retry_s = self._parser.retry_ms / 1000
        return False

    def _note_event(self, message: ServerSentEvent, now: float) -> None:
        record = self._record
        if int(message.id) != len(record.events) + 1:
            raise SmokeError(f"Event {message.id} came after event {len(record.events)}.")
        if len(record.events) == self._cursor:
            record.first_event_s.append(now - self._started)
        record.events.append(message.data)
        if self._live:
            record.delays_s.append(time.time() - _written(message.data))
            if self._last_live_s is not None and self._last_live_s != now:
                record.gaps_s.append(now - self._last_live_s)
            self._last_live_s = now


class Smoke:
    """One check of the gateway behind `http`. `rows` are the results, as (name, value)."""

    def __init__(self, http: httpx.AsyncClient, secret: str) -> None:
        self._http = http
        self._secret = secret
        self._secret_header = {"x-tailrace-secret": secret} if secret else {}
        self.rows: list[tuple[str, str]] = []

    async def run(self) -> None:
        """Run the check and fill `rows`.

        Raises:
            SmokeError: the deployment breaks a promise.
        """
        await self._front_door()
        task_id = await self._post()
        live = StreamRecord()
        await self._read(task_id, live, stop_after=CUT_AFTER)
        if live.end is not None:
            raise SmokeError(f"The sample ended at event {live.end['seq']}, before its stream could be cut.")
        cut_at = len(live.events)
        while live.end is None:
            before = len(live.events)
            await self._read(task_id, live)
            if live.end is None and len(live.events) == before:
                await asyncio.sleep(live.retry_s)
        self._report(live, cut_at)
        await self._replay(task_id, live)

    async def _front_door(self) -> None:
        page, page_s = await _timed(self._get("/"))
        if page.status_code != 200 or "content-security-policy" not in page.headers:
            raise SmokeError(f"GET / answered {page.status_code} without the security headers: {list(page.headers)}.")
        self.rows.append(("page", f"200 after {_ms(page_s)}"))
        if self._secret:
            stranger = await self._get("/api/tasks")
            if stranger.status_code != 401:
                raise SmokeError(f"Without the secret, GET /api/tasks answered {stranger.status_code} instead of 401.")
            self.rows.append(("without the secret", "401"))

    async def _post(self) -> str:
        body = json.dumps({"message": sample()}).encode()
        headers = {
            **self._secret_header,
            "content-type": "application/json",
            # CloudFront needs it to sign the request to the gateway.
            "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
        }
        answer, seconds = await _timed(self._http.post("/api/tasks", content=body, headers=headers))
        if answer.status_code != 201:
            raise SmokeError(f"POST /api/tasks answered {answer.status_code}: {answer.text[:300]}")
        self.rows.append(("POST /api/tasks", f"201 after {_ms(seconds)}, {len(body):,} bytes sent"))
        return str(answer.json()["id"])

    async def _read(self, task_id: str, record: StreamRecord, stop_after: int | None = None) -> None:
        """Read on from the record's cursor until the end, a cut by the server, or `stop_after` events in all."""
        cursor, connection = len(record.events), Connection(record, stop_after)
        headers = {**self._secret_header, "accept": "text/event-stream", "last-event-id": str(cursor)}
        try:
            async with self._http.stream("GET", f"/api/stream/{task_id}", headers=headers) as answer:
                if answer.status_code == 204:
                    record.end = await self._end_of(task_id, cursor)  # the `end` frame was lost
                    return
                if answer.status_code != 200:
                    text = (await answer.aread()).decode(errors="replace")
                    raise SmokeError(f"GET /api/stream at cursor {cursor} answered {answer.status_code}: {text[:300]}")
                async for chunk in answer.aiter_raw():
                    if connection.note_chunk(chunk):
                        return
        except httpx.TransportError as error:
            if not connection.has_begun:
                raise SmokeError(f"GET /api/stream at cursor {cursor}: {error or type(error).__name__}") from None
            # The stream was cut. The next connection resumes it.

    async def _end_of(self, task_id: str, cursor: int) -> dict[str, Any]:
        task = (await self._get(f"/api/tasks/{task_id}", **self._secret_header)).json()
        return {"state": task["status"]["state"], "seq": cursor}

    def _report(self, live: StreamRecord, cut_at: int) -> None:
        assert live.end is not None
        if live.end["seq"] != len(live.events):
            raise SmokeError(f"The stream ended at event {live.end['seq']} after {len(live.events)} events.")
        if live.end["state"] != "TASK_STATE_COMPLETED":
            raise SmokeError(f"The sample's task ended as {live.end['state']} instead of TASK_STATE_COMPLETED.")
        fastest = min(live.delays_s, default=0.0)
        late = [delay - fastest for delay in live.delays_s]
        self.rows += [
            ("first byte of the stream", _ms(live.first_byte_s[0])),
            ("first event", _ms(live.first_event_s[0])),
            (f"cut after event {cut_at}, resumed", f"first byte after {_ms(live.first_byte_s[1])}"),
            ("events", f"{len(live.events)}, each once and in order, over {len(live.first_byte_s)} connections"),
            ("between frames, live", _spread(live.gaps_s)),
            ("later than the fastest", f"{_spread(late)} (frames held back on the way)"),
        ]

    async def _replay(self, task_id: str, live: StreamRecord) -> None:
        again, started = StreamRecord(), time.monotonic()
        while again.end is None:
            await self._read(task_id, again)
        if again.events != live.events:
            raise SmokeError("The replay from event 1 differs from the live events.")
        self.rows.append(("replay", f"the same {len(again.events)} events, {_ms(time.monotonic() - started)}"))
        after = await self._get(f"/api/stream/{task_id}?cursor={len(live.events)}", **self._secret_header)
        if after.status_code != 204:
            raise SmokeError(f"A reader at the end was answered {after.status_code} instead of 204.")
        self.rows.append(("a reader at the end", "204"))

    async def _get(self, path: str, **headers: str) -> httpx.Response:
        return await self._http.get(path, headers=headers)


def sample() -> dict[str, Any]:
    """Return the page's sample as a message (A2A 1.0 JSON)."""
    recorded = json.loads((SAMPLE / "sample.json").read_text())
    files = [
        {
            "raw": base64.b64encode((SAMPLE / each["href"]).read_bytes()).decode(),
            "filename": f"{each['filename']}.gz",
            "mediaType": "application/gzip",
        }
        for each in recorded["files"]
    ]
    return {"parts": [{"text": recorded["text"]}, {"data": {"alert": recorded["alert"]}}, *files]}


def _written(data: bytes) -> float:
    """Return when an event was written, in seconds since the epoch by the server's clock."""
    (event,) = msgspec.json.decode(data)["result"].values()
    return float(event["metadata"][EXTENSION]["ts"]) / 1000


async def _timed(answer: Awaitable[httpx.Response]) -> tuple[httpx.Response, float]:
    started = time.monotonic()
    return await answer, time.monotonic() - started


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def _spread(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return "none to measure"
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    return f"median {_ms(statistics.median(seconds))}, p95 {_ms(p95)}, longest {_ms(max(seconds))}"


async def check(url: str, secret: str) -> list[tuple[str, str]]:
    """Check the deployment at `url`, print the results and return them.

    Raises:
        SmokeError: the deployment breaks a promise.
    """
    timeout = httpx.Timeout(30, read=_SILENCE_S)
    async with httpx.AsyncClient(base_url=url, timeout=timeout) as http:
        smoke = Smoke(http, secret)
        try:
            async with asyncio.timeout(_WHOLE_S):
                await smoke.run()
        except httpx.HTTPError as error:
            raise SmokeError(f"{url} cannot be reached: {error or type(error).__name__}") from None
        except TimeoutError:
            raise SmokeError(f"The sample did not end within {_WHOLE_S:.0f} s.") from None
        finally:
            width = max((len(name) for name, _ in smoke.rows), default=0)
            for name, value in smoke.rows:
                print(f"{name:<{width}}  {value}")
        return smoke.rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.smoke", description=__doc__.splitlines()[0])
    parser.add_argument("url", help="the page's URL, as `make deploy` prints it")
    arguments = parser.parse_args()
    if not arguments.url.startswith(("http://", "https://")):
        parser.error(f"{arguments.url!r} is no http or https URL")
    try:
        asyncio.run(check(arguments.url, os.environ.get("TAILRACE_ACCESS_SECRET", "")))
    except SmokeError as error:
        print(f"smoke: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
