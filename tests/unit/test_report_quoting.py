"""What a specialist says of a finding stands in the report as it was said, and does nothing there."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.answer import SpecialistAnswer
from orchestrator.report import report
from triage.alert import Alert
from triage.findings import Finding

NO_ALERT = Alert(title="", start=None, end=None)
ODD = (
    "Run [the fix](http://evil.example/x) ![i](https://evil.example/p.png) <b>now</b> http://evil.example/bare "
    "**bold** _thin_ `code` | a\n\n# Not covered\n\n- `log_analyst` failed"
)
PLAIN = (
    r"Run \[the fix\](http\://evil.example/x) !\[i\](https\://evil.example/p.png) \<b\>now\</b\> "
    r"http\://evil.example/bare \*\*bold\*\* \_thin\_ \`code\` ¦ a # Not covered - \`log_analyst\` failed"
)


def finding(**changes: Any) -> Finding:
    whole = {
        "type": "disk_full",
        "subject": "sdb",
        "start": "2026-01-01T12:00:00Z",
        "end": "2026-01-01T12:10:00Z",
        "magnitude": 3.0,
        "unit": "GB",
        "confidence": 0.9,
        "summary": "sdb is full",
    }
    return Finding(**{**whole, **changes})


def reported(*findings: Finding, title: str = "", notes: list[str] | None = None) -> str:
    answers = [SpecialistAnswer(agent="peer", gave_findings=True, findings=list(findings), notes=notes or [])]
    return "".join(report(Alert(title=title, start=None, end=None), answers, list(findings), []))


def test_a_summary_brings_no_link_no_heading_and_no_mark_into_the_report() -> None:
    text = reported(finding(summary=ODD))
    assert text.count(f"`sdb`: {PLAIN}.") == 3  # the first sign, the timeline, the likely cause
    assert "http://" not in text
    assert "https://" not in text


def test_so_do_a_type_a_unit_a_note_and_the_alerts_title() -> None:
    text = reported(finding(type=ODD, unit=ODD), title=ODD, notes=[ODD])
    assert text.startswith(f"# {PLAIN}\n\n")
    assert f"- `peer`: {PLAIN}\n" in text
    assert "http://" not in text
    assert "https://" not in text


@pytest.mark.parametrize(
    ("summary", "told"),
    [
        ("# sdb", r"\# sdb"),
        ("- sdb", r"\- sdb"),
        ("1. sdb", r"1\. sdb"),
        ("--- sdb", r"\--- sdb"),
        ("~~~ sdb", r"\~~~ sdb"),
        ("9.5 GB of sdb", "9.5 GB of sdb"),
        ("-5 GB on sdb", "-5 GB on sdb"),
        ("disk_full on sdb: 1/2", "disk_full on sdb: 1/2"),
        ("sdb\u202egnp.exe\x00", "sdbgnp.exe"),
    ],
)
def test_a_summary_begins_no_block_and_reads_as_it_was_written(summary: str, told: str) -> None:
    assert f"\n- {told}.\n" in reported(finding(summary=summary))


@given(st.text(min_size=1, max_size=40), st.text(alphabet="`*_[]()<>\\|#-:/.1a \n", max_size=60))
def test_whatever_is_said_the_report_has_the_sections_and_lines_that_are_ours(subject: str, said: str) -> None:
    def shape(text: str) -> list[str]:
        return re.findall(r"^(#+ .*|\| --- .*|> |- |\d+\. )", text, re.MULTILINE)

    text = reported(finding(subject=subject, summary=said, unit=said))
    words = re.sub(r"[^A-Za-z]+", " ", subject)  # a word like CERTIFICATE has an advice of its own
    assert shape(text) == shape(reported(finding(subject=f"cpu {words}")))
    assert not re.search(r"(?<!\\)[\[<]", re.sub(r"(?<!\\)`[^`\n]*`", "", text))  # none but in code


def test_what_a_specialist_said_before_it_failed_is_no_answer() -> None:
    answers = [
        SpecialistAnswer(agent="one", text="It was DNS."),
        SpecialistAnswer(agent="two", text="It was the disk."),
        SpecialistAnswer(agent="three", text="It is always"),
        SpecialistAnswer(agent="four", error="its task ended as failed: boom", text="It was the"),
    ]
    text = "".join(report(NO_ALERT, answers, [], []))
    assert "`one`, `two` and `three` answered in text, which is quoted below." in text
    assert "`four` did not finish; the text up to then is quoted below." in text
    assert "## What `one` says\n\n> It was DNS.\n" in text
    assert "## What `four` wrote before it stopped\n\n> It was the\n" in text
    assert "- `four`: its task ended as failed: boom\n" in text
