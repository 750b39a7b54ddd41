"""Any answer of another agent is in the report, and nothing that the agent did not say."""

from __future__ import annotations

import random
import re
import string
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.answer import SpecialistAnswer, answer_of, together
from orchestrator.report import report
from orchestrator.sections import only_text, sections
from tailrace.a2a.incoming import Task, task_in
from tailrace.authoring.answer import answer_in, failure_of
from tailrace.errors import AgentError
from triage.alert import Alert
from triage.findings import in_order
from triage.markdown import plain

FINDING = {
    "type": "new_template", "subject": "pool", "start": "2026-11-20T11:00:00Z", "end": "2026-11-20T11:10:00Z",
    "magnitude": 5, "unit": "lines", "confidence": 0.9, "summary": "The pool is exhausted", "evidence": {},
}  # fmt: skip
TEXT = "Disk sdb is full since 11:00; clean /var."


def task(state: str = "TASK_STATE_COMPLETED", artifacts: Any = None, message: Any = None) -> Task:
    given = {"id": "t", "status": {"state": state, "message": message}, "artifacts": artifacts}
    return task_in(given, "http://peer/")


def artifact(*parts: Any, name: str = "answer") -> dict[str, Any]:
    return {"artifactId": name, "name": name, "parts": list(parts)}


def answered(*artifacts: Any, message: Any = None, error: str | None = None) -> SpecialistAnswer:
    return answer_of(answer_in("peer", task(artifacts=list(artifacts), message=message), []), error)


def found(*findings: Any, **rest: Any) -> SpecialistAnswer:
    return answered(artifact({"data": {"findings": list(findings), **rest}}))


def reported(*answers: SpecialistAnswer, title: str = "") -> str:
    findings = in_order(finding for answer in answers for finding in answer.findings)
    return "".join(report(Alert(title=title, start=None, end=None), list(answers), findings, []))


# Text


@pytest.mark.parametrize(
    "answer",
    [
        answered(artifact({"text": TEXT})),
        answered(artifact({"text": TEXT[:9]}, {"text": TEXT[9:]})),
        answered(message={"role": "ROLE_AGENT", "parts": [{"text": TEXT}]}),
        answered(artifact({"text": TEXT}), message={"parts": [{"text": TEXT}]}),
    ],
    ids=["an artifact", "a streamed artifact", "a message", "an artifact that the last message repeats"],
)
def test_a_single_answer_in_text_is_the_answer(answer: SpecialistAnswer) -> None:
    assert answer.outcome == "text"
    assert only_text([answer])
    assert "".join(sections([answer], streamed=False)).strip() == TEXT
    assert "".join(sections([answer], streamed=True)).strip() == ""


def test_each_of_several_texts_has_a_section_and_a_failure_has_a_line() -> None:
    answers = [SpecialistAnswer(agent="one", text="# Yes"), SpecialistAnswer(agent="two", error="it is down")]
    assert not only_text(answers)
    assert "".join(sections(answers, streamed=False)) == (
        "## What `one` says\n\n> # Yes\n\n## Not covered\n\n- `two`: it is down\n\n"
    )


def test_a_text_beside_other_answers_gets_its_own_section() -> None:
    other = SpecialistAnswer(agent="log_analyst", gave_findings=True)
    text = reported(other, answered(artifact({"text": TEXT})))
    assert f"## What `peer` says\n\n> {TEXT}\n" in text
    assert "`log_analyst` found nothing that stands out" in text
    assert "`peer` found nothing" not in text
    assert "nothing stands out" not in text.splitlines()[0]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_headings_in_a_text_are_quoted(end: str) -> None:
    sly = f"# All is well{end}## Not covered{end}```{end}Fine{end}====={end}"
    text = reported(SpecialistAnswer(agent="log_analyst", error="is down"), answered(artifact({"text": sly})))
    ours = [line for line in text.split("\n") if not line.startswith(">")]
    assert [line for line in ours if line.startswith("#")] == [
        "# What the agents answered", "## What happened", "## What `peer` says", "## Not covered",
    ]  # fmt: skip
    assert "\r" not in text
    assert not [line for line in ours if line.startswith(("```", "==="))]


def test_a_text_beside_an_empty_list_of_findings_is_reported_and_no_all_clear() -> None:
    answer = answered(artifact({"data": {"findings": []}}), artifact({"text": TEXT}))
    assert TEXT in reported(answer)
    assert "found nothing" not in reported(answer)


def test_a_report_beside_its_findings_is_left_out() -> None:
    answer = answered(
        artifact({"data": {"findings": [FINDING]}}, name="findings"), artifact({"text": "x"}, name="report")
    )
    assert (answer.text, len(answer.findings)) == ("", 1)


def test_a_long_text_is_cut_and_a_note_says_so() -> None:
    answer = answered(artifact({"text": "word " * 10_000}))
    assert len(answer.text) < 21_000
    assert "the first 20,000 are shown" in reported(answer)
    assert "49,999 characters" in reported(answer)


def test_data_without_findings_is_shown_as_json() -> None:
    assert '"price": 12' in reported(answered(artifact({"data": {"price": 12}})))


# Nothing


@pytest.mark.parametrize("answer", [answered(), answered(artifact()), answered(artifact({"text": " \n"}))])
def test_an_empty_answer_is_reported_as_unreadable(answer: SpecialistAnswer) -> None:
    text = reported(answer)
    assert "`peer`: nothing in its answer can be read" in text
    assert "found nothing" not in text


def test_null_findings_count_as_missing() -> None:
    assert answered(artifact({"data": {"findings": None}})).outcome == "text"


def test_a_file_is_listed_by_its_name() -> None:
    text = reported(answered(artifact({"raw": "AAAA", "filename": "plan.pdf"})))
    assert "`peer`: Its answer has files, which are not shown here: plan.pdf." in text


def test_a_part_of_an_unknown_kind_is_counted_in_a_note() -> None:
    assert "1 of the parts of its answer could not be read" in reported(answered(artifact({"colour": 1})))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (task("TASK_STATE_FAILED", message={"parts": [{"text": "no disk"}]}), "its task ended as failed: no disk"),
        (task("TASK_STATE_INPUT_REQUIRED"), "its task ended as input required"),
        (task(""), "its task ended without a state"),
        (task("x" * 999), f"its task ended as {'x' * 79}…"),
        (None, "it gave no answer"),
    ],
)
def test_a_task_that_did_not_complete_has_a_reason(given: Task | None, why: str) -> None:
    assert failure_of(given) == why
    answer = answer_of(answer_in("peer", given, []), failure_of(given))
    assert (answer.outcome, answer.text) == ("failed", "")
    assert f"## Not covered\n\n- `peer`: {why}\n" in reported(answer)


# Findings


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"confidence": "high"}, "confidence has value 'high', but must be a number from 0 to 1"),
        ({"confidence": 7}, "confidence has value 7, but must be a number from 0 to 1"),
        ({"confidence": -0.1}, "confidence has value -0.1, but must be a number from 0 to 1"),
        ({"confidence": float("nan")}, "confidence has value null, but must be a number from 0 to 1"),
        ({"confidence": True}, "confidence has value true, but must be a number from 0 to 1"),
        ({"confidence": None}, "confidence is missing, but must be a number from 0 to 1"),
        ({"start": "yesterday"}, "start has value 'yesterday', but must be a time in ISO 8601"),
        ({"start": 1763636400}, "start has value 1763636400, but must be a time in ISO 8601"),
        ({"start": "0001-01-01T00:00:00+14:00"}, "start has value '0001-01-01T00:00:00+14:00', but must be a time"),
        ({"end": "2026-11-19T00:00:00Z"}, "end has value '2026-11-19T00:00:00Z', but must be a time in ISO 8601, not"),
        ({"type": ""}, "type has value '', but must be a text that is not empty"),
        ({"type": 3}, "type has value 3, but must be a text that is not empty"),
        ({"magnitude": "5"}, "magnitude has value '5', but must be a number"),
        ({"evidence": []}, "evidence has value [], but must be an object"),
    ],
)
def test_a_finding_that_cannot_be_read_is_left_out_and_a_note_says_why(change: dict[str, Any], wrong: str) -> None:
    answer = found(FINDING, {**FINDING, **change}, FINDING)
    assert (len(answer.findings), answer.unread) == (2, 1)
    [note] = answer.notes
    assert note.startswith(f"1 of 3 findings could not be read: {wrong}")


@pytest.mark.parametrize("given", [[1], [{}], [None], ["none"], "none", 5, {"a": 1}])
def test_unreadable_findings_are_no_all_clear(given: Any) -> None:
    answer = answered(artifact({"data": {"findings": given}}))
    assert (answer.outcome, answer.unread) == ("nothing", 1)
    text = reported(answer)
    assert "`peer`: 1 of 1 finding could not be read: " in text
    assert "found nothing" not in text


def test_a_finding_of_an_unknown_type_is_listed_under_its_own_word() -> None:
    text = reported(found({**FINDING, "type": "disk_full"}))
    assert "1 other sign" in text
    assert "### Other signs" in text
    assert "| disk full | `pool` | 5 lines | 11:00:00 | 11:10:00 or later | 90% |" in text


def test_times_become_utc_so_that_they_can_be_compared() -> None:
    [finding] = found({**FINDING, "start": "2026-11-20T12:00:00+01:00", "end": "2026-11-20 11:10:00"}).findings
    assert (finding.start, finding.end) == ("2026-11-20T11:00:00Z", "2026-11-20T11:10:00Z")


def test_a_finding_has_the_name_of_the_agent_that_sent_it() -> None:
    findings = found({**FINDING, "agent": "another"}, {**FINDING, "agent": 1}).findings
    assert [finding.agent for finding in findings] == ["peer", "peer"]


def test_findings_of_several_artifacts_and_parts_are_one_list() -> None:
    data = {"data": {"findings": [FINDING]}}
    assert len(answered(artifact(data, data), artifact(data, {"text": TEXT})).findings) == 3


def test_a_single_text_is_a_note_and_a_number_is_not() -> None:
    assert found(notes="times are guessed").notes == ["times are guessed"]
    assert found(notes=[1, "b", None]).notes == [
        "2 of 3 notes could not be read: a note must be a text that is not empty.",
        "b",
    ]


def test_templates_that_cannot_be_read_are_left_out() -> None:
    answer = found(templates=[{"template": "a <num>", "count": 3}, {"template": 5}, "x"])
    assert [template.template for template in answer.templates] == ["a <num>"]
    assert answer.notes[0].startswith("2 of 3 templates could not be read: ")


# Bounds


def test_findings_templates_and_notes_beyond_the_limits_are_left_out_and_counted() -> None:
    noise = random.Random(1)
    many = [
        {**FINDING, "confidence": sure / 400, "subject": "".join(noise.choices(string.printable, k=5_000))}
        for sure in range(400)
    ]
    answer = found(*many, templates=[{"template": "t" * 5_000}] * 900, notes=["n" * 5_000] * 50)
    assert 20 <= len(answer.findings) <= 200
    assert answer.findings[0].confidence == 399 / 400, "those with the most confidence are kept"
    assert f"Only {len(answer.findings)} of 400 findings are kept" in "".join(answer.notes)
    assert "of 900 templates are kept" in "".join(answer.notes)
    assert "Only 20 of 50 notes are kept" in "".join(answer.notes)
    assert len(zlib.compress(msgspec.json.encode(answer))) < 120_000


def test_what_many_agents_find_together_fits_into_one_event_and_one_checkpoint() -> None:
    noise = random.Random(2)

    def noisy() -> dict[str, Any]:
        return {**FINDING, "confidence": noise.random(), "summary": "".join(noise.choices(string.printable, k=900))}

    answers = [found(*(noisy() for _ in range(60))) for _ in range(9)]
    assert len(zlib.compress(msgspec.json.encode(answers))) < 9 * 45_000
    notes: list[str] = []
    findings, _ = together(answers, notes)
    assert len(zlib.compress(msgspec.json.encode(findings), 1)) <= 200_000
    assert [note.split()[0] for note in notes] == ["Only"]
    assert findings == in_order(findings)
    assert f"\n- {notes[0]}\n" in "".join(report(Alert(title="", start=None, end=None), answers, findings, notes))


def test_large_or_deep_evidence_is_left_out_and_a_note_says_so() -> None:
    deep: Any = []
    for _ in range(60):
        deep = [deep]
    answer = found({**FINDING, "evidence": {"a": "x" * 9_000}}, {**FINDING, "evidence": {"a": deep}}, FINDING)
    assert [finding.evidence for finding in answer.findings] == [{}, {}, {}]
    assert "The evidence of 2 of 3 findings is left out" in answer.notes[0]


# Anything

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_finding = st.builds(
    lambda changes, dropped: {key: value for key, value in {**FINDING, **changes}.items() if key not in dropped},
    st.dictionaries(st.sampled_from(list(FINDING)), _json, max_size=2),
    st.sets(st.sampled_from(list(FINDING)), max_size=1),
)
_data = st.fixed_dictionaries({"findings": st.lists(_finding | _json, max_size=4) | _json}, optional={"notes": _json})
_part = st.fixed_dictionaries({"text": st.text(max_size=40)}) | st.fixed_dictionaries({"data": _data | _json})
_artifact = st.fixed_dictionaries(
    {"artifactId": st.sampled_from(["report", "a"]), "parts": st.lists(_part, max_size=4)},
    optional={"name": st.text(max_size=9)},
)
_message = st.fixed_dictionaries({"parts": st.lists(_part, max_size=2)})


@given(st.lists(_artifact, max_size=3) | st.lists(_artifact | _json) | _json, st.none() | _message | _json)
def test_any_answer_can_be_reported_and_notes_say_what_is_left_out(artifacts: Any, message: Any) -> None:
    try:
        given_task = task(artifacts=artifacts, message=message)
    except AgentError:
        return  # the agent is reported as failed
    answer = answer_of(answer_in("peer", given_task, []))
    text = reported(msgspec.json.decode(msgspec.json.encode(answer), type=SpecialistAnswer))
    unread = [int(number) for number in re.findall(r"(\d+) of \d+ findings? could not", " ".join(answer.notes))]
    assert sum(unread) == answer.unread
    for note in answer.notes[:10]:
        assert plain(note) in text
    assert "found nothing" not in text or (answer.gave_findings and not answer.unread)
    parts = [part for each in given_task.artifacts for part in each.parts]
    if answer.outcome == "nothing" and not answer.notes:
        assert not any(part.text and part.text.strip() for part in parts), "a text is lost"
        assert not any(part.data is not None for part in parts), "data is lost"
