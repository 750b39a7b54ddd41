"""Bad input: each gets an answer, what can be read is read, and the report says what was not."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.inputs.request import File, Request
from tests.unit.log_analyst.log_fixtures import MINUTE, T0, app_line, asked, file, run, steady, syslog_line, text_of

STEADY = steady(app_line, end=T0 + 10 * MINUTE)
LOG = text_of(STEADY)


def test_a_log_without_times_has_templates_and_no_findings() -> None:
    lines = [f"ERROR disk {n} failed" if n % 10 == 0 else f"reading block {n} of file" for n in range(1000)]
    ran = run(asked(file("\n".join(lines))))
    assert ran.findings == []
    assert {t["template"]: t["count"] for t in ran.templates} == {
        "ERROR disk <num> failed": 100,
        "reading block <num> of file": 900,
    }
    assert all(t["first"] is None and t["last"] is None for t in ran.templates)
    assert "nothing can be called new, rare, bursting or gone" in ran.report


def test_what_is_no_log_is_skipped_with_a_note_beside_the_logs() -> None:
    metrics = "time,cpu\n" + "".join(f"2024-03-05T09:{m:02d}:00Z,{m}\n" for m in range(30))
    ran = run(asked(file("", "nil.log"), file("\ufffd\x01\x02" * 999, "core"), file(metrics, "cpu.csv"), file(LOG)))
    for words in ("nil.log: empty", "core: binary", "cpu.csv: a table of numbers"):
        assert words in ran.report.replace("\\", "")
    assert sum(t["count"] for t in ran.templates) == len(STEADY)


def test_ten_thousand_tiny_files_are_one_log() -> None:
    rng = random.Random(2)
    files = [file(app_line(rng, T0 + n), f"pod-{rng.getrandbits(40):010x}.log") for n in range(10_000)]
    ran = run(asked(*files))
    assert sum(t["count"] for t in ran.templates) == 10_000
    assert ran.findings == []
    assert "9,995 more" in ran.report
    assert len(ran.report) < 20_000


def test_a_line_of_a_megabyte_is_cut_and_noted() -> None:
    ran = run(asked(file(LOG + app_line(random.Random(1), T0 + 11 * MINUTE, "ERROR", "x" * 1_000_000) + "\n" + LOG)))
    assert sum(t["count"] for t in ran.templates) == 2 * len(STEADY) + 1
    assert "1 very long line was cut" in ran.report
    assert max(len(t["example"]) for t in ran.templates) <= 300
    assert len(ran.report) < 20_000


def test_line_ends_marks_and_colours_make_no_difference() -> None:
    plain = run(asked(file(LOG))).artifact
    windows = run(asked(file("\ufeff" + text_of(STEADY, end="\r\n")))).artifact
    coloured = run(asked(file(LOG.replace(" INFO ", " \x1b[32mINFO\x1b[0m ").replace("WARN", "\x1b[1;33mWARN\x1b[0m"))))
    assert windows == plain
    assert coloured.artifact == plain


def test_mixed_encodings_are_read() -> None:
    text = LOG + "".join(
        f"{when} ERROR caf\ufffd ferm\ufffd {n}\n" for n, when in enumerate(["2024-03-05 09:09:00"] * 9)
    )
    ran = run(asked(file(text)))
    assert any(t["template"] == "ERROR caf\ufffd ferm\ufffd <num>" and t["count"] == 9 for t in ran.templates)


def test_a_few_lines_are_shown_but_not_judged() -> None:
    ran = run(asked(file("2024-03-05 09:00:00 INFO a b c\n2024-03-05 09:00:01 ERROR all lost\n")))
    assert ran.findings == []
    assert "ERROR all lost" in ran.report
    assert "few lines" in ran.report


def test_a_broken_clock_is_survived() -> None:
    lines = LOG + "1999-01-01 00:00:00,000 INFO [shop.web] hello\n" + "2098-01-01 00:00:00,000 INFO [shop.web] hello\n"
    ran = run(asked(file(lines), alert=(T0 + 8 * MINUTE, T0 + 9 * MINUTE)))
    assert ran.findings == []
    assert sum(t["count"] for t in ran.templates) == len(STEADY) + 2


def test_lines_in_disorder_are_put_in_order() -> None:
    lines = [line + "\n" for _, line in STEADY]
    random.Random(1).shuffle(lines)
    assert run(asked(file("".join(lines)))).findings == []


def test_odd_alerts_are_survived() -> None:
    for start, end in ((T0 + 500, T0 + 100), (-1e18, 1e18), (T0 + 300, T0 + 300), (1e300, 1e300), (0, 0)):
        assert run(asked(file(LOG), alert=(start, end))).findings == []
        assert run(asked(file(text_of(steady(syslog_line, end=T0 + 600))), alert=(start, end))).findings == []


def test_markdown_in_names_and_lines_stays_text() -> None:
    line = "ERROR ```\u2028<script>alert(1)</script> | a `b` | c"
    name = "a|b`c](http://x) <img>.log"
    ran = run(asked(file(f"2024-03-05 09:00:00 {line}\n" * 3, name), file("", name)))
    for row in [row for row in ran.report.split("\n") if row.startswith("| ")]:
        assert row.count("|") == 5
    assert "](http" not in ran.report.replace("\\](http", "").replace("`a¦b'c](http://x) <img>.log`", "")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=300),
            st.text(max_size=50).map(lambda text: LOG[:2000] + text + LOG[1000:3000]),
            st.binary(max_size=300).map(lambda junk: junk.decode(errors="replace")),
        ),
        max_size=4,
    ),
    st.text(max_size=60),
)
def test_no_content_is_an_error(contents: list[str], words: str) -> None:
    files = [File(filename=f"f{n}", media_type="text/plain", text=text) for n, text in enumerate(contents)]
    request = Request(text=words + "\n" + LOG[:1500], data=[], files=files)
    ran = run(request)
    assert ran.report.startswith("## Logs")
