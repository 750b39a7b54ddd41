"""`make preflight` says before a deploy what the gateway would refuse or lack at its start."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.door import examined
from tests.deploy.accounts import account
from tests.deploy.programs import ROOT

ISSUER = {"OidcIssuer": "https://issuer.example", "OidcClientId": "tailrace"}
WITH_SDK = "from langgraph_sdk import Auth\nauth = Auth()\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "functions" / "gateway").mkdir(parents=True)
    return tmp_path


def said(project: Path, parameters: dict[str, str], *, secret: bool = False) -> list[str]:
    found = examined(parameters, secret=secret, functions=project / "functions", template=ROOT / "template.yaml")
    return [f"{kind}: {text}" for kind, text in found]


def done(project: Path, text: str) -> None:
    """Run the command that a finding ends with."""
    subprocess.run(text.rpartition(": ")[2], shell=True, check=True, cwd=project)


def test_what_needs_nothing_passes(project: Path) -> None:
    assert said(project, {}, secret=True) == []
    assert said(project, {**ISSUER, "OidcClaims": "groups=ops", "CorsOrigins": "https://friend.example"}) == []


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"OidcIssuer": "https://issuer.example"}, "OidcClientId has value '', but must be set together with Oidc"),
        ({"OidcAudience": "api"}, "OidcAudience has value 'api', but must be set with OidcIssuer, or left out"),
        ({**ISSUER, "OidcClaims": "ops"}, "OidcClaims has value 'ops', but must be claim=value"),
        ({"CorsOrigins": "https://friend.example/x"}, "CorsOrigins has value 'https://friend.example/x', but must be"),
    ],
)
def test_what_the_gateway_would_refuse_is_told_by_the_parameters_name(
    project: Path, parameters: dict[str, str], words: str
) -> None:
    assert said(project, parameters)[0].startswith(f"problem: {words}")


@pytest.mark.parametrize("listed", ["", "PyJWT>=2.10\n", "# PyJWT[crypto]\n", "pyjwt-extras[crypto]\n"])
def test_an_audience_needs_what_checks_its_tokens_and_the_command_helps(project: Path, listed: str) -> None:
    requirements = project / "functions" / "gateway" / "requirements.txt"
    requirements.write_text(listed)
    (problem,) = said(project, {**ISSUER, "OidcAudience": "api"})
    assert problem.startswith("problem: OidcAudience=api needs PyJWT")
    done(project, problem)
    assert said(project, {**ISSUER, "OidcAudience": "api"}) == []


@pytest.mark.parametrize(
    "listed", ["pyjwt[crypto]==2.10.1 \\\n    --hash=sha256:00", "pyjwt==2.10.1\ncryptography==45"]
)
def test_a_locked_list_counts(project: Path, listed: str) -> None:
    (project / "functions" / "gateway" / "requirements.txt").write_text(listed)
    assert said(project, {**ISSUER, "OidcAudience": "api"}) == []


@pytest.mark.parametrize(
    "auth", ["auth.py:auth", "functions/gateway/auth.py:auth", "gateway/auth.py", "gateway/x.py:a"]
)
def test_an_authors_own_way_is_refused_with_where_its_file_has_to_be(project: Path, auth: str) -> None:
    (project / "functions" / "gateway" / "auth.py").write_text("auth = 1\n")
    (problem,) = said(project, {"Auth": auth})
    assert problem.startswith(f"problem: Auth has value {auth!r}, but ")
    assert "like gateway/auth.py:auth, for what functions/gateway/auth.py calls auth" in problem


def test_an_authors_own_way_needs_the_package_that_it_imports_and_the_command_helps(project: Path) -> None:
    file = project / "functions" / "gateway" / "auth.py"
    file.write_text("auth = 1  # not from langgraph_sdk\n")
    assert said(project, {"Auth": "gateway/auth.py:auth"}) == []
    file.write_text(WITH_SDK)
    (problem,) = said(project, {"Auth": "gateway/auth.py:auth"})
    assert problem.startswith("problem: functions/gateway/auth.py imports langgraph_sdk")
    done(project, problem)
    assert said(project, {"Auth": "gateway/auth.py:auth"}) == []
    (note,) = said(project, {"Auth": "gateway/auth.py:auth"}, secret=True)
    assert note.startswith("note: With Auth=… the shared secret opens nothing")


def test_the_preflight_fails_with_it_before_anything_is_built() -> None:
    with account() as aws:
        failed = aws.run("preflight", "tailrace", "Auth=gateway/auth.py:auth", TAILRACE_ACCESS_SECRET="")
    assert failed.status == 1
    assert "FAILS  door         Auth has value 'gateway/auth.py:auth', but functions/gateway has no auth.py" in (
        failed.printed
    )
    assert "only machines with tokens" not in failed.printed
