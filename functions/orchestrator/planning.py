"""The plan: which specialists are asked, about what, and why."""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, NotRequired, TypedDict

from orchestrator.classify import Topic, remark_of, topic_of, topics_of
from orchestrator.forwarding import another
from orchestrator.matching import stem_of, stems_of
from tailrace.a2a.incoming import AgentCard
from tailrace.a2a.trust import is_own_agent
from tailrace.config import Settings
from tailrace.errors import shorten
from tailrace.events import Part
from tailrace.inputs.media_types import GZIP
from tailrace.inputs.request import File, Request
from tailrace.uploads import UPLOADS, open_uploads

_TOPICS: tuple[Topic, ...] = ("logs", "metrics")
# In characters. Files from this size on are sent compressed.
_COMPRESSED_FROM = 16_384
# Bytes of compressed uploads in a message to an agent that cannot read our store of uploads. With them the message is
# as large as the largest request that our own agents take.
_MOST_UPLOAD_BYTES = 700_000
# How much is kept of a card's words, and of an address that tells agents of one name apart. In characters.
_LONGEST_ABOUT, _LONGEST_ADDRESS = 20_000, 60


class Specialist(TypedDict):
    """An agent that could be asked.

    `agent` is its name and `url` its address. `about` has all words of its card, `description` and `example` two of its
    texts. `topics` is what it analyses. `reads` is whether it can read our store of uploads, `streams` whether it can
    stream: None if its card does not say.
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
    """A specialist to ask, about which `topics`, and the `reason` for the user. The rest is as in `Specialist`."""

    agent: str
    url: str
    topics: list[Topic]
    reason: str
    reads: bool
    streams: NotRequired[bool | None]


class Payload(NamedTuple):
    """What a specialist is sent, as A2A parts, and `notes` for the report on what it is not sent."""

    parts: list[Part]
    notes: list[str]


def specialist_of(card: AgentCard, url: str) -> Specialist:
    """Return what planning needs of an agent's card."""
    texts, examples = [card.name, card.description], []
    for skill in card.skills:
        texts += [skill.id, skill.name, skill.description, *skill.tags]
        examples += skill.examples
    about = shorten("\n".join([*texts, *examples]), _LONGEST_ABOUT)
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


def with_unique_names(specialists: list[Specialist], me: str, settings: Settings) -> list[Specialist]:
    """Return the specialists with unique names, sorted by name.

    Where several share a name, whatever its case, the one that is our own agent keeps it; the others get their address
    added. No specialist keeps the name of the agent that asks, `me`.
    """
    specialists = [{**each, "agent": another(each["agent"], me)} for each in specialists]
    names = Counter(_key(each) for each in specialists)
    own = Counter(_key(each) for each in specialists if is_own_agent(each["url"], settings))
    named: list[Specialist] = []
    for each in specialists:
        keeps = names[_key(each)] == 1 or (own[_key(each)] == 1 and is_own_agent(each["url"], settings))
        address = shorten(each["url"].partition("://")[2].rstrip("/"), _LONGEST_ADDRESS)
        named.append(each if keeps else {**each, "agent": f"{each['agent']} at {address}"})
    return sorted(named, key=lambda specialist: specialist["agent"])


def _key(specialist: Specialist) -> str:
    return specialist["agent"].casefold()


def _reads_uploads(card: AgentCard) -> bool:
    """Return whether an agent's card says that it reads the same store of uploads as this process."""
    store = open_uploads(Settings.load()).id
    return any(each.uri == UPLOADS and each.params.get("store") == store for each in card.capabilities.extensions)


def plan(request: Request, specialists: list[Specialist]) -> list[Delegation]:
    """Return whom to ask, in the order of `specialists`; an empty list if the request fits nobody.

    Every analyst is asked about those of its topics that the request has. Of the other agents, those are asked whose
    card shares the most words with the user's own words, whatever their case and endings. They are asked about all
    topics, also if the request has nothing to analyse.
    """
    carried = topics_of(request)
    words_by_stem = stems_of(remark_of(request.text))
    shared = {each["url"]: _shared_words(words_by_stem, each) for each in specialists if not each["topics"]}
    most = max(map(len, shared.values()), default=0)
    delegations: list[Delegation] = []
    for specialist in specialists:
        topics = [topic for topic in specialist["topics"] if topic in carried]
        words = shared.get(specialist["url"], [])
        if topics:
            delegations.append(delegation_to(specialist, topics, f"the request has {' and '.join(topics)}"))
        elif words and len(words) == most:
            delegations.append(
                delegation_to(specialist, sorted(carried), f"the request mentions {', '.join(words[:3])}")
            )
    return delegations


def _shared_words(words_by_stem: dict[str, str], specialist: Specialist) -> list[str]:
    about = stems_of(specialist["about"])
    return sorted(word for stem, word in words_by_stem.items() if stem in about)


def delegation_to(specialist: Specialist, topics: list[Topic], reason: str) -> Delegation:
    """Return the delegation that asks `specialist` about `topics`."""
    return {
        "agent": specialist["agent"],
        "url": specialist["url"],
        "topics": topics,
        "reason": reason,
        "reads": specialist["reads"],
        "streams": specialist.get("streams", True),
    }


def payload_for(request: Request, delegation: Delegation) -> Payload:
    """Return what a specialist is sent: the text, all data, and the files of its topics.

    Uploads are sent as references. An agent that cannot read our store of uploads gets them compressed in the message,
    as far as there is room; a note names the others. The same request and delegation always give the same parts.
    """
    parts: list[Part] = []
    if request.text:
        parts.append(Part(text=request.text))
    parts += [Part(data=data) for data in request.data]
    left_out: list[str] = []
    room = _MOST_UPLOAD_BYTES
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


def _file_part(file: File) -> Part:
    if file.size < _COMPRESSED_FROM:
        return Part(text=file.text, filename=file.filename, media_type=file.media_type)
    return _gzip_part(file, b"".join(_gzip(file)))


def _gzip_part(file: File, packed: bytes) -> Part:
    """A part that says that it is gzip. Our agents unpack it and drop the `.gz` (tailrace/inputs/decode.py)."""
    return Part(raw=base64.b64encode(packed).decode(), filename=f"{file.filename}.gz", media_type=GZIP)


def _packed(file: File, room: int) -> bytes | None:
    """Return the file as gzip, None if it has more than `room` bytes."""
    packed = bytearray()
    for piece in _gzip(file):
        packed += piece
        if len(packed) > room:
            return None
    return bytes(packed)


def _gzip(file: File) -> Iterator[bytes]:
    """Yield the file as gzip, piece by piece. The same file always gives the same bytes."""
    packing = zlib.compressobj(6, wbits=31)
    for chunk in file.chunks():
        yield packing.compress(chunk)
    yield packing.flush()
