"""Headers are found by their place, so that a template is made of the message alone."""

from __future__ import annotations

import random

import pytest

from log_analyst.readers import levels
from log_analyst.readers.entry import Entry
from log_analyst.readers.header import header_of
from log_analyst.readers.mining import Miner
from log_analyst.readers.reading import LogReader
from log_analyst.readers.sources import Source
from tailrace.inputs.text import Text
from tests.unit.log_analyst.log_fixtures import T0, when

MESSAGES = (
    "opened the store with {n} segments",
    "closing",
    "cannot reach the peer, next try in {n} s",
    "block {n} was sent to another volume because this one is full",
    "peer answered after {n} ms",
    "elected a new leader in round {n}",
    "nothing to compact",
    "read {n} of {n} pages from the cache before it was dropped",
)
FORMS = (
    "{day} {clock} {pid} INFO dfs.Volume: {message}",
    "{day} {clock},120 [myid:{pid}] - WARN  [worker-{pid}:Store@{pid}] - {message}",
    "{day} {clock} INFO [main] org.shop.store.Volume: {message}",
    "{day} {clock}.120 {pid} {pid} D StoreManager: {message}",
    "- {epoch} node-{pid} RAS KERNEL INFO {message}",
    "{pid} node-{pid} unix.hw store.state {epoch} 1 {message}",
    "[{day} {clock}] store.exe - host-{pid}.example.com:80 {message}",
    "{day} {clock}|Store_Vol|{pid}|{message}",
    "{day} {clock}, Info                  VOL    {message}",
    "store.log {day} {clock} {pid} INFO store.volume [req-{pid} {pid} - -] {message}",
)


def lines(form: str) -> tuple[list[str], list[str]]:
    """Return lines of a form, and the message of each without its numbers."""
    rng = random.Random(3)
    made, events = [], []
    for second in range(400):
        at, message = T0 + second, rng.choice(MESSAGES)
        events.append(message)
        made.append(
            form.format(
                day=when(at, "%Y-%m-%d"),
                clock=when(at, "%H:%M:%S"),
                epoch=int(at),
                pid=rng.randrange(1_000, 30_000),
                message=message.format(n=rng.randrange(10**5)),
            )
        )
    return made, events


@pytest.mark.parametrize("form", FORMS)
def test_each_message_is_one_template_whatever_is_before_it(form: str) -> None:
    made, events = lines(form)
    miner = Miner()
    for number, record in enumerate(LogReader(Source("x", Text("\n".join(made)), "x"), T0)):
        assert record.entry.time == pytest.approx(T0 + number, abs=1)
        miner.add(record.entry, number, (0, record.start, record.end))
    found = [{events[line] for line in template.streams} for template in miner.templates()]
    assert sorted(map(len, found)) == [1] * len(MESSAGES)


def test_a_header_has_the_level_of_its_line() -> None:
    texts = [f"[worker-{n}] {'error' if n % 9 == 0 else 'info'} shop.Orders - order {n} is {n % 7}" for n in range(40)]
    header = header_of(texts)
    assert header is not None
    entries = [header.read(Entry(None, levels.UNKNOWN, text)) for text in texts]
    assert [entry.level == levels.ERROR for entry in entries] == [n % 9 == 0 for n in range(40)]
    assert {entry.text[entry.header :].split(" ")[0] for entry in entries} == {"order"}


@pytest.mark.parametrize(
    "texts",
    [
        [f"started unit {n}" if n % 2 else f"stopped unit {n}" for n in range(60)],
        [f"user {name} logged in" for name in ("anna", "bert", "carl", "dora", "emil", "fritz") * 9],
        [f"{verb} of job {n} took {n} s" for n in range(60) for verb in ("start", "end")],
    ],
)
def test_the_words_of_messages_are_no_header(texts: list[str]) -> None:
    assert header_of(texts) is None


def test_a_template_shows_the_words_that_the_headers_of_all_its_lines_have() -> None:
    text = "\n".join(
        f"{when(T0 + n, '%Y-%m-%d %H:%M:%S')} {n} INFO [worker] {'cart' if n % 2 else 'shop'}.Orders: "
        + ("all is well" if n % 3 else f"order {n} stored in time")
        for n in range(60)
    )
    miner = Miner()
    for record in LogReader(Source("x", Text(text), "x"), T0):
        miner.add(record.entry, 0, (0, 0, 0))
    assert {template.text for template in miner.templates()} == {
        "INFO [worker] all is well",
        "INFO [worker] order <num> stored in time",
    }
