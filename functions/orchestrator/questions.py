"""What the user is asked when a request fits nobody: what came, why it is not enough, and what would be."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.classify import MIN_LOG_LINES, log_lines_in, reads_like_alert, topics_of
from orchestrator.planning import Specialist
from tailrace.errors import shorten
from tailrace.inputs.request import Request

_SEND = (
    "What should I look at? Send the logs or the metrics around the alert (a log file, a CSV, an answer of "
    f"CloudWatch or Prometheus), or paste {MIN_LOG_LINES} log lines or more."
)
_MOST_AGENTS, _MOST_FILES = 10, 5


def question_for(request: Request, specialists: list[Specialist], reply: Any = None) -> str:
    """The question, as plain text. `reply` is what the user has answered to the one before, None if there was none."""
    analysts = any(specialist["topics"] for specialist in specialists)
    triage = reads_like_alert(request) and not topics_of(request) and analysts
    sentences = [_blank_files(request), _not_enough(reply, triage=triage)]
    if triage:
        sentences.append(_SEND)
        return " ".join(filter(None, sentences))
    if reply is None:
        sentences.append("No agent here says that it can do this.")
    return "\n".join([" ".join(filter(None, sentences)), *_abilities(specialists), _again(analysts=analysts)])


def _blank_files(request: Request) -> str:
    blank = [shorten(file.filename) for file in request.files if file.content.blank]
    more = f" and {len(blank) - _MOST_FILES} more files" if len(blank) > _MOST_FILES else ""
    return f"Nothing is in {', '.join(blank[:_MOST_FILES])}{more}." if blank else ""


def _not_enough(reply: Any, *, triage: bool) -> str:
    """What was wrong with a reply. One without text and data had only files, which are told as what they are."""
    if reply is None or reply == "":
        return ""
    if not isinstance(reply, str):
        data = shorten(msgspec.json.encode(reply).decode())
        return f"The data in your reply, {data}, is no answer of CloudWatch or Prometheus."
    said = f"Your reply {shorten(' '.join(reply.split()))!r}"
    if not triage:
        return f"{said} fits none of the agents here."
    log_lines = f"fewer than {MIN_LOG_LINES} log lines" if log_lines_in(reply) else "no log lines"
    return f"{said} holds {log_lines} and no metrics."


def _abilities(specialists: list[Specialist]) -> list[str]:
    told = [
        f"• {shorten(each['agent'])}: {shorten(' '.join(each['description'].split()), 160)}"
        + (f" For example: “{shorten(' '.join(each['example'].split()), 100)}”" if each["example"] else "")
        for each in specialists[:_MOST_AGENTS]
    ]
    more = len(specialists) - _MOST_AGENTS
    return [*told, *([f"• and {more} more"] if more > 0 else [])]


def _again(*, analysts: bool) -> str:
    return "Say it in other words" + (", or send logs or metrics." if analysts else ".")
