"""The gateway's own packages and its author's file: in what `sam build` makes, for the template's architecture."""

from __future__ import annotations

from pathlib import Path

from tests.deploy.added_agent import with_added_agent
from tests.deploy.programs import ARCHITECTURE, make
from tests.deploy.test_build import LAYERS, MB, in_function, size

# The machine types in the headers of ELF files.
MACHINES = {"arm64": 183, "x86_64": 62}
AUTH = """
from langgraph_sdk import Auth

auth = Auth()

@auth.authenticate
async def authenticate(headers: dict) -> str:
    return headers[b"x-team-key"].decode()
"""
# Both ways in at once: the gateway starts with them, by what was built alone.
STARTS = """
import gateway.handler
import jwt, cryptography, langgraph_sdk
print(json.dumps([each.__file__ for each in (jwt, cryptography, langgraph_sdk)]))
"""


def built_gateway(folder: Path, architecture: str, packages: str) -> Path:
    """Build the gateway with packages of its own and an author's file into `folder`/GatewayFunction; return that.

    Every library in it is for the architecture.
    """
    functions = with_added_agent(folder / "tree") / "functions"
    (functions / "gateway" / "requirements.txt").write_text(packages)
    (functions / "gateway" / "auth.py").write_text(AUTH)
    function = make("GatewayFunction", functions, folder / "GatewayFunction", architecture=architecture)
    libraries = list(function.rglob("*.so"))
    assert [each for each in libraries if "cryptography" in each.parts]
    for library in libraries:
        assert int.from_bytes(library.read_bytes()[18:20], "little") == MACHINES[architecture], library
    return function


def test_the_gateway_has_the_packages_of_its_list_and_the_authors_file(
    build: Path, python313: str, runtime: Path, tmp_path: Path
) -> None:
    function = built_gateway(tmp_path, ARCHITECTURE, "PyJWT[crypto]\nlanggraph-sdk\n")
    assert size(function) < 100 * MB
    for layer in LAYERS["Gateway"]:
        (tmp_path / layer).symlink_to(build / layer)
    variables = {"OIDC_ISSUER": "https://issuer.example", "OIDC_CLIENT_ID": "tailrace", "OIDC_AUDIENCE": "api",
                 "AUTH": "gateway/auth.py:auth"}  # fmt: skip
    places, _ = in_function(
        *(tmp_path, python313, "Gateway", f"import os; os.chdir({str(function)!r})\n{STARTS}", runtime),
        **{f"TAILRACE_{name}": value for name, value in variables.items()},
    )
    assert all(place.startswith(str(function)) for place in places)


def test_the_gateways_own_packages_are_for_the_functions_architecture_and_not_for_this_machines(
    python313: str, tmp_path: Path
) -> None:
    other = next(each for each in MACHINES if each != ARCHITECTURE)
    built_gateway(tmp_path, other, "PyJWT[crypto]\n")


def test_without_a_list_the_gateway_has_no_package_of_its_own(build: Path) -> None:
    assert not [
        each for each in ("jwt", "cryptography", "langgraph_sdk") if (build / "GatewayFunction" / each).exists()
    ]
