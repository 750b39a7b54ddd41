from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.timestamps import DAY, Timestamps

REFERENCE = datetime(2024, 3, 5, tzinfo=UTC).timestamp()
MOMENT = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()

moments = st.integers(1_000_080_000 * 10**6, 4_102_358_400 * 10**6).map(
    lambda us: datetime.fromtimestamp(us / 1e6, UTC)
)


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("2024-01-02 03:04:05 x", MOMENT),
        ("2024-01-02T03:04:05Z x", MOMENT),
        ("2024-01-02 03:04:05,250 x", MOMENT + 0.25),
        ("2024-01-02 03:04:05.250 UTC [1] x", MOMENT + 0.25),
        ("2024-01-02T05:04:05+02:00 x", MOMENT),
        ("2024-01-01T22:04:05.5-0500 x", MOMENT + 0.5),
        ("2024/01/02 03:04:05 [error] x", MOMENT),
        ("[02/Jan/2024:03:04:05 +0000] x", MOMENT),
        ("[01/Jan/2024:20:04:05 -0700] x", MOMENT),
        ("[Tue Jan 02 03:04:05.123456 2024] x", MOMENT + 0.123456),
        ("Tue Jan  2 03:04:05 UTC 2024 x", MOMENT),
        ("Jan  2 03:04:05 host x", MOMENT),
        ("Jan 02 2024 03:04:05 host x", MOMENT),
        ("123:M 02 Jan 2024 03:04:05.678 * x", MOMENT + 0.678),
        ("02-Jan-2024 03:04:05.1 x", MOMENT + 0.1),
        ("1/2/2024 3:04:05 AM x", MOMENT),
        ("Jan 02, 2024 3:04:05 AM x", MOMENT),
        ("Jan 2, 2024 3:04:05 PM x", MOMENT + DAY / 2),
        ("1/2/2024, 3:04:05\u202fPM x", MOMENT + DAY / 2),
        ("02-01-2024 03:04:05 pm x", MOMENT + DAY / 2),
        ("02.01.2024  3:04:05 x", MOMENT),
        ("02.01.24 03:04:05 x", MOMENT),
        ("02.01.2024 03:04:05,5 x", MOMENT + 0.5),
        ("02-01-2024 03:04:05 x", MOMENT),
        ("2024-01-02 04:04:05.250 CET x", MOMENT + 0.25),
        ("Tue Jan  2 04:04:05 CET 2024 x", MOMENT),
        ("level=info ts=1704164645.000 x", MOMENT),
        ("13/1/2024 15:04:05 x", MOMENT + 11 * DAY + 12 * 3600),
        ("24/01/02 03:04:05 INFO x", MOMENT),
        ("20240102T030405Z x", MOMENT),
        ("I0102 03:04:05.000000 12 main.go:1] x", MOMENT),
        ("01-02 03:04:05.000 123 456 I tag: x", MOMENT),
        ("1704164645 x", MOMENT),
        ("1704164645.25 x", MOMENT + 0.25),
        ("1704164645000 x", MOMENT),
        ("INFO  [2024-01-02 03:04:05] x", MOMENT),
        ("time=2024-01-02T03:04:05Z level=info msg=x", MOMENT),
    ],
)
def test_a_time_is_found(line: str, seconds: float) -> None:
    found = Timestamps(REFERENCE).find(line)
    assert found is not None
    assert found.seconds == pytest.approx(seconds, abs=1e-5)
    assert line[found.end :].endswith("x")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no time at all",
        "2024-13-02 03:04:05 no such month",
        "2023-02-29 03:04:05 no such day",
        "2024-01-02 25:04:05 no such hour",
        "version 1.2.3 took 03:04:05",
        "order 1704164645123456 is a number, not a time",
        " " * 80 + "2024-01-02 03:04:05 too far right",
    ],
)
def test_text_without_a_time_gives_none(line: str) -> None:
    assert Timestamps(REFERENCE).find(line) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1704164645, MOMENT),
        (1704164645000, MOMENT),
        (1704164645000000, MOMENT),
        (1704164645.5, MOMENT + 0.5),
        ("1704164645", MOMENT),
        ("2024-01-02T03:04:05Z", MOMENT),
        ("soon", None),
        (12, None),
        (True, None),
        (None, None),
        ({"a": 1}, None),
        (10**40, None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_a_field_holds_a_time_or_none(value: object, seconds: float | None) -> None:
    assert Timestamps(REFERENCE).value(value) == seconds


@given(moments, st.integers(-12 * 60, 14 * 60))
def test_an_iso_time_round_trips_in_any_zone(moment: datetime, minutes: int) -> None:
    written = moment.astimezone(timezone(timedelta(minutes=minutes))).isoformat()
    found = Timestamps(REFERENCE).find(f"{written} something")
    assert found is not None
    assert found.seconds == pytest.approx(moment.timestamp(), abs=1e-4)
    assert found.end == len(written)


@given(
    moments,
    st.sampled_from(["%d/%b/%Y:%H:%M:%S +0000", "%Y/%m/%d %H:%M:%S", "%a %b %d %H:%M:%S %Y", "%d %b %Y %H:%M:%S"]),
)
def test_other_dated_times_round_trip(moment: datetime, form: str) -> None:
    found = Timestamps(REFERENCE).find(f"{moment.strftime(form)} something")
    assert found is not None
    assert found.seconds == int(moment.timestamp())


@given(st.integers(825_638_400, 3_981_484_800), st.floats(0, 360))
def test_a_time_without_a_year_gets_the_newest_year_that_fits(seconds: int, days: float) -> None:
    reference = datetime.fromtimestamp(seconds, UTC)
    moment = reference - timedelta(days=days)
    found = Timestamps(reference.timestamp()).find(moment.strftime("%b %d %H:%M:%S host x"))
    assert found is not None
    if (moment.month, moment.day) != (2, 29):
        assert found.seconds == int(moment.timestamp())
    assert found.seconds <= reference.timestamp() + DAY


def test_december_read_in_january_is_last_year() -> None:
    reference = datetime(2024, 1, 1, 8, tzinfo=UTC).timestamp()
    found = Timestamps(reference).find("Dec 31 23:59:58 host x")
    assert found is not None
    assert found.seconds == datetime(2023, 12, 31, 23, 59, 58, tzinfo=UTC).timestamp()


def test_a_time_in_the_message_of_a_later_line_does_not_make_it_an_entry() -> None:
    stamps = Timestamps(REFERENCE)
    assert stamps.find("2024-01-02 03:04:05 ERROR duplicate key") is not None
    assert stamps.find("DETAIL: Key (created_at)=(2024-01-02 03:04:05) exists") is None


@given(st.text(max_size=200))
def test_no_text_is_an_error(text: str) -> None:
    stamps = Timestamps(REFERENCE)
    for line in (text, f"2024-01-02 03:04:05 {text}", text[::-1]):
        found = stamps.find(line)
        assert found is None or 0 <= found.start < found.end <= len(line)
    stamps.value(text)
