"""An id token counts only if it is this issuer's, for this client, of this sign-in, and of now."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from gateway.client_secret import ClientSecret
from gateway.oidc import SignInError, allows, check_claims, claims_in
from gateway.problems import Problem
from gateway.sign_in import path_in
from tailrace.config import Settings
from tailrace.errors import ConfigError

NOW = 1_700_000_000.0
ISSUER = "https://issuer.example/tenant"
SETTINGS = Settings(oidc_issuer=ISSUER, oidc_client_id="tailrace")
RIGHT: dict[str, Any] = {"iss": ISSUER, "aud": "tailrace", "exp": NOW + 300, "nonce": "n", "sub": "ada"}


def test_a_right_id_token_counts() -> None:
    for more in ({}, {"aud": ["tailrace"]}, {"azp": "tailrace"}, {"aud": ["tailrace", "x"], "azp": "tailrace"}):
        check_claims({**RIGHT, **more}, SETTINGS, nonce="n", now=NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://issuer.example"},
        {"iss": f"{ISSUER}/"},
        {"iss": None},
        {"aud": "other"},
        {"aud": []},
        {"aud": None},
        {"aud": ["tailrace", "other"]},
        {"aud": "tailrace2"},
        {"azp": "other"},
        {"exp": NOW - 60},
        {"exp": None},
        {"exp": "2100-01-01"},
        {"exp": True},
        {"nonce": "m"},
        {"nonce": None},
        {"nonce": ""},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"sub": "x" * 256},
    ],
)
def test_a_wrong_id_token_does_not_count(wrong: dict[str, Any]) -> None:
    with pytest.raises(SignInError):
        check_claims({**RIGHT, **wrong}, SETTINGS, nonce="n", now=NOW)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "a.!!.c", "a.bm8.c", f"a.{'x' * 40_000}.c", "a.W10.c"])
def test_what_is_no_id_token_is_refused_in_words(text: str) -> None:
    with pytest.raises(SignInError):
        claims_in(text)


def test_claims_are_read_from_an_id_token() -> None:
    payload = base64.urlsafe_b64encode(msgspec.json.encode({"sub": "adä"})).decode().rstrip("=")
    assert claims_in(f"e30.{payload}.x") == {"sub": "adä"}


@pytest.mark.parametrize(
    ("allowed", "claims", "let_in"),
    [
        ("", {}, True),
        ("hd=example.com", {"hd": "example.com"}, True),
        ("hd=example.com", {"hd": "evil.example"}, False),
        ("hd=example.com", {}, False),
        ("groups=ops,groups=dev", {"groups": ["x", "dev"]}, True),
        ("groups=ops", {"groups": ["operations"]}, False),
        ("groups=ops,hd=example.com", {"groups": ["ops"]}, False),
        ("email=@example.com", {"email": "Ada@Example.com", "email_verified": True}, True),
        ("email=@example.com", {"email": "ada@example.com"}, False),
        ("email=@example.com", {"email": "ada@example.com", "email_verified": "true"}, False),
        ("email=@example.com", {"email": "ada@example.com.evil.example", "email_verified": True}, False),
        ("email=@example.com", {"email": "ada@notexample.com", "email_verified": True}, False),
        ("email=ada@example.com", {"email": "ada@example.com", "email_verified": True}, True),
        ("email=ada@example.com", {"email": "eve+ada@example.com", "email_verified": True}, False),
    ],
)
def test_who_may_come_in_has_each_claim(allowed: str, claims: dict[str, Any], let_in: bool) -> None:
    settings = Settings(oidc_issuer=ISSUER, oidc_client_id="t", oidc_claims=allowed)
    assert allows(settings.allowed_claims, claims) is let_in


def going_to(to: str) -> Request:
    query = msgspec.json.encode(to)  # percent-encoded below, as a browser does
    encoded = "".join(f"%{byte:02x}" for byte in msgspec.json.decode(query, type=str).encode())
    return Request({"type": "http", "query_string": f"to={encoded}".encode(), "headers": []})


@pytest.mark.parametrize(
    "to",
    [
        "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "http:evil.example",
        "evil.example", "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "\t//evil.example",
        " //evil.example", "///evil.example", "/ü", "", "?task=1", "/" + "x" * 2000, "/" + '"' * 700,
        "/a\r\nSet-Cookie: x=y", "/a b",
    ],
)  # fmt: skip
def test_a_sign_in_leads_to_no_other_site(to: str) -> None:
    with pytest.raises(Problem, match="must be a path of this site"):
        path_in(going_to(to))


@pytest.mark.parametrize("to", ["/", "/?task=1&x=%2F", "/a/b?c=d#e", "/x//y"])
def test_a_sign_in_leads_back_to_a_path_of_this_site(to: str) -> None:
    assert path_in(going_to(to)) == to


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TAILRACE_OIDC_ISSUER", "http://issuer.example"),
        ("TAILRACE_OIDC_ISSUER", "https://issuer.example?x"),
        ("TAILRACE_OIDC_ISSUER", "https://user@issuer.example"),
        ("TAILRACE_OIDC_ISSUER", "issuer.example"),
        ("TAILRACE_OIDC_CLIENT_ID", ""),
        ("TAILRACE_OIDC_CLIENT_SECRET", "the-secret-itself"),
        ("TAILRACE_OIDC_CLAIMS", "groups"),
    ],
)
def test_a_wrong_setting_of_sign_in_is_refused_by_name(variable: str, value: str) -> None:
    right = {"TAILRACE_OIDC_ISSUER": ISSUER, "TAILRACE_OIDC_CLIENT_ID": "tailrace"}
    with pytest.raises(ConfigError, match=variable) as refused:
        Settings.load({**right, variable: value})
    assert "the-secret-itself" not in str(refused.value)


async def test_the_clients_secret_is_read_where_the_setting_says(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("of a file\n")
    monkeypatch.setenv("A_SECRET", "of a variable")
    for reference, secret in ((f"file:{tmp_path}/secret", "of a file"), ("env:A_SECRET", "of a variable"), ("", "")):
        settings = Settings(oidc_issuer=ISSUER, oidc_client_id="t", oidc_client_secret=reference)
        assert await ClientSecret(settings).current() == secret
    missing = Settings(oidc_issuer=ISSUER, oidc_client_id="t", oidc_client_secret="env:NOT_THERE")
    with pytest.raises(ConfigError, match=r"TAILRACE_OIDC_CLIENT_SECRET has value 'env:NOT_THERE'.*it is empty"):
        await ClientSecret(missing).current()
