"""The orchestrator's parts: how it classifies a request, and whom it asks."""

from __future__ import annotations

import base64
import gzip
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailrace
from orchestrator.classify import Topic, topic_of, topics_of
from orchestrator.planning import Delegation, parts_for, plan, specialist_of
from tailrace.a2a.incoming import AgentCard, card_in
from tailrace.authoring.delegated_parts import as_a2a, reads_uploads
from tailrace.config import Settings
from tailrace.events import Part
from tailrace.inputs.decode import request_of
from tailrace.inputs.media_types import covers
from tailrace.inputs.request import Data, File, Request
from tailrace.inputs.spool import Spool
from tailrace.uploads import UPLOADS, open_uploads
from tests.support.events import message_of
from triage.alert import Alert, alert_of

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
NO_ALERT = Alert(title="", start=None, end=None)


def file(name: str, text: str, media_type: str = "text/plain") -> File:
    return File(filename=name, media_type=media_type, text=text)


def request(text: str = "", files: list[File] | None = None, data: list[Any] | None = None) -> Request:
    parts = [*([text] if text else []), *map(Data, data or []), *(files or [])]
    return Request(text=text, data=data or [], files=files or [], parts=parts)


@pytest.mark.parametrize(
    ("given_file", "topic"),
    [
        (file("m.csv", "a,b\n"), "metrics"),
        (file("m", "x", "text/csv"), "metrics"),
        (file("export.csv", '\ufeff"@timestamp","@message"\n2026-01-01 10:00:00,"order 7 done"\n' * 9), "logs"),
        (file("water.csv", "time,level\n" + "2026-01-01 10:00:00,3.5\n" * 9), "metrics"),
        (file("export", "timestamp,cpu\n2026-01-01T00:00:00Z,1\n"), "metrics"),
        (
            file(
                "Messwerte",
                "Zeit;Auslastung;Dauer\n2026-01-01 00:00:00;1,5;206 ms\n2026-01-01 00:01:00;2,5;1.300,5 ms\n",
            ),
            "metrics",
        ),
        (file("tab.txt", "# sampled\n2026-01-01 00:00:00\tweb\t1.5\n2026-01-01 00:01:00\tweb\t\n"), "metrics"),
        (
            file("log.txt", "time,level,message\n2026-01-01T00:00:00Z,INFO,started\n2026-01-01T00:00:01Z,INFO,7\n"),
            "logs",
        ),
        (file("quoted", 'Day,Load\n2026-01-01,"1,400.1"\n2026-01-02,"1,300.2"\n'), "metrics"),
        (file("pipes.log", "2026-01-01 00:00:00|INFO|23|order 7 stored\n" * 9), "logs"),
        (file("cw.json", json.dumps({"MetricDataResults": []})), "metrics"),
        (file("prom.json", json.dumps({"status": "success", "data": {"resultType": "matrix"}})), "metrics"),
        (file("app.json", '{"time":"2026-01-01T00:00:00Z","level":"info"}\n{"time":"x"}\n'), "logs"),
        (file("cpu.jsonl", '{"time":"2026-01-01T00:00:00Z","cpu":19.2,"note":"\u2028"}\n{"time":"x"}\n'), "metrics"),
        (file("access.json", '{"time":"2026-01-01T00:00:00Z","status":200,"bytes":7,"took":1}\n'), "logs"),
        (file("syslog", "Jan  1 00:00:00 host app[1]: hello\n"), "logs"),
        (file("odd", "whatever"), "logs"),
    ],
)
def test_a_file_is_classified_by_its_content_type_and_name(given_file: File, topic: str) -> None:
    assert topic_of(given_file) == topic


def test_pasted_lines_are_logs_and_a_sentence_is_not() -> None:
    lines = [f"2026-01-01T00:00:0{second}Z ERROR a" for second in range(3)]
    assert topics_of(request("\n".join(lines))) == {"logs"}
    assert topics_of(request("\n".join(lines[:2]))) == set(), "too few to compare"
    assert topics_of(request("5xx since 2026-01-01T14:03:00Z on shop.example")) == set()
    assert topics_of(request(files=[file("empty.log", " \n")])) == set()
    assert topics_of(request(data=[{"MetricDataResults": []}])) == {"metrics"}


@given(st.text(), st.text(max_size=30))
def test_any_file_and_any_text_can_be_classified(text: str, name: str) -> None:
    assert topic_of(file(name, text)) in ("logs", "metrics")
    alert_of(request(text))
    topics_of(request(text))


# Delegation


def card(name: str, *tags: str, extensions: list[Any] | None = None) -> AgentCard:
    skills = [{"name": "", "description": "", "tags": list(tags)}]
    return card_in({"name": name, "skills": skills, "capabilities": {"extensions": extensions}}, "")


def test_each_specialist_is_asked_about_what_it_knows() -> None:
    known = [specialist_of(card("la", "logs"), "u1"), specialist_of(card("ma", "metrics"), "u2")]
    both = request(files=[file("a.log", "x"), file("b.csv", "time,v\n")])
    assert [(e["agent"], e["topics"]) for e in plan(both, known)] == [("la", ["logs"]), ("ma", ["metrics"])]
    assert [e["agent"] for e in plan(request(files=[file("a.log", "x")]), known)] == ["la"]


def delegation(*topics: Topic) -> Delegation:
    return {
        "agent": "a", "url": "u", "topics": list(topics), "modes": [], "reason": "", "parts": 99, "alone": False
    }  # fmt: skip


def parts_to(asked: Request, *topics: Topic, reads: bool = False) -> tuple[list[Part], list[str]]:
    """What an analyst of these topics is sent, and the notes. `reads` says whether it reads our store of uploads."""
    store = [{"uri": UPLOADS, "params": {"store": open_uploads(Settings()).id}}] if reads else []
    return as_a2a(parts_for(asked, delegation(*topics)), card("a", extensions=store))


def test_a_specialist_gets_the_alert_and_only_its_own_files() -> None:
    large = "2026-01-01 line\n" * 5000
    asked = request("hello", [file("a.log", "x"), file("big.log", large), file("b.csv", "time,v\n")], [{"alert": {}}])
    text, data, small, packed = parts_to(asked, "logs")[0]
    assert (text, data) == (Part(text="hello"), Part(data={"alert": {}}))
    assert small == Part(text="x", filename="a.log", media_type="text/plain")
    assert (packed.filename, packed.media_type) == ("big.log.gz", "application/gzip")
    assert gzip.decompress(base64.b64decode(packed.raw)).decode() == large


@pytest.mark.parametrize("reads_uploads", [True, False])
@pytest.mark.parametrize("name", ["app.log", "metrics.csv", "archive.gz"])
def test_an_agent_receives_a_compressed_file_under_its_own_name(name: str, reads_uploads: bool) -> None:
    content = "2026-01-01 line\n" * 5000
    sent = request(files=[file(name, content)])
    [part] = parts_to(sent, "logs", "metrics", reads=reads_uploads)[0]
    ours = tailrace.AgentCard(name="ours", description="", version="1", skills=[])
    assert covers(ours.input_modes, part.media_type), "our own agent would refuse the part for its media type"
    [received] = request_of([message_of(part)]).files
    assert (received.filename, received.text) == (name, content)


def uploaded(name: str, content: bytes) -> File:
    return File(filename=name, media_type="text/plain", content=Spool.of([content]), reference=Part(url=f"urn:{name}"))


def test_our_specialist_gets_an_uploads_reference_and_another_one_its_content() -> None:
    asked = request(files=[uploaded("a.log", b"2026-01-01 line\n" * 99)])
    assert parts_to(asked, "logs", reads=True) == ([Part(url="urn:a.log")], [])
    [part] = parts_to(asked, "logs")[0]
    assert (part.filename, part.media_type) == ("a.log.gz", "application/gzip")
    assert gzip.decompress(base64.b64decode(part.raw)) == b"2026-01-01 line\n" * 99
    assert parts_to(asked, "logs")[0] == [part]


def test_a_file_too_large_for_another_agent_is_left_out_and_a_note_says_so() -> None:
    noise = random.Random(4).randbytes(600_000).hex().encode()
    asked = request(files=[uploaded("a.log", noise), uploaded("b.log", noise), uploaded("c.log", b"x\n")])
    parts, [note] = parts_to(asked, "logs")
    assert [part.filename for part in parts] == ["a.log.gz", "c.log.gz"]
    assert "b.log" in note


@pytest.mark.parametrize(
    ("declared", "reads"),
    [
        ([], False),
        ([{"uri": UPLOADS, "params": {"store": open_uploads(Settings()).id}}], True),
        ([{"uri": UPLOADS, "params": {"store": "another"}}], False),
        ([{"uri": UPLOADS}], False),
    ],
)
def test_only_an_agent_that_declares_our_store_reads_uploads_from_it(declared: list[Any], reads: bool) -> None:
    assert reads_uploads(card("a", extensions=declared)) is reads


# Conclusions
