"""The agent card: what an agent is called, what it can do, and where (specification, sections 4.4 and 8)."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.events import EXTENSION

# Where an agent's card is, below the agent's own URL (section 8.2).
CARD_PATH = ".well-known/agent-card.json"


class Skill(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    id: str
    name: str
    description: str
    tags: list[str]
    examples: list[str] = []


class AgentCard(msgspec.Struct, frozen=True, kw_only=True):
    """What an author says of an agent. `name` is also what events call it."""

    name: str
    description: str
    version: str
    skills: list[Skill]


def card_json(card: AgentCard, url: str) -> dict[str, Any]:
    """The card as it is served at `url`, for 1.0 readers and, by its top-level fields, for 0.3 ones."""
    return {
        "name": card.name,
        "description": card.description,
        "version": card.version,
        "supportedInterfaces": [
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "0.3"},
        ],
        "url": url,
        "preferredTransport": "JSONRPC",
        "protocolVersion": "0.3.0",
        "capabilities": {
            "streaming": True,
            "pushNotifications": False,
            "extensions": [
                {
                    "uri": EXTENSION,
                    "description": "Every event has a seq; Last-Event-ID resumes any stream of a task after it.",
                    "required": False,
                }
            ],
        },
        "defaultInputModes": ["text/plain", "application/json"],
        "defaultOutputModes": ["text/markdown", "application/json"],
        "skills": msgspec.to_builtins(card.skills),
    }
