"""`docs/trace.svg`: the trace of the sample run of `make run`, whose orchestrator is killed on the way.

The functions send their spans with OpenTelemetry's SDK to a collector in this process, which draws them.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from deploy.smoke.sample import sample
from tests.support.collector import Collector, collecting
from tests.support.conditions import eventually
from tests.support.gateway import Seen, read_stream
from tests.support.processes import ROOT, Stack, stack

PICTURE = ROOT / "docs" / "trace.svg"
WIDTH, LEFT, ROW, TOP = 1180, 430, 19, 46
# By the beginning of a span's name.
COLOURS = {
    "task": "#7c6fd0",
    "invoke_agent": "#2f7fd6",
    "node": "#2a9d6f",
    "execute_tool": "#c9821c",
    "chat": "#c2477f",
}
REQUEST, ERROR = "#8a94a3", "#d64545"
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2933 } .dim { fill: #66727f } line { stroke: #d9dee5 }
@media (prefers-color-scheme: dark) { text { fill: #e4e8ee } .dim { fill: #98a3b1 } line { stroke: #38414d } }
"""


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder, collecting() as collector:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "TAILRACE_LEASE_S": "2",
            "TAILRACE_RENEW_S": "0.5",
        }
        async with stack(Path(folder), **variables) as started:
            await run(started)
        await eventually(lambda: len({span.trace_id for span in collector.spans()}) == 1)
        PICTURE.write_text("\n".join(drawn(collector)) + "\n")
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size // 1024} KB")


async def run(started: Stack) -> None:
    """Send the sample, and kill the orchestrator when its analysts have begun."""
    async with started.client() as http:
        created = await http.post("/api/tasks", json={"message": sample()})
        task_id = created.raise_for_status().json()["id"]
        seen = await read_stream(http, task_id, until=begun)
        await started.kill("orchestrator")
        while not seen.ended:
            seen = await read_stream(http, task_id)
        assert seen.state == "TASK_STATE_COMPLETED", seen.state


def begun(seen: Seen) -> bool:
    return str(seen.events).count("'node_start'") > 4


def drawn(collector: Collector) -> Iterator[str]:
    """The lines of the picture: a row for each span, below the one that it is part of."""
    spans = sorted(collector.spans(), key=lambda span: span.start_time_unix_nano)
    rows = list(_rows(spans))
    begin, end = spans[0].start_time_unix_nano, max(span.end_time_unix_nano for span in spans)
    scale = (WIDTH - LEFT - 70) / (end - begin)
    height = TOP + ROW * len(rows) + 8
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    yield f"<title>One trace of {len(spans)} spans</title><style>{STYLE}</style>"
    seconds = (end - begin) / 1e9
    step = next(each for each in (0.1, 0.25, 0.5, 1, 2, 5, 10, 30) if seconds / each < 10)
    for tick in range(int(seconds / step) + 1):
        x = LEFT + tick * step * 1e9 * scale
        yield f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{TOP - 12}" y2="{height}"/>'
        yield f'<text class="dim" x="{x + 3:.0f}" y="{TOP - 18}">{tick * step:g} s</text>'
    for number, (span, depth) in enumerate(rows):
        y = TOP + number * ROW
        x, width = LEFT + (span.start_time_unix_nano - begin) * scale, 0.0
        width = max((span.end_time_unix_nano - span.start_time_unix_nano) * scale, 1.5)
        failed = span.status.code == Status.StatusCode.STATUS_CODE_ERROR
        colour = ERROR if failed else COLOURS.get(span.name.split()[0], REQUEST)
        yield f'<text x="{8 + depth * 13}" y="{y + 10}">{escape(span.name)}'
        yield f'<tspan class="dim"> {escape(_more(span))}</tspan></text>'
        yield f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 6}" rx="2" fill="{colour}"/>'
    yield "</svg>"


def _rows(spans: list[Span]) -> Iterator[tuple[Span, int]]:
    """The spans as a tree, in order of time. The parent of one may be lost: its process was killed."""
    known = {span.span_id for span in spans}
    below: defaultdict[bytes, list[Span]] = defaultdict(list)
    for span in spans:
        below[span.parent_span_id if span.parent_span_id in known else b""].append(span)

    def rows(parent: bytes, depth: int) -> Iterator[tuple[Span, int]]:
        for span in below[parent]:
            yield span, depth
            yield from rows(span.span_id, depth + 1)

    yield from rows(b"", 0)


def _more(span: Span) -> str:
    told = {each.key: each.value for each in span.attributes}
    if "tailrace.attempt" not in told:
        return ""
    reason = told["tailrace.attempt.reason"].string_value if "tailrace.attempt.reason" in told else ""
    return f"attempt {told['tailrace.attempt'].int_value}" + (f", {reason}" if reason else "")


if __name__ == "__main__":
    asyncio.run(main())
