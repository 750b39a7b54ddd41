"""Agents' cards as other people's clients get them here: with this gateway's addresses, and what it takes to come in.

An agent's own card names the address by which our functions call it, and how they prove who they are.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

# Of a card for readers of 0.3.
_V0_3 = ("url", "preferredTransport", "additionalInterfaces", "protocolVersion", "supportsAuthenticatedExtendedCard",
         "security")  # fmt: skip
_SCHEME = "token"
_ABOUT = "A token of this gateway, which its operator makes."


def agent_path(name: str) -> str:
    """The path of the agent with this name at the gateway."""
    return f"/agents/{quote(name, safe='')}/"


def public_card(card: dict[str, Any], url: str, *, v0_3: bool) -> dict[str, Any]:
    """The `card` of an agent that is reached at `url`, which ends with a slash; with `v0_3` with the fields of 0.3.

    0.3 and 1.0 write a security scheme in different ways; a scheme that is written in both is understood by readers
    of both.
    """
    scheme: dict[str, Any] = {"httpAuthSecurityScheme": {"scheme": "Bearer", "description": _ABOUT}}
    shown = {key: value for key, value in card.items() if key not in _V0_3}
    shown["supportedInterfaces"] = [
        {**each, "url": url if each.get("protocolBinding") == "JSONRPC" else url.rstrip("/")}
        for each in card.get("supportedInterfaces", ())
        if each.get("protocolBinding") in ("JSONRPC", "HTTP+JSON")
    ]
    shown["securityRequirements"] = [{"schemes": {_SCHEME: {"list": []}}}]
    if v0_3 and "url" in card:
        shown |= {key: card[key] for key in _V0_3 if key in card and key != "additionalInterfaces"}
        shown |= {"url": url, "preferredTransport": "JSONRPC", "security": [{_SCHEME: []}]}
        scheme |= {"type": "http", "scheme": "bearer", "description": _ABOUT}
    return shown | {"securitySchemes": {_SCHEME: scheme}}
