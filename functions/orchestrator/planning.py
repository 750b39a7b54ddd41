"""The plan: which specialists to ask, about what, and why."""

from __future__ import annotations

import base64
import gzip
from typing import Any, TypedDict

from orchestrator.classify import Topic, topic_of, topics_of
from tailrace.request import File, Request

# Files from this size on travel compressed.
_WORTH_COMPRESSING = 16_384


class Specialist(TypedDict):
    """An agent that could be asked. `url` is where it is asked, `about` what its skills say, in lower case."""

    agent: str
    url: str
    about: str


class Errand(TypedDict):
    """One specialist to ask: what about (`topics`) and why (`reason`)."""

    agent: str
    url: str
    topics: list[Topic]
    reason: str


def specialist_of(card: dict[str, Any], url: str) -> Specialist:
    """What a card says of its agent, as far as planning needs it."""
    said = [card.get("description", "")]
    for skill in card.get("skills") or []:
        said += [skill.get("name", ""), skill.get("description", ""), *skill.get("tags", [])]
    return {"agent": card["name"], "url": url, "about": " ".join(said).lower()}


def plan(request: Request, specialists: list[Specialist]) -> list[Errand]:
    """Ask every specialist whose skills speak of something that the request carries.

    One whose skills speak of neither logs nor metrics is asked about everything if the request's own
    words name something of what it does.
    """
    there = topics_of(request)
    errands: list[Errand] = []
    for specialist in specialists:
        known = [topic for topic in _TOPICS if topic in specialist["about"] or topic[:-1] in specialist["about"]]
        topics = [topic for topic in known if topic in there]
        if topics:
            reason = f"the request carries {' and '.join(topics)}"
        elif not known and (shared := _shared_words(request.text, specialist["about"])):
            topics, reason = sorted(there), f"the request speaks of {', '.join(shared[:3])}"
        else:
            continue
        errands.append({"agent": specialist["agent"], "url": specialist["url"], "topics": topics, "reason": reason})
    return errands


def parts_for(request: Request, topics: list[Topic]) -> list[dict[str, Any]]:
    """The A2A parts a specialist gets: the alert, all data, and the files of its topics."""
    parts: list[dict[str, Any]] = []
    if request.text:
        parts.append({"text": request.text})
    parts += [{"data": data} for data in request.data]
    parts += [_file_part(file) for file in request.files if topic_of(file) in topics]
    return parts


def _file_part(file: File) -> dict[str, Any]:
    if len(file.text) < _WORTH_COMPRESSING:
        return {"text": file.text, "filename": file.filename, "mediaType": file.media_type}
    packed = gzip.compress(file.text.encode(), compresslevel=6, mtime=0)
    return {"raw": base64.b64encode(packed).decode(), "filename": file.filename, "mediaType": file.media_type}


_TOPICS: tuple[Topic, ...] = ("logs", "metrics")
# Words that say nothing of what an agent can do.
_COMMON = frozenset(
    "about after agent alert before every files finds from have since that their them this what when with".split()  # noqa: SIM905
)


def _shared_words(text: str, about: str) -> list[str]:
    words = {word.strip(".,:;!?()\"'").lower() for word in text.split()}
    return sorted(word for word in words if len(word) > 3 and word not in _COMMON and word in about.split())
