"""The plan: which specialists to ask, about what, and why."""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, NotRequired, TypedDict

from orchestrator.classify import Topic, remark_of, topic_of, topics_of
from orchestrator.forwarding import another
from orchestrator.matching import stem_of, stems_of
from tailrace.a2a.incoming import AgentCard
from tailrace.a2a.trust import is_own_agent
from tailrace.config import Settings
from tailrace.errors import shorten
from tailrace.inputs.media_types import GZIP
from tailrace.inputs.request import File, Request
from tailrace.uploads import UPLOADS, open_uploads

_TOPICS: tuple[Topic, ...] = ("logs", "metrics")
# Files from this size on travel compressed.
_COMPRESSED_FROM = 16_384
# What a message may carry of uploaded files for an agent that cannot read our uploads: by then it is as large as the
# largest request that we take ourselves.
_ROOM = 700_000
# How much is kept of what a card says, in characters.
_LONGEST_ABOUT = 20_000
# How much of an address stands beside a name that others have too, in characters.
_LONGEST_PLACE = 60


class Specialist(TypedDict):
    """An agent that could be asked. `url` is where it is asked, `about` all the words of its card.

    `topics` are what it analyses, `description` and `example` are its card's. `reads` is whether it reads our uploads,
    by their reference, `streams` whether it may be asked for a stream: None when its card does not say.
    """

    agent: str
    url: str
    about: str
    topics: list[Topic]
    description: str
    example: str
    reads: bool
    streams: NotRequired[bool | None]


class Delegation(TypedDict):
    """One specialist to ask: what about (`topics`) and why (`reason`). `reads` and `streams` as of a `Specialist`."""

    agent: str
    url: str
    topics: list[Topic]
    reason: str
    reads: bool
    streams: NotRequired[bool | None]


class Payload(NamedTuple):
    """What a specialist gets, as A2A parts, and what the report has to say of what it does not get."""

    parts: list[dict[str, Any]]
    notes: list[str]


def specialist_of(card: AgentCard, url: str) -> Specialist:
    """What a card says of its agent, as far as planning needs it."""
    said, examples = [card.name, card.description], []
    for skill in card.skills:
        said += [skill.id, skill.name, skill.description, *skill.tags]
        examples += skill.examples
    about = shorten("\n".join([*said, *examples]), _LONGEST_ABOUT)
    stems = stems_of(about)
    return {
        "agent": card.name,
        "url": url,
        "about": about,
        "topics": [topic for topic in _TOPICS if stem_of(topic) in stems],
        "description": card.description or next((skill.description for skill in card.skills), ""),
        "example": examples[0] if examples else "",
        "reads": _reads_uploads(card),
        "streams": card.capabilities.streaming,
    }


def told_apart(given: list[Specialist], me: str, settings: Settings) -> list[Specialist]:
    """The specialists in order of their names, each with a name of its own.

    Of those that share one, whatever its case, only an own agent keeps it as it is; another gets its address besides.
    None has the name of who asks, `me`.
    """
    specialists: list[Specialist] = [{**each, "agent": another(each["agent"], me)} for each in given]
    names = Counter(_key(each) for each in specialists)
    own = Counter(_key(each) for each in specialists if is_own_agent(each["url"], settings))
    named: list[Specialist] = []
    for each in specialists:
        keeps = names[_key(each)] == 1 or (own[_key(each)] == 1 and is_own_agent(each["url"], settings))
        place = shorten(each["url"].partition("://")[2].rstrip("/"), _LONGEST_PLACE)
        named.append(each if keeps else {**each, "agent": f"{each['agent']} at {place}"})
    return sorted(named, key=lambda specialist: specialist["agent"])


def _key(specialist: Specialist) -> str:
    return specialist["agent"].casefold()


def _reads_uploads(card: AgentCard) -> bool:
    """Whether an agent says that it reads the very store of uploads that this process reads."""
    mine = open_uploads(Settings.load()).id
    return any(each.uri == UPLOADS and each.params.get("store") == mine for each in card.capabilities.extensions)


def plan(request: Request, specialists: list[Specialist]) -> list[Delegation]:
    """Ask every analyst of something that the request carries, and who else fits the request's own words.

    Of the others that is who shares the most words with them: what its card says, whatever their case and endings.
    They are asked about everything, and also when the request carries nothing to analyse.
    """
    there = topics_of(request)
    spoken = stems_of(remark_of(request.text))
    shared = {each["url"]: _shared(spoken, each) for each in specialists if not each["topics"]}
    most = max(map(len, shared.values()), default=0)
    delegations: list[Delegation] = []
    for specialist in specialists:
        topics = [topic for topic in specialist["topics"] if topic in there]
        words = shared.get(specialist["url"], [])
        if topics:
            delegations.append(delegation_to(specialist, topics, f"the request carries {' and '.join(topics)}"))
        elif words and len(words) == most:
            delegations.append(
                delegation_to(specialist, sorted(there), f"the request speaks of {', '.join(words[:3])}")
            )
    return delegations


def _shared(spoken: dict[str, str], specialist: Specialist) -> list[str]:
    """The words of a request that a specialist's card has too."""
    about = stems_of(specialist["about"])
    return sorted(word for stem, word in spoken.items() if stem in about)


def delegation_to(specialist: Specialist, topics: list[Topic], reason: str) -> Delegation:
    return {
        "agent": specialist["agent"],
        "url": specialist["url"],
        "topics": topics,
        "reason": reason,
        "reads": specialist["reads"],
        "streams": specialist.get("streams", True),
    }


def payload_for(request: Request, delegation: Delegation) -> Payload:
    """What a specialist gets: the alert, all data, and the files of its topics, uploads by their reference.

    Who cannot read our uploads gets them in the message, as far as there is room. The same delegation has
    the same parts.
    """
    parts: list[dict[str, Any]] = []
    if request.text:
        parts.append({"text": request.text})
    parts += [{"data": data} for data in request.data]
    left_out: list[str] = []
    room = _ROOM
    for file in request.files:
        if topic_of(file) not in delegation["topics"]:
            continue
        if file.reference is None:
            parts.append(_file_part(file))
        elif delegation["reads"]:
            parts.append(file.reference)
        elif (packed := _packed(file, room)) is None:
            left_out.append(shorten(file.filename))
        else:
            room -= len(packed)
            parts.append(_gzip_part(file, packed))
    notes = [f"Too large to be sent to an agent that cannot read uploads: {', '.join(left_out)}."] if left_out else []
    return Payload(parts, notes)


def _file_part(file: File) -> dict[str, Any]:
    if file.size < _COMPRESSED_FROM:
        return {"text": file.text, "filename": file.filename, "mediaType": file.media_type}
    return _gzip_part(file, b"".join(_gzip(file)))


def _gzip_part(file: File, packed: bytes) -> dict[str, Any]:
    """A part that says that it is gzip. Our agents unpack it and drop the `.gz` (tailrace/inputs/decode.py)."""
    return {"raw": base64.b64encode(packed).decode(), "filename": f"{file.filename}.gz", "mediaType": GZIP}


def _packed(file: File, room: int) -> bytes | None:
    """The file as gzip, None when that does not fit."""
    packed = bytearray()
    for piece in _gzip(file):
        packed += piece
        if len(packed) > room:
            return None
    return bytes(packed)


def _gzip(file: File) -> Iterator[bytes]:
    """The file as gzip, piece by piece. The same file gives the same bytes."""
    packing = zlib.compressobj(6, wbits=31)
    for chunk in file.chunks():
        yield packing.compress(chunk)
    yield packing.flush()
