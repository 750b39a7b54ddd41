from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_analyst.readers import levels
from log_analyst.readers.formats import parsers
from log_analyst.readers.reading import LogReader
from log_analyst.readers.sources import Source
from tailrace.inputs.text import Text
from tests.unit.log_analyst.log_fixtures import MAKERS, T0, access_line, nginx_error_line
from triage.timestamps import Timestamps

REFERENCE = datetime(2024, 3, 6, tzinfo=UTC).timestamp()
APACHE_ERROR = (
    "[Tue Mar 05 09:00:00.123456 2024] [proxy:error] [pid 35708:tid 4328636416] [client 72.15.99.187:1234] "
    "AH00957: HTTP: attempt to connect to 127.0.0.1:9000 failed"
)


def parse(name: str, line: str) -> tuple[float | None, int, str] | None:
    entry = parsers()[name](line, Timestamps(REFERENCE))
    return None if entry is None else (entry.time, entry.level, entry.text)


def test_the_text_of_an_access_line_is_its_request_and_status() -> None:
    line = access_line(random.Random(1), T0, route="/api/orders/17", status=502)
    assert parse("access log", line) == (T0, levels.ERROR, f"GET {line.split()[6]} 502")


def test_a_common_line_with_a_user_and_a_virtual_host_is_read() -> None:
    line = 'shop:443 10.0.0.1 - frank [05/Mar/2024:11:00:00 +0200] "POST /login HTTP/1.0" 429 - "-" "curl" 0.031'
    assert parse("access log", line) == (T0, levels.WARNING, "POST /login 429")


@pytest.mark.parametrize("request_line", ["", "-", r"\x16\x03\x01", 'GET \\"x', "quit"])
def test_an_access_line_without_an_http_request_is_kept(request_line: str) -> None:
    line = f'10.0.0.1 - - [05/Mar/2024:09:00:00 +0000] "{request_line}" 400 0 "-" "-"'
    parsed = parse("access log", line)
    assert parsed is not None
    assert parsed[0] == T0
    assert parsed[2].endswith(" 400")


def test_an_nginx_error_leaves_out_the_client_and_the_request() -> None:
    assert parse("nginx error log", nginx_error_line(random.Random(1), T0)) == (
        T0,
        levels.ERROR,
        "ERROR connect() failed (111: Connection refused) while connecting to upstream",
    )


def test_an_apache_error_has_its_module() -> None:
    assert parse("Apache error log", APACHE_ERROR) == (
        T0 + 0.123456,
        levels.ERROR,
        "ERROR proxy: AH00957: HTTP: attempt to connect to 127.0.0.1:9000 failed",
    )


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        ("<34>Mar  5 09:00:00 web su[123]: 'su root' failed", levels.CRITICAL, "CRITICAL su: 'su root' failed"),
        ("Mar  5 09:00:00 web kernel: eth0 up", levels.UNKNOWN, "kernel: eth0 up"),
        ("2024-03-05T10:00:00.000+01:00 web sshd[1]: ok", levels.UNKNOWN, "sshd: ok"),
    ],
)
def test_syslog_is_read_with_and_without_a_priority(line: str, level: int, text: str) -> None:
    assert parse("syslog", line) == (T0, level, text)


def test_rfc_5424_syslog_is_read_without_its_structured_data() -> None:
    line = '<11>1 2024-03-05T09:00:00Z web shop 811 ID47 [a@1 b="c\\"]"][d@2] \ufeffcard declined'
    assert parse("syslog (RFC 5424)", line) == (T0, levels.ERROR, "ERROR shop: card declined")


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        ('{"ts": 1709629200, "level": 50, "msg": "boom"}', levels.ERROR, "ERROR boom"),
        ('{"@timestamp":"2024-03-05T09:00:00Z","log.level":"WARN","message":"slow"}', levels.WARNING, "WARNING slow"),
        (
            '{"time":"2024-03-05T09:00:00Z","severity":"error","logger":"db","message":"lost",'
            '"exc_info":"Traceback (most recent call last):\\n  File x\\nOSError: gone"}',
            levels.ERROR,
            "ERROR db: lost | OSError: gone",
        ),
        ('{"time":"2024-03-05T09:00:00Z","log":"INFO hi\\n","stream":"stderr"}', levels.UNKNOWN, "INFO hi"),
        ('{"time":"2024-03-05T09:00:00Z","level":"info","a":1,"kind":"tick"}', levels.INFO, "INFO a=1 kind=tick"),
        ('{"timestamp":1709629200000,"method":"get","path":"/a","status":503}', levels.ERROR, "GET /a 503"),
        ('{"timestamp":1709629200000,"message":"2024 was a year"}', levels.UNKNOWN, "2024 was a year"),
    ],
)
def test_json_lines_are_read_by_the_names_loggers_use(line: str, level: int, text: str) -> None:
    assert parse("JSON lines", line) == (T0, level, text)


@pytest.mark.parametrize("line", ["{", '{"a": NaN}', "{}}", '{"a":' * 5000, '{"a": 1e999}', "[1]", '{"status": "x"}'])
def test_a_line_that_only_looks_like_json_is_no_json_line(line: str) -> None:
    parsed = parse("JSON lines", line)
    assert parsed is None or parsed[0] is None


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("2024-03-05 09:00:00 ERROR x", levels.ERROR),
        ("[error] x", levels.ERROR),
        ("level=warn msg=x", levels.WARNING),
        ("the upstream refused", levels.WARNING),
        ("finished with 0 errors", levels.INFO),
        ("finished without errors", levels.INFO),
        ("all is well", levels.INFO),
        ("PANIC: x", levels.CRITICAL),
        ('level=info msg="an ERROR of the past"', levels.INFO),
        ("[WRN] x", levels.WARNING),
        ("fail: shop.Orders[0]", levels.ERROR),
        ("fail to see the point", levels.INFO),
    ],
)
def test_the_level_is_found_in_the_words_of_a_line(text: str, level: int) -> None:
    assert levels.level_in(text) == level


@pytest.mark.parametrize("name", MAKERS)
def test_each_format_is_recognised(name: str) -> None:
    rng = random.Random(4)
    text = "".join(MAKERS[name](rng, T0 + at) + "\n" for at in range(50))
    reading = LogReader(Source("x", Text(text), "x"), REFERENCE)
    records = list(reading)
    assert reading.format == name
    assert [record.entry.time for record in records] == pytest.approx([T0 + at for at in range(50)], abs=0.01)


@given(st.text(max_size=300), st.sampled_from(sorted(parsers())))
def test_no_text_is_an_error_for_any_parser(text: str, name: str) -> None:
    parsers()[name](text, Timestamps(REFERENCE))


@given(st.binary(max_size=200), st.integers(0, 300), st.randoms(use_true_random=False))
def test_no_damaged_line_is_an_error_for_any_parser(junk: bytes, at: int, rng: random.Random) -> None:
    lines = [
        APACHE_ERROR,
        access_line(rng, T0),
        nginx_error_line(rng, T0),
        *(make(rng, T0) for make in MAKERS.values()),
    ]
    for line in lines:
        damaged = line[:at] + junk.decode("utf-8", errors="replace") + line[at + len(junk) :]
        for parser in parsers().values():
            entry = parser(damaged, Timestamps(REFERENCE))
            assert entry is None or entry.level in range(-1, 6)
