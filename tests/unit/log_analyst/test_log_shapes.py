"""Texts of one event have one shape, or are reconciled; texts of different events are not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_analyst.readers import reconciling
from log_analyst.readers.masking import Masker
from log_analyst.readers.reconciling import reconciled
from log_analyst.readers.shapes import VALUE, Shape, shape_of

shapes = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "lost", VALUE]), min_size=1, max_size=6).map(tuple)


def shape(text: str) -> Shape:
    return shape_of(Masker().text(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("session opened for user root by 0", "session opened for user news by 17"),
        ("Invalid user from 10.0.0.1", "Invalid user anna from 10.0.0.2"),
        ("stored block rdd_1_2 in 3 KB", "stored block broadcast_4 in 17 B"),
        ("missing nodes: n-1", "missing nodes: n-1 n-2 n-3 n-4"),
        ("acquired lock=12, ws=null", "acquired lock=7, ws=WorkSource{10}"),
        ("connected at Sun Jul 17 10:11:12 2005", "connected at Mon Aug 1 01:02:03 2005"),
        ("resolved build.office.example to 10.0.0.1", "resolved www.example.com to 10.0.0.2"),
        ("job shop.mail[4f2a9c1d] is done", "job shop.invoice[77] is done"),
        ("root@shop logged in", "[unknown]@db-1 logged in"),
        ("password for root from 10.0.0.1", "password for deploy from 10.0.0.2"),
        ("took 12 ms statement: SELECT note FROM orders", "took 9 ms statement: DELETE FROM baskets WHERE id = 4"),
        ("left host 10.0.0.1 mail=1 rcpt=2 data=1 commands=4", "left host 10.0.0.2 commands=0"),
        ("host 10.0.0.1 IN A asked", "host 10.0.0.2 CH asked"),
        ("server shop/shop1 left", "server images/img2 left"),
    ],
)
def test_values_are_no_part_of_a_shape(one: str, other: str) -> None:
    assert shape(one) == shape(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("upload finished status=ok", "upload finished status=failed"),
        ("caught java.io.IOException: no route", "caught java.net.ConnectException: no route"),
        ("VM started", "VM stopped"),
        ("check 5 failed", "check 5 passed"),
        ("link 5 UP", "link 5 NO"),
        ("query: timeout", "query: h1.example.com IN A"),
        ("left with rcpt=2 status=sent", "left with rcpt=2 status=deferred"),
    ],
)
def test_words_that_tell_what_happened_are_part_of_a_shape(one: str, other: str) -> None:
    assert shape(one) != shape(other)
    assert len(set(reconciled([shape(one), shape(other)])[0].values())) == 2


def test_a_place_with_many_words_varies_and_one_with_few_does_not() -> None:
    many = [shape(f"connection to {name} was lost") for name in ("db", "cache", "queue", "mail")]
    assert len(set(reconciled(many)[0].values())) == 1
    assert len(set(reconciled(many[:3])[0].values())) == 3
    assert reconciled(many[:3])[1] == set(many[:3])


def test_words_of_a_start_a_stop_or_a_fault_never_vary() -> None:
    states = [shape(f"the unit of shop has {word} now") for word in ("started", "stopped", "failed", "resumed", "died")]
    assert len(set(reconciled(states)[0].values())) >= 4


def test_words_in_capitals_never_vary() -> None:
    kinds = [
        shape(f"sending {kind} to {name}") for kind in ("CONNACK", "SUBACK", "PUBREC", "PUBACK") for name in "abcd"
    ]
    assert len(set(reconciled(kinds)[0].values())) == 4


def test_several_words_that_vary_at_once_are_found() -> None:
    rng = random.Random(4)

    def word() -> str:
        return "".join(rng.choices("bcdfghklmnp", k=6))

    found, variants = reconciled([shape(f"copied the file {word()} of volume {word()} to disk") for _ in range(40)])
    assert set(found.values()) == {("copied", "the", "file", VALUE, "of", "volume", VALUE, "to", "disk")}
    assert not variants


def test_errors_that_share_few_words_are_one_event_if_their_words_vary_without_end() -> None:
    rng = random.Random(4)
    words = ["".join(rng.choices("bcdfghklmnp", k=6)) for _ in range(120)]
    many = [shape(f"cannot {rng.choice(words)} the {rng.choice(words)} {rng.choice(words)}") for _ in range(90)]
    assert len(set(reconciled(many)[0].values())) == 1
    assert len(set(reconciled(many[:12])[0].values())) == 12


@given(st.lists(shapes, max_size=40))
def test_reconciling_keeps_the_length_and_only_replaces_words_by_values(some: list[Shape]) -> None:
    for one, general in reconciled(some)[0].items():
        assert len(one) == len(general)
        assert all(b in (a, VALUE) for a, b in zip(one, general, strict=True))


def test_the_steps_of_reconciling_grow_with_the_shapes_and_not_with_their_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = 0
    original = reconciling.alike

    def counted(one: Shape, other: Shape, share: float) -> bool:
        nonlocal steps
        steps += 1
        return original(one, other, share)

    monkeypatch.setattr(reconciling, "alike", counted)
    rng = random.Random(5)
    for count in (500, 4_000):
        steps = 0
        reconciled([("job", *("".join(rng.choices("abcdefgh", k=7)) for _ in range(5))) for _ in range(count)])
        assert steps <= 3 * 32 * count
