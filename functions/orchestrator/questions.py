"""The question to the user when a request fits no agent: why it is not enough, and what would be."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.classify import MIN_LOG_LINES, log_lines_in, reads_like_alert, topics_of
from orchestrator.planning import Specialist
from tailrace.errors import shorten
from tailrace.inputs.request import Request

_SEND = (
    "What should I look at? Send logs or metrics from around the alert (a log file, a CSV, a response of "
    f"CloudWatch or Prometheus), or paste {MIN_LOG_LINES} log lines or more."
)
_MOST_AGENTS, _MOST_FILES = 10, 5


def question_for(request: Request, specialists: list[Specialist], reply: Any = None) -> str:
    """Return the question as plain text. `reply` answers the previous question; None if there was none."""
    analysts = any(specialist["topics"] for specialist in specialists)
    triage = reads_like_alert(request) and not topics_of(request) and analysts
    sentences = [_blank_files(request), _not_enough(reply, triage=triage)]
    if triage:
        sentences.append(_SEND)
        return " ".join(filter(None, sentences))
    if reply is None:
        sentences.append("No agent here says that it can do this.")
    return "\n".join([" ".join(filter(None, sentences)), *_abilities(specialists), _invitation(analysts=analysts)])


def _blank_files(request: Request) -> str:
    blank = [shorten(file.filename) for file in request.files if file.content.blank]
    more = f" and {len(blank) - _MOST_FILES} more files" if len(blank) > _MOST_FILES else ""
    if not blank:
        return ""
    return f"{', '.join(blank[:_MOST_FILES])}{more} {'are' if len(blank) > 1 else 'is'} empty."


def _not_enough(reply: Any, *, triage: bool) -> str:
    """Return what is wrong with a reply; "" for one with files only, which `_blank_files` covers."""
    if reply is None or reply == "":
        return ""
    if not isinstance(reply, str):
        data = shorten(msgspec.json.encode(reply).decode())
        return f"The data in your reply, {data}, is no response of CloudWatch or Prometheus."
    quoted = f"Your reply {shorten(' '.join(reply.split()))!r}"
    if not triage:
        return f"{quoted} fits none of the agents here."
    log_lines = f"fewer than {MIN_LOG_LINES} log lines" if log_lines_in(reply) else "no log lines"
    return f"{quoted} has {log_lines} and no metrics."


def _abilities(specialists: list[Specialist]) -> list[str]:
    lines = [
        f"• {shorten(each['agent'])}: {shorten(' '.join(each['description'].split()), 160)}"
        + (f" For example: “{shorten(' '.join(each['example'].split()), 100)}”" if each["example"] else "")
        for each in specialists[:_MOST_AGENTS]
    ]
    more = len(specialists) - _MOST_AGENTS
    return [*lines, *([f"• and {more} more"] if more > 0 else [])]


def _invitation(*, analysts: bool) -> str:
    return "Use other words" + (", or send logs or metrics." if analysts else ".")
