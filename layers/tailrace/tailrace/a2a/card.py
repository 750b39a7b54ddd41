"""The agent card: an agent's name, its skills and its URLs (specification, sections 4.4 and 8)."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.errors import ConfigError
from tailrace.events import EXTENSION
from tailrace.naming import check_agent_name

# The path of an agent's card, below the agent's own URL (section 8.2).
CARD_PATH = ".well-known/agent-card.json"
# The conversation extension: its URI, and its key in a message's metadata (docs/PROTOCOL.md, section 5.11).
CONVERSATION = "urn:tailrace:a2a:conversation:1"

# Text of all kinds, plain or gzipped.
INPUT_MODES = ("text/plain", "text/*", "application/json", "application/x-ndjson", "application/jsonl",
               "application/gzip", "application/x-gzip")  # fmt: skip


class Skill(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What an agent can do (section 4.4.5). The orchestrator asks the agents whose skills share words with the request.

    Example:
        skill = Skill(
            id="translate",
            name="Translate",
            description="Translates a text into another language.",
            tags=["translation", "language"],
            examples=["Translate into French: good morning"],
        )
    """

    id: str
    name: str
    description: str
    tags: list[str]
    examples: list[str] = []


class Extension(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An extension of the author's own (section 4.6). If it is `required`, every request has to name it.

    Example:
        extension = Extension(
            uri="https://example.com/a2a/glossary/v1",
            description="A data part `glossary` maps words to their translations.",
            params={"maxWords": 500},
        )
    """

    uri: str
    description: str
    required: bool = False
    params: dict[str, Any] = {}


class AgentCard(msgspec.Struct, frozen=True, kw_only=True):
    """What an author says about an agent. Events have its `name` too: up to 64 printable characters without
    `/`, `\\`, `,` and `=`.

    Messages with parts of other media types than `input_modes` are refused. By default an agent takes text, plain or
    gzipped; `input_modes=("text/plain", "image/*", "application/pdf")` is all that one needs which looks at pictures
    and PDFs. `v0_3` adds the fields that clients of 0.3 need; set it to False for 1.0 readers that refuse unknown
    fields, against the advice of section 5.7.
    `security_schemes` and `security_requirements` are as in section 4.5, for an `AgentApp` with a `decide_owner`.

    Example:
        card = AgentCard(
            name="translator",
            description="Translates texts.",
            version="1.0.0",
            skills=[Skill(id="translate", name="Translate", description="Translates a text.", tags=["translation"])],
        )
    """

    name: str
    description: str
    version: str
    skills: list[Skill]
    input_modes: tuple[str, ...] = INPUT_MODES
    output_modes: tuple[str, ...] = ("text/markdown", "application/json")
    extensions: list[Extension] = []
    security_schemes: dict[str, dict[str, Any]] = {}
    security_requirements: list[dict[str, Any]] = []
    documentation_url: str = ""
    icon_url: str = ""
    v0_3: bool = True


# What a field of each type must be, in words.
_RIGHT: dict[Any, str] = {
    str: "a text (str)",
    bool: "True or False",
    list[str]: "a list of texts",
    tuple[str, ...]: 'media types, like ("text/plain", "image/*")',
    list[Skill]: "a list of Skill",
    list[Extension]: "a list of Extension",
}


def check_card(card: Any) -> None:
    """Check what an author has put into a card.

    Raises:
        ConfigError: it is no AgentCard, a field has a wrong type, or the name cannot be used.
    """
    if not isinstance(card, AgentCard):
        raise ConfigError("card", card, "an AgentCard")
    _check_fields("AgentCard", card)
    check_agent_name(card.name)


def _check_fields(owner: str, struct: msgspec.Struct) -> None:
    for each in msgspec.structs.fields(struct):
        key, value = f"{owner}.{each.name}", getattr(struct, each.name)
        try:
            converted = msgspec.convert(value, each.type)
        except msgspec.ValidationError as error:
            raise ConfigError(key, value, _RIGHT.get(each.type, f"of its type; {error}")) from None
        if isinstance(converted, list | tuple):
            if list(value) != list(converted):  # msgspec has made structs of dicts
                raise ConfigError(key, value, _RIGHT[each.type])
            for index, item in enumerate(value):
                if isinstance(item, msgspec.Struct):
                    _check_fields(f"{key}[{index}]", item)


def card_json(card: AgentCard, url: str, *, extended: bool = False, v0_3: bool = True) -> dict[str, Any]:
    """The card as it is served at `url`, as JSON. With `v0_3` it also has the fields for readers of 0.3.

    `extended` says whether authenticated callers can get an extended card (section 3.1.11).
    """
    # Callers append a path to the URL of an HTTP+JSON interface (section 11.3), so it has no slash at its end.
    base = url.rstrip("/")
    body: dict[str, Any] = {
        "name": card.name,
        "description": card.description,
        "version": card.version,
        "supportedInterfaces": [
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {"url": base, "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "0.3"},
        ],
        "capabilities": {
            "streaming": True,
            "pushNotifications": True,
            "extendedAgentCard": extended,
            "extensions": [
                {
                    "uri": EXTENSION,
                    "description": "Every event has a seq; Last-Event-ID resumes any stream of a task after it.",
                    "required": False,
                },
                *msgspec.to_builtins(card.extensions),
            ],
        },
        "defaultInputModes": card.input_modes,
        "defaultOutputModes": card.output_modes,
        "skills": msgspec.to_builtins(card.skills),
    }
    optional = {
        "securitySchemes": card.security_schemes,
        "securityRequirements": card.security_requirements,
        "documentationUrl": card.documentation_url,
        "iconUrl": card.icon_url,
    }
    if v0_3 and card.v0_3:
        body |= {
            "url": url,
            "preferredTransport": "JSONRPC",
            "protocolVersion": "0.3.0",
            "supportsAuthenticatedExtendedCard": extended,
        }
    return body | {key: value for key, value in optional.items() if value}
