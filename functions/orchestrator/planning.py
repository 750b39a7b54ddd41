"""The plan: which specialists are asked, about what, and why."""

from __future__ import annotations

from collections import Counter
from typing import Any, TypedDict

from orchestrator.classify import Topic, remark_of, topic_of, topics_of
from orchestrator.matching import stem_of, stems_of
from tailrace.a2a.incoming import AgentCard
from tailrace.a2a.trust import is_own_agent
from tailrace.authoring.forwarding import another
from tailrace.config import Settings
from tailrace.errors import shorten
from tailrace.inputs.media_types import covers
from tailrace.inputs.request import File, Request

_TOPICS: tuple[Topic, ...] = ("logs", "metrics")
# How much is kept of a card's words, and of an address that distinguishes agents of one name. In characters.
_LONGEST_ABOUT, _LONGEST_ADDRESS = 20_000, 60
# How many of a card's input modes are kept.
_MOST_MODES = 100


class Specialist(TypedDict):
    """An agent that could be asked.

    `agent` is its name and `url` its address. `about` has all words of its card, `description` and `example` two of its
    texts. `topics` is what it analyses, and `modes` are the media types that it takes.
    """

    agent: str
    url: str
    about: str
    topics: list[Topic]
    description: str
    example: str
    modes: list[str]


class Delegation(TypedDict):
    """A specialist to ask, and the `reason` for the user.

    `topics` is what an analyst is asked about, and None for another agent. `parts` is how many parts the request had
    when this was planned: what the user replies later is for the specialist that has asked. `alone` is whether this is
    the only specialist, and its text is the answer.
    """

    agent: str
    url: str
    topics: list[Topic] | None
    modes: list[str]
    reason: str
    parts: int
    alone: bool


def specialist_of(card: AgentCard, url: str) -> Specialist:
    """Return what planning needs of an agent's card."""
    texts, examples, modes = [card.name, card.description], [], list(card.default_input_modes)
    for skill in card.skills:
        texts += [skill.id, skill.name, skill.description, *skill.tags]
        examples += skill.examples
        modes += skill.input_modes
    about = shorten("\n".join([*texts, *examples]), _LONGEST_ABOUT)
    stems = stems_of(about)
    return {
        "agent": card.name,
        "url": url,
        "about": about,
        "topics": [topic for topic in _TOPICS if stem_of(topic) in stems],
        "description": card.description or next((skill.description for skill in card.skills), ""),
        "example": examples[0] if examples else "",
        "modes": list(dict.fromkeys(modes))[:_MOST_MODES],
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


def plan(request: Request, specialists: list[Specialist]) -> list[Delegation]:
    """Return whom to ask, in the order of `specialists`; an empty list if the request fits nobody.

    Every analyst is asked about those of its topics that the request has. Of the other agents, those are asked whose
    card shares the most words with the user's own words, whatever their case and endings. If there are images or other
    binary files, only those agents count that take one of them; if no words choose among them, all are asked.
    """
    carried = topics_of(request)
    words_by_stem = stems_of(remark_of(request.text))
    types = sorted({file.media_type for file in request.files if file.binary})
    others = [each for each in specialists if not each["topics"] and (not types or _taken(types, each))]
    shared = {each["url"]: _shared_words(words_by_stem, each) for each in others}
    most = max(map(len, shared.values()), default=0)
    delegations: list[Delegation] = []
    for specialist in specialists:
        topics = [topic for topic in specialist["topics"] if topic in carried]
        words = shared.get(specialist["url"], [])
        if topics:
            delegations.append(delegation_to(specialist, request, f"the request has {' and '.join(topics)}"))
        elif words and len(words) == most:
            delegations.append(delegation_to(specialist, request, f"the request mentions {', '.join(words[:3])}"))
        elif types and not most and specialist in others:
            reason = f"it takes {', '.join(_taken(types, specialist))}"
            delegations.append(delegation_to(specialist, request, reason))
    return alone_or_not(delegations)


def _taken(types: list[str], specialist: Specialist) -> list[str]:
    return [each for each in types if covers(specialist["modes"], each)]


def _shared_words(words_by_stem: dict[str, str], specialist: Specialist) -> list[str]:
    about = stems_of(specialist["about"])
    return sorted(word for stem, word in words_by_stem.items() if stem in about)


def delegation_to(specialist: Specialist, request: Request, reason: str) -> Delegation:
    """Return the delegation that asks `specialist` about the request."""
    carried = topics_of(request)
    return {
        "agent": specialist["agent"],
        "url": specialist["url"],
        "topics": [topic for topic in specialist["topics"] if topic in carried] if specialist["topics"] else None,
        "modes": specialist["modes"],
        "reason": reason,
        "parts": len(request.parts),
        "alone": False,
    }


def alone_or_not(delegations: list[Delegation]) -> list[Delegation]:
    """Return the delegations; one that is the only one, and is to no analyst, gives the answer itself."""
    alone = len(delegations) == 1 and delegations[0]["topics"] is None
    return [{**each, "alone": alone} for each in delegations]


def parts_for(request: Request, delegation: Delegation) -> list[Any]:
    """Return what a specialist is sent: the user's texts and data, and the files that are for it.

    An analyst gets the files of its topics, another agent the texts and those binary files whose media type it takes.
    """
    return [
        part for part in request.parts[: delegation["parts"]] if not isinstance(part, File) or _is_for(part, delegation)
    ]


def _is_for(file: File, delegation: Delegation) -> bool:
    if file.binary:
        return covers(delegation["modes"], file.media_type)
    return delegation["topics"] is None or topic_of(file) in delegation["topics"]
