"""Whether the gateway would start with the template's parameters, and has what they need. For `deploy/preflight.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from tailrace.config import Settings
from tailrace.errors import ConfigError

# The settings that are parameters as they are.
_SETTINGS = re.compile(r"^ +(TAILRACE_\w+): !Ref (\w+)$", re.MULTILINE)
_AUTH = re.compile(r"gateway/(?P<file>\w+\.py):[A-Za-z_]\w*")
_IMPORTS_SDK = re.compile(r"^\s*(?:from|import) +langgraph_sdk\b", re.MULTILINE)
PACKAGES = "functions/gateway/requirements.txt"


def examined(
    parameters: Mapping[str, str], *, secret: bool, functions: Path, template: Path
) -> Iterator[tuple[Literal["note", "problem"], str]]:
    """Yield what the gateway would refuse or lack, and what to do. `secret` says whether there is a shared one."""
    named = dict(_SETTINGS.findall(template.read_text()))
    try:
        Settings.load({variable: parameters.get(name, "") for variable, name in named.items()})
    except ConfigError as error:
        yield "problem", re.sub(r"TAILRACE_\w+", lambda found: named.get(found[0], found[0]), str(error))
    listed = functions / "gateway" / "requirements.txt"
    packages = listed.read_text() if listed.exists() else ""
    if audience := parameters.get("OidcAudience", ""):
        has = _names(packages)
        if "pyjwt[crypto]" not in has and not {"pyjwt", "cryptography"} <= has:
            text = f"OidcAudience={audience} needs PyJWT, which checks the issuer's tokens, beside the gateway"
            yield "problem", f"{text}: echo 'PyJWT[crypto]' >> {PACKAGES}"
    if auth := parameters.get("Auth", ""):
        yield from _authors(auth, functions / "gateway", _names(packages))
        if secret:
            yield "note", "With Auth=… the shared secret opens nothing: your own function decides who comes in"


def _authors(auth: str, gateway: Path, packages: set[str]) -> Iterator[tuple[Literal["problem"], str]]:
    right = "gateway/auth.py:auth, for what functions/gateway/auth.py calls auth"
    match = _AUTH.fullmatch(auth)
    if match is None:
        yield "problem", f"Auth has value {auth!r}, but must be like {right}"
    elif not (file := gateway / match["file"]).is_file():
        yield "problem", f"Auth has value {auth!r}, but functions/gateway has no {file.name}: it must be like {right}"
    elif _IMPORTS_SDK.search(file.read_text()) and "langgraph-sdk" not in packages:
        text = f"functions/gateway/{file.name} imports langgraph_sdk, which is not beside the gateway"
        yield "problem", f"{text}: echo langgraph-sdk >> {PACKAGES}"


def _names(requirements: str) -> set[str]:
    """The packages that a list names, in lower case and with -, with their extras."""
    found = re.findall(r"^\s*([A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?)", requirements, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", each).lower().replace(" ", "") for each in found}
