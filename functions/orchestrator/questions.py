"""The answer to a request that fits no agent, and the question to a user whose alert has nothing to analyse."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.classify import MIN_LOG_LINES, log_lines_in, reads_like_alert, topics_of
from orchestrator.planning import Specialist
from tailrace.errors import shorten
from tailrace.inputs.request import Request
from triage.markdown import code, plain

_SEND = (
    "What should I look at? Send logs or metrics from around the alert (a log file, a CSV, a response of "
    f"CloudWatch or Prometheus), or paste {MIN_LOG_LINES} log lines or more."
)
_MOST_AGENTS, _MOST_FILES = 10, 5


def is_triage(request: Request, specialists: list[Specialist]) -> bool:
    """Return whether the request is an alert that came without anything to analyse, and there are analysts."""
    return reads_like_alert(request) and not topics_of(request) and any(each["topics"] for each in specialists)


def question_for(request: Request, reply: Any = None) -> str:
    """Return the question to the user about an alert, as plain text. `reply` answered the previous question, if any."""
    return " ".join(filter(None, [_blank_files(request), _not_enough(reply), _SEND]))


def abilities(request: Request, specialists: list[Specialist]) -> str:
    """Return the answer to a request that fits no agent, in Markdown: what the agents can do."""
    if not specialists:
        return "There is no agent to ask: `TAILRACE_SPECIALIST_URLS` names none."
    types = sorted({file.media_type for file in request.files if file.binary})
    why = f"No agent here takes {' or '.join(types)}." if types else "No agent here says that it can do this."
    first = " ".join(filter(None, [_blank_files(request), why]))
    return "\n".join([first, "", *_listed(specialists), "", "Use other words."])


def _blank_files(request: Request) -> str:
    blank = [shorten(file.filename) for file in request.files if not file.binary and file.content.blank]
    more = f" and {len(blank) - _MOST_FILES} more files" if len(blank) > _MOST_FILES else ""
    if not blank:
        return ""
    return f"{', '.join(blank[:_MOST_FILES])}{more} {'are' if len(blank) > 1 else 'is'} empty."


def _not_enough(reply: Any) -> str:
    """Return what is wrong with a reply; "" for one with files only, which `_blank_files` covers."""
    if reply is None or reply == "":
        return ""
    if not isinstance(reply, str):
        data = shorten(msgspec.json.encode(reply).decode())
        return f"The data in your reply, {data}, is no response of CloudWatch or Prometheus."
    log_lines = f"fewer than {MIN_LOG_LINES} log lines" if log_lines_in(reply) else "no log lines"
    return f"Your reply {shorten(' '.join(reply.split()))!r} has {log_lines} and no metrics."


def _listed(specialists: list[Specialist]) -> list[str]:
    lines = [
        f"- {code(shorten(each['agent']))}: {plain(shorten(' '.join(each['description'].split()), 160))}"
        + (f" For example: “{plain(shorten(' '.join(each['example'].split()), 100))}”" if each["example"] else "")
        for each in specialists[:_MOST_AGENTS]
    ]
    more = len(specialists) - _MOST_AGENTS
    return [*lines, *([f"- and {more} more"] if more > 0 else [])]
