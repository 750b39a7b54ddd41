"""The browser's stream: every event once and in order, whatever happens to the connection (promises 4 to 6)."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import httpx
import pytest

from gateway.app import create_app
from gateway.streams import OpenStream
from tailrace.config import Settings
from tests.sample_agents import event_burst
from tests.sample_agents.waits_at_gate import Gate, waits_at_gate
from tests.support.gateway import Seen, System, header_owner
from tests.support.http import serve
from tests.support.in_process import system


def dense(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


async def test_a_stream_has_every_event_once_and_ends_with_the_state(tmp_path: Path) -> None:
    async with system(event_burst.builder, tmp_path) as sut:
        task_id = await sut.post({"data": {"events": 500}})
        seen = await sut.read(task_id)
        assert seen.seqs == dense(1, 505)
        assert "task" in seen.events[0]
        assert seen.controls[-1] == ("end", {"state": "TASK_STATE_COMPLETED", "seq": 505})


async def test_a_task_runs_without_viewers(tmp_path: Path) -> None:
    async with system(event_burst.builder, tmp_path) as sut:
        task_id = await sut.post({"data": {"events": 10}})
        async with asyncio.timeout(60):
            while (await sut.log.head(task_id)).state != "TASK_STATE_COMPLETED":
                await asyncio.sleep(0.01)
        assert (await sut.read(task_id)).seqs == dense(1, 15)


async def test_a_finished_task_replays_from_every_cursor(tmp_path: Path) -> None:
    async with system(event_burst.builder, tmp_path) as sut:
        task_id = await sut.post({"data": {"events": 20}})
        total = (await sut.read(task_id)).seqs[-1]
        for cursor in range(total):
            seen = await sut.read(task_id, cursor=cursor)
            assert seen.seqs == dense(cursor + 1, total)
            assert seen.controls == [
                ("sync", {"seq": total}),
                ("end", {"state": "TASK_STATE_COMPLETED", "seq": total}),
            ]


async def test_a_reconnect_after_the_end_gets_204(tmp_path: Path) -> None:
    async with system(event_burst.builder, tmp_path) as sut:
        task_id = await sut.post({"data": {"events": 1}})
        total = (await sut.read(task_id)).seqs[-1]
        answer = await sut.http.get(f"/api/stream/{task_id}", headers={"Last-Event-ID": str(total)})
        assert (answer.status_code, answer.content) == (204, b"")


async def test_a_stream_that_is_cut_repeatedly_delivers_every_event_once(tmp_path: Path) -> None:
    """The reader disconnects after every few events while the task runs, and resumes with its cursor."""
    chance = random.Random(7)
    async with system(event_burst.builder, tmp_path) as sut:
        task_id = await sut.post({"data": {"events": 400, "pause_s": 0.001}})
        got: list[int] = []
        cuts, ended = 0, False
        while not ended:
            enough = chance.randint(1, 60)
            seen = await sut.read(
                task_id, cursor=got[-1] if got else 0, until=lambda s, n=enough: s.ended or len(s.seqs) >= n
            )
            got += seen.seqs
            ended, cuts = seen.ended, cuts + 1
        assert got == dense(1, 405)
        assert cuts > 5


async def test_closing_a_stream_does_not_affect_the_run(tmp_path: Path) -> None:
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path) as sut:
        task_id = await sut.post({"text": "hello"})
        await sut.read(task_id, until=lambda seen: len(seen.seqs) >= 3)
        await gate.reached.wait()
        gate.open.set()
        seen = await sut.read(task_id)
        assert (seen.seqs, seen.state) == (dense(1, len(seen.seqs)), "TASK_STATE_COMPLETED")
        assert not gate.cancelled


async def test_two_viewers_see_the_same_events(tmp_path: Path) -> None:
    async with system(event_burst.builder, tmp_path) as sut:
        task_id = await sut.post({"data": {"events": 200, "pause_s": 0.001}})
        one, two = await asyncio.gather(sut.read(task_id), sut.read(task_id))
        assert one.seqs == two.seqs == dense(1, 205)
        assert one.events == two.events


async def test_another_gateway_tails_the_log(tmp_path: Path) -> None:
    """A gateway without a pipe to the agent reads live events from the log."""
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path, tail_fast_ms=10, tail_slow_ms=50) as sut:
        task_id = await sut.post({"text": "hello"})
        await gate.reached.wait()
        other = create_app(Settings(data_dir=str(tmp_path), tail_fast_ms=10), decide_owner=header_owner)
        async with serve(other) as url, httpx.AsyncClient(base_url=url, headers={"x-test-owner": "alice"}) as http:
            other_system = System(url, sut.log, http)
            reading = asyncio.create_task(other_system.read(task_id))
            await wait_for_stream(http)
            gate.open.set()
            seen = await reading
        assert (seen.seqs, seen.state) == (dense(1, len(seen.seqs)), "TASK_STATE_COMPLETED")


async def wait_for_stream(http: httpx.AsyncClient, count: int = 1) -> None:
    async with asyncio.timeout(60):
        while len((await http.get("/api/streams")).json()["streams"]) < count:
            await asyncio.sleep(0.01)


async def test_a_slow_reader_loses_nothing_and_blocks_nobody(tmp_path: Path) -> None:
    """A reader with a small buffer pauses while far more events arrive than the pipe holds."""
    async with system(event_burst.builder, tmp_path, pipe_events=16) as sut:
        task_id = await sut.post({"data": {"events": 5000}})
        host, port = sut.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=2048)
        writer.write(f"GET /api/stream/{task_id} HTTP/1.0\r\nHost: x\r\nx-test-owner: alice\r\n\r\n".encode())
        first = await reader.read(1000)
        assert (await sut.read(task_id)).seqs == dense(1, 5005)  # a quick reader finishes meanwhile
        rest = await reader.read()
        writer.close()
        await writer.wait_closed()
        body = (first + rest).partition(b"\r\n\r\n")[2]
        assert [int(line[4:]) for line in body.split(b"\n") if line.startswith(b"id: ")] == dense(1, 5005)
        assert b"event: end" in body


async def test_a_rotated_stream_does_not_end_the_task_and_the_next_one_resumes(tmp_path: Path) -> None:
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path, rotate_s=0.1, heartbeat_s=0.05) as sut:
        task_id = await sut.post({"text": "hello"})
        first = await sut.read(task_id)
        assert not first.ended
        gate.open.set()
        got = list(first.seqs)
        seen = first
        while not seen.ended:
            seen = await sut.read(task_id, cursor=got[-1])
            got += seen.seqs
        assert got == dense(1, len(got))


async def test_a_silent_stream_has_pings_that_a_script_can_see(tmp_path: Path) -> None:
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path, heartbeat_s=0.05) as sut:
        task_id = await sut.post({"text": "hello"})
        seen = await sut.read(task_id, until=lambda seen: seen.controls[-2:] == [("ping", {}), ("ping", {})])
        assert not seen.ended
        gate.open.set()
        await sut.read(task_id)


async def test_a_quiet_stream_pauses_and_no_event_is_lost(tmp_path: Path) -> None:
    """As on Lambda: the reader is told when to come back, by `retry:` and by a frame that a script can read."""
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path, quiet_s=0.1, pause_min_ms=50, pause_max_ms=50) as sut:
        task_id = await sut.post({"text": "hello"})
        first = await sut.read(task_id)
        assert first.controls[-1] == ("pause", {"ms": 50})
        again = await sut.http.get(f"/api/stream/{task_id}", headers={"Last-Event-ID": str(first.seqs[-1])})
        assert again.text.startswith("retry: 2000\n\n")
        assert again.text.endswith('retry: 50\n\nevent: pause\ndata: {"ms":50}\n\n')
        gate.open.set()
        got, seen = list(first.seqs), first
        while not seen.ended:
            seen = await sut.read(task_id, cursor=got[-1])
            got += seen.seqs
        assert got == dense(1, len(got))


@pytest.mark.parametrize(("cursor", "status"), [("", 200), ("1", 200), ("999", 400)])
async def test_head_answers_as_get_would_and_opens_no_stream(tmp_path: Path, cursor: str, status: int) -> None:
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path, max_streams=1) as sut:
        task_id = await sut.post({"text": "hello"})
        asked = {"url": f"/api/stream/{task_id}", "headers": {"Last-Event-ID": cursor} if cursor else {}}
        answer = await sut.http.head(**asked)
        assert (answer.status_code, answer.content) == (status, b"")
        assert (answer.headers["content-type"].startswith("text/event-stream")) == (status == 200)
        reading = asyncio.create_task(sut.read(task_id))
        await wait_for_stream(sut.http)
        assert (await sut.http.head(f"/api/stream/{task_id}")).status_code == 503
        gate.open.set()
        last = (await reading).seqs[-1]
        assert (await sut.http.head(f"/api/stream/{task_id}?cursor={last}")).status_code == 204


async def test_with_few_places_left_a_stream_is_a_window_and_its_reader_gets_every_event(tmp_path: Path) -> None:
    """Nine streams of ten are held. The tenth place serves readers one after the other; none is refused."""
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path, max_streams=10, retry_ms=5) as sut:
        task_id = await sut.post({"text": "hello"})
        holding = [asyncio.create_task(sut.read(task_id)) for _ in range(9)]
        await wait_for_stream(sut.http, 9)
        got = list[int]()
        for _ in range(3):
            seen = await sut.read(task_id, cursor=got[-1] if got else 0)
            got += seen.seqs
            assert seen.controls[-1] == ("pause", {"ms": 5, "reason": "busy"})
        gate.open.set()
        while not seen.ended:
            seen = await sut.read(task_id, cursor=got[-1])
            got += seen.seqs
        held = [await each for each in holding]
    assert got == dense(1, len(got))
    assert [each.seqs for each in held] == [got] * 9


async def test_the_number_of_streams_is_limited(tmp_path: Path) -> None:
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path, max_streams=2) as sut:
        task_id = await sut.post({"text": "hello"})
        readers = [asyncio.create_task(sut.read(task_id)) for _ in range(2)]
        await wait_for_stream(sut.http, 2)
        refused = await sut.http.get(f"/api/stream/{task_id}")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "2 streams" in refused.json()["detail"]
        gate.open.set()
        await asyncio.gather(*readers)
        assert (await sut.http.get("/api/streams")).json() == {"streams": [], "limit": 2}


async def test_a_stream_logs_one_line_when_it_opens_resumes_or_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tailrace.gateway")
    async with system(event_burst.builder, tmp_path) as sut:
        task_id = await sut.post({"data": {"events": 3}})
        await sut.read(task_id, until=lambda seen: len(seen.seqs) >= 2)
        await sut.read(task_id, cursor=2)
        async with asyncio.timeout(60):
            while caplog.text.count("stream_ended") < 2:
                await asyncio.sleep(0.01)
    lines = [record.getMessage() for record in caplog.records if "stream_" in record.getMessage()]
    assert all(line.startswith("{") and task_id in line for line in lines)
    assert sorted(line.split('"')[3] for line in lines) == [
        "stream_ended", "stream_ended", "stream_opened", "stream_resumed",
    ]  # fmt: skip


async def test_a_hundred_viewers_see_every_event(tmp_path: Path) -> None:
    async with system(event_burst.builder, tmp_path) as sut:
        task_ids = [await sut.post({"data": {"events": 50, "pause_s": 0.001}}) for _ in range(10)]

        async def view(number: int) -> Seen:
            headers = {"x-test-owner": "alice"}
            # `verify=False`: reading the certificates of authorities takes longer than all that a viewer does.
            async with httpx.AsyncClient(base_url=sut.url, headers=headers, timeout=60, verify=False) as http:
                return await System(sut.url, sut.log, http).read(task_ids[number % 10])

        for seen in await asyncio.gather(*(view(number) for number in range(100))):
            assert seen.seqs == dense(1, 55)


async def test_in_window_mode_a_stream_sends_available_events_and_closes(tmp_path: Path) -> None:
    """`sam local` buffers whole responses, so a reader gets events only by resuming with its cursor."""
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path, window_s=0.2) as sut:
        task_id = await sut.post({"text": "hello"})
        got: list[int] = []
        windows, ended = 0, False
        async with asyncio.timeout(60):
            while not ended:
                seen = await sut.read(task_id, cursor=got[-1] if got else 0)
                got += seen.seqs
                windows, ended = windows + 1, seen.ended
                if windows == 3:
                    gate.open.set()
        assert got == dense(1, len(got))
        assert windows > 3


async def test_a_stream_begins_with_padding_and_flushes_a_single_frame_with_a_comment(tmp_path: Path) -> None:
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path, padding_bytes=2048, flush_ms=10) as sut:
        task_id = await sut.post({"text": "hello"})
        await gate.reached.wait()
        body = b""
        async with asyncio.timeout(60), sut.http.stream("GET", f"/api/stream/{task_id}") as answer:
            async for chunk in answer.aiter_bytes():
                body += chunk
                if body.endswith(b"\n\n: \n\n"):
                    break
        assert body.startswith(b"retry: 2000\n\n:" + b" " * 2048 + b"\n\n")
        gate.open.set()
        await sut.read(task_id)


async def test_two_equal_streams_are_listed_separately() -> None:
    """Two streams that open in the same millisecond at the same cursor are closed one by one."""
    opened = [OpenStream("t", "alice", 1, 0), OpenStream("t", "alice", 1, 0)]
    opened.remove(opened[1])
    opened[0].seq = 7
    opened.remove(opened[0])
    assert opened == []
