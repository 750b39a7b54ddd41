"""Does a deployment stream? `python -m deploy.smoke URL` posts the sample, cuts its stream, resumes and replays it.

Prints what it measured. Exit status 0 when every event came once and in order; 1 when one was lost, repeated or
changed, or when the run failed; 2 for wrong arguments. The gateway's secret is taken from TAILRACE_ACCESS_SECRET.
Times are printed and not judged.
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
from tailrace.stream.sse import Parser

SAMPLE = Path(__file__).parents[1] / "frontend" / "sample"
# How many events are read before the stream is cut.
CUT_AFTER = 5
_WHOLE_S = 600.0
# Between two bytes of a stream: four heartbeats.
_SILENCE_S = 60.0


class SmokeError(Exception):
    """The deployment does not do what it should. The message is for people."""


@dataclass
class StreamRecord:
    """What has come of a stream so far, over all its connections."""

    events: list[bytes] = field(default_factory=list)
    end: dict[str, Any] | None = None
    retry_s: float = 2.0
    # Of each connection, in seconds from asking: the first byte, the first event.
    first_byte_s: list[float] = field(default_factory=list)
    first_event_s: list[float] = field(default_factory=list)
    # Between chunks with events, and how long after their time of the server's clock events came. Live events only.
    gaps_s: list[float] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)


class Smoke:
    """One check of the gateway behind `http`."""

    def __init__(self, http: httpx.AsyncClient, secret: str) -> None:
        self._http = http
        self._secret = secret
        self._known = {"x-tailrace-secret": secret} if secret else {}
        self.rows: list[tuple[str, str]] = []

    async def run(self) -> None:
        """Fills `rows`.

        Raises:
            SmokeError: something is not as promised.
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
            raise SmokeError(f"The page answered {page.status_code}, its security headers: {list(page.headers)}.")
        self.rows.append(("page", f"200 after {_ms(page_s)}"))
        if self._secret:
            stranger = await self._get("/api/tasks")
            if stranger.status_code != 401:
                raise SmokeError(f"Without the secret, GET /api/tasks answered {stranger.status_code} instead of 401.")
            self.rows.append(("without the secret", "401"))

    async def _post(self) -> str:
        body = json.dumps({"message": sample()}).encode()
        headers = {
            **self._known,
            "content-type": "application/json",
            # CloudFront signs no body by itself.
            "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
        }
        answer, seconds = await _timed(self._http.post("/api/tasks", content=body, headers=headers))
        if answer.status_code != 201:
            raise SmokeError(f"POST /api/tasks answered {answer.status_code}: {answer.text[:300]}")
        self.rows.append(("POST /api/tasks", f"201 after {_ms(seconds)}, {len(body):,} bytes sent"))
        return str(answer.json()["id"])

    async def _read(self, task_id: str, reading: StreamRecord, stop_after: int | None = None) -> None:
        """Read on from the reading's cursor until the end, a cut by the server, or `stop_after` events in all."""
        cursor, parser, asked = len(reading.events), Parser(), time.monotonic()
        headers = {**self._known, "accept": "text/event-stream", "last-event-id": str(cursor)}
        live, before, first = False, None, True
        try:
            async with self._http.stream("GET", f"/api/stream/{task_id}", headers=headers) as answer:
                if answer.status_code == 204:
                    reading.end = await self._end_of(task_id, cursor)  # its frame was cut off
                    return
                if answer.status_code != 200:
                    text = (await answer.aread()).decode(errors="replace")
                    raise SmokeError(f"GET /api/stream at cursor {cursor} answered {answer.status_code}: {text[:300]}")
                async for chunk in answer.aiter_raw():
                    now = time.monotonic()
                    if first:
                        reading.first_byte_s.append(now - asked)
                        first = False
                    for message in parser.feed(chunk):
                        if message.name == "gap":
                            raise SmokeError(f"The stream has a gap: {message.data.decode()}.")
                        if message.name == "end":
                            reading.end = json.loads(message.data)
                            return
                        if message.name:
                            live = True  # `sync`: what comes now has just happened
                            continue
                        if int(message.id) != len(reading.events) + 1:
                            raise SmokeError(f"Event {message.id} came after event {len(reading.events)}.")
                        if len(reading.events) == cursor:
                            reading.first_event_s.append(now - asked)
                        reading.events.append(message.data)
                        if live:
                            reading.delays_s.append(time.time() - _written(message.data))
                            if before is not None and before != now:
                                reading.gaps_s.append(now - before)
                            before = now
                        if len(reading.events) == stop_after:
                            return
                    if parser.retry_ms is not None:
                        reading.retry_s = parser.retry_ms / 1000
        except httpx.TransportError as error:
            if first:
                raise SmokeError(f"GET /api/stream at cursor {cursor}: {error or type(error).__name__}") from None
            # A cut. The next connection has the cursor.

    async def _end_of(self, task_id: str, cursor: int) -> dict[str, Any]:
        task = (await self._get(f"/api/tasks/{task_id}", **self._known)).json()
        return {"state": task["status"]["state"], "seq": cursor}

    def _report(self, live: StreamRecord, cut_at: int) -> None:
        assert live.end is not None
        if live.end["seq"] != len(live.events):
            raise SmokeError(f"The stream ended at event {live.end['seq']}, and {len(live.events)} events had come.")
        if live.end["state"] != "TASK_STATE_COMPLETED":
            raise SmokeError(f"The sample ended as {live.end['state']}.")
        quickest = min(live.delays_s, default=0.0)
        late = [delay - quickest for delay in live.delays_s]
        self.rows += [
            ("first byte of the stream", _ms(live.first_byte_s[0])),
            ("first event", _ms(live.first_event_s[0])),
            (f"cut after event {cut_at}, resumed", f"first byte after {_ms(live.first_byte_s[1])}"),
            ("events", f"{len(live.events)}, each once and in order, over {len(live.first_byte_s)} connections"),
            ("between frames, live", _spread(live.gaps_s)),
            ("later than the quickest", f"{_spread(late)} (frames held back on the way)"),
        ]

    async def _replay(self, task_id: str, live: StreamRecord) -> None:
        again, began = StreamRecord(), time.monotonic()
        while again.end is None:
            await self._read(task_id, again)
        if again.events != live.events:
            raise SmokeError("The replay from event 1 is not what had come live.")
        self.rows.append(("replay", f"the same {len(again.events)} events, {_ms(time.monotonic() - began)}"))
        after = await self._get(f"/api/stream/{task_id}?cursor={len(live.events)}", **self._known)
        if after.status_code != 204:
            raise SmokeError(f"A reader at the end was answered {after.status_code} instead of 204.")
        self.rows.append(("a reader at the end", "204"))

    async def _get(self, path: str, **headers: str) -> httpx.Response:
        return await self._http.get(path, headers=headers)


def sample() -> dict[str, Any]:
    """The page's sample as a message."""
    told = json.loads((SAMPLE / "sample.json").read_text())
    files = [
        {
            "raw": base64.b64encode((SAMPLE / each["href"]).read_bytes()).decode(),
            "filename": f"{each['filename']}.gz",
            "mediaType": "application/gzip",
        }
        for each in told["files"]
    ]
    return {"parts": [{"text": told["text"]}, {"data": {"alert": told["alert"]}}, *files]}


def _written(data: bytes) -> float:
    """When an event was written, in seconds of the server's clock."""
    (event,) = msgspec.json.decode(data)["result"].values()
    return float(event["metadata"][EXTENSION]["ts"]) / 1000


async def _timed(answer: Awaitable[httpx.Response]) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    return await answer, time.monotonic() - began


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def _spread(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return "none to measure"
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    return f"median {_ms(statistics.median(seconds))}, p95 {_ms(p95)}, most {_ms(max(seconds))}"


async def check(url: str, secret: str) -> list[tuple[str, str]]:
    """The rows of the report.

    Raises:
        SmokeError: something is not as promised.
    """
    timeout = httpx.Timeout(30, read=_SILENCE_S)
    async with httpx.AsyncClient(base_url=url, timeout=timeout) as http:
        smoke = Smoke(http, secret)
        try:
            async with asyncio.timeout(_WHOLE_S):
                await smoke.run()
        except httpx.HTTPError as error:
            raise SmokeError(f"{url} could not be asked: {error or type(error).__name__}") from None
        except TimeoutError:
            raise SmokeError(f"The sample had not ended after {_WHOLE_S:.0f} s.") from None
        finally:
            width = max((len(name) for name, _ in smoke.rows), default=0)
            for name, value in smoke.rows:
                print(f"{name:<{width}}  {value}")
        return smoke.rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.smoke", description=__doc__.splitlines()[0])
    parser.add_argument("url", help="of the page, as `make deploy` prints it")
    given = parser.parse_args()
    if not given.url.startswith(("http://", "https://")):
        parser.error(f"{given.url!r} is no http or https URL")
    try:
        asyncio.run(check(given.url, os.environ.get("TAILRACE_ACCESS_SECRET", "")))
    except SmokeError as error:
        print(f"smoke: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
