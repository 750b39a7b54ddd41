"""What authors, tools and graphs give becomes JSON, or is refused with the path of what cannot."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from tailrace.errors import NotJson, TooDeep
from tailrace.events import plain, without_surrogates


class Level(Enum):
    HIGH = "high"


class Place(BaseModel):
    name: str
    since: datetime


@dataclass
class Visit:
    place: Place
    tags: set[str]


class Array:
    """Stands for numpy's: the tests need no numpy."""

    def tolist(self) -> list[float]:
        return [0.5, 1.5]


class Unsayable(Exception):
    def __repr__(self) -> str:
        raise RuntimeError


class Undumped:
    def model_dump(self) -> Any:
        raise AttributeError


class Unasked:
    def __getattr__(self, name: str) -> Any:
        raise LookupError(name)


class Price(Decimal):
    pass


class Address(IPv4Address):
    pass


class Text(str):
    pass


class Number(int):
    pass


class Real(float):
    pass


class Bytes(bytes):
    pass


class Timestamp(datetime):
    pass


class Day(date):
    pass


class Clock(time):
    pass


class Length(timedelta):
    pass


class NotATime(datetime):
    """Stands for pandas' NaT."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = datetime.__hash__


PLACE = Place(name="Rome", since=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(2026, 1, 1), "2026-01-01"),
        (Decimal("1.5"), "1.5"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({1}, [1]),
        ((1, "a"), [1, "a"]),
        (b"x", "eA=="),
        (Level.HIGH, "high"),
        (PurePosixPath("/var/log"), "/var/log"),
        (OrderedDict(a=1), {"a": 1}),
        ({1: 2}, {"1": 2}),
        (Array(), [0.5, 1.5]),
        ([PLACE], [{"name": "Rome", "since": "2026-01-01T00:00:00Z"}]),
        (IPv4Address("10.0.0.1"), "10.0.0.1"),
        (ZoneInfo("Europe/Rome"), "Europe/Rome"),
        (ValueError("no"), "ValueError('no')"),
        (Visit(PLACE, {"a"}), {"place": {"name": "Rome", "since": "2026-01-01T00:00:00Z"}, "tags": ["a"]}),
    ],
)
def test_values_become_json(value: Any, expected: Any) -> None:
    assert msgspec.json.decode(msgspec.json.encode(plain(value, "It"))) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (AIMessage("text").text, "text"),
        (Text("text"), "text"),
        (Number(3), 3),
        (Real(0.5), 0.5),
        (Bytes(b"x"), "eA=="),
        (Timestamp(2026, 1, 1, 10, tzinfo=UTC), "2026-01-01T10:00:00Z"),
        (NotATime(2026, 1, 1), None),
        (Day(2026, 1, 1), "2026-01-01"),
        (Clock(10, 30), "10:30:00"),
        (Length(hours=1), "PT3600S"),
        (Price("1.50"), "1.50"),
        (Address("10.0.0.1"), "10.0.0.1"),
    ],
)
def test_a_value_of_a_subclass_becomes_what_one_of_its_base_does(value: Any, expected: Any) -> None:
    assert type(value) is not type(expected)
    assert msgspec.json.decode(msgspec.json.encode(plain({"a": [value]}, "It"))) == {"a": [expected]}


def test_a_document_of_langchain_becomes_json() -> None:
    assert plain(Document("text", metadata={"page": 1}), "It")["page_content"] == "text"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"rows": [{"o": object()}]}, "a value of type object at rows[0].o"),
        (threading.Lock(), "a value of type _thread.lock"),
        (Visit(PLACE, {threading.Lock()}), "a value of type _thread.lock at tags[0]"),  # type: ignore[arg-type]
        ({"a": {(1, 2): 3}}, "a value of type dict with a key of type tuple at a"),
    ],
)
def test_a_value_that_is_not_json_is_refused_with_its_path(value: Any, path: str) -> None:
    with pytest.raises(NotJson) as refused:
        plain(value, "The data")
    assert str(refused.value).startswith(f"The data has {path}, which JSON cannot hold")


@pytest.mark.parametrize("value", [Unsayable(), Undumped(), Unasked()], ids=lambda value: type(value).__name__)
def test_a_value_whose_methods_raise_is_refused_with_its_path(value: Any) -> None:
    with pytest.raises(NotJson, match=rf"a value of type \S+{type(value).__name__} at rows\[1\]"):
        plain({"rows": [1, value]}, "It")


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TooDeep):
        plain(loop, "It")


def test_half_characters_become_question_marks_wherever_they_are() -> None:
    assert without_surrogates({"a\ud83c": ["b\ud83c", 1, None]}) == {"a?": ["b?", 1, None]}
