"""A token of the issuer counts if its key has signed it for this gateway, and for as long as it says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import gateway.issuer_tokens
from gateway.app import create_app
from gateway.client_secret import ClientSecret
from gateway.guesses import LIMIT
from gateway.owner import secret_owner
from tailrace.access.store import MemoryCredentials
from tailrace.config import Settings
from tailrace.errors import ConfigError
from tailrace.log.memory import MemoryLog
from tailrace.owner import Owner
from tests.contract.log_tasks import created
from tests.support.http import serve
from tests.support.issuer import CLIENT_ID, Issuing, issuing

AUDIENCE = "https://tailrace.example/api"
FIRST, SECOND, STRANGE = (rsa.generate_private_key(65537, 2048) for _ in range(3))
CURVE = ec.generate_private_key(ec.SECP256R1())


class Publishing:
    """An issuer that publishes `keys`. `asked` counts how often it was asked for them."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [published(FIRST, "first")]
        self.asked = 0
        self.is_down = False

    def app(self) -> Starlette:
        return Starlette(
            routes=[Route("/.well-known/openid-configuration", self._metadata), Route("/keys", self._published)]
        )

    async def _metadata(self, request: Request) -> Response:
        own = str(request.base_url).rstrip("/")
        endpoints = {f"{name}_endpoint": f"{own}/{name}" for name in ("authorization", "token")}
        return JSONResponse({"issuer": own, "jwks_uri": f"{own}/keys", **endpoints})

    async def _published(self, _: Request) -> Response:
        self.asked += 1
        return Response(status_code=500) if self.is_down else JSONResponse({"keys": self.keys})


def published(key: Any, key_id: str, **more: str) -> dict[str, Any]:
    algorithm: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": key_id, **more}


class Site:
    def __init__(self, http: httpx.AsyncClient, issuer: Publishing, issuer_url: str, log: MemoryLog) -> None:
        self.http, self.issuer, self.issuer_url, self.log = http, issuer, issuer_url, log

    def claims(self, **changed: Any) -> dict[str, Any]:
        right = {"iss": self.issuer_url, "aud": AUDIENCE, "sub": "ada", "exp": int(time.time()) + 300}
        return {name: value for name, value in {**right, **changed}.items() if value is not None}

    def token(self, key: Any = FIRST, kid: str = "first", algorithm: str = "RS256", **changed: Any) -> str:
        return jwt.encode(self.claims(**changed), key, algorithm, headers={"kid": kid} if kid else None)

    async def status(self, token: str, path: str = "/api/tasks") -> int:
        return (await self.http.get(path, headers={"authorization": f"Bearer {token}"})).status_code


@asynccontextmanager
async def site_of(**settings: Any) -> AsyncIterator[Site]:
    issuer, log = Publishing(), MemoryLog()
    async with serve(issuer.app()) as issuer_url:
        chosen = Settings(
            log="memory",
            orchestrator_url="http://127.0.0.1:9/",
            oidc_issuer=issuer_url,
            oidc_client_id="tailrace",
            oidc_audience=AUDIENCE,
            **settings,
        )
        app = create_app(chosen, log=log, credentials=MemoryCredentials(), decide_owner=secret_owner(""))
        async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
            yield Site(http, issuer, issuer_url, log)


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    async with site_of() as site:
        yield site


async def test_a_token_acts_as_who_signs_in_with_the_same_subject_and_sees_nothing_of_others(site: Site) -> None:
    owner = Owner.of_subject(site.issuer_url, "ada", "Ada")
    task = await created(site.log, owner=owner.id)
    ada, bob = site.token(name="Ada"), site.token(sub="bob")
    me = (await site.http.get("/api/auth/me", headers={"authorization": f"Bearer {ada}"})).json()
    assert (me["id"], me["name"], me["kind"]) == (owner.id, "Ada", "jwt")
    assert me["left"]["tasksAnHour"] == 600
    assert [await site.status(each, f"/api/tasks/{task}") for each in (ada, bob)] == [200, 404]


async def test_a_program_gets_its_token_from_a_real_issuer(issuer: Issuing) -> None:
    settings = issuer.settings(oidc_audience=AUDIENCE)
    app = create_app(settings, log=MemoryLog(), credentials=MemoryCredentials(), decide_owner=secret_owner(""))
    async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
        for audience, status in ((AUDIENCE, 200), ("https://another.example/api", 401)):
            form = {"grant_type": "client_credentials", "resource": audience}
            answer = await http.post(
                f"{issuer.url}/token", data=form, auth=(CLIENT_ID, await ClientSecret(settings).current())
            )
            bearer = {"authorization": f"Bearer {answer.json()['access_token']}"}
            assert (await http.get("/api/tasks", headers=bearer)).status_code == status
            if status == 200:
                me = (await http.get("/api/auth/me", headers=bearer)).json()
                assert me["id"] == Owner.of_subject(issuer.url, CLIENT_ID, "").id


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuing]:
    with issuing(str(tmp_path_factory.mktemp("issuer"))) as started:
        yield started


def wrong_claims() -> list[dict[str, Any]]:
    """What makes a token count no more, of the moment of the call."""
    now = int(time.time())
    return [
        {"iss": "https://evil.example"}, {"iss": None}, {"aud": "tailrace"}, {"aud": None}, {"aud": []},
        {"aud": [f"{AUDIENCE}/x"]}, {"exp": None}, {"exp": now - 61}, {"exp": "soon"}, {"exp": []},
        {"nbf": now + 600}, {"sub": None}, {"sub": ""}, {"sub": "x" * 256},
    ]  # fmt: skip


async def test_a_token_that_is_anothers_or_for_another_or_over_does_not_count(site: Site) -> None:
    assert await site.status(site.token(aud=["x", AUDIENCE])) == 200
    for changed in wrong_claims():
        claims = base64.urlsafe_b64encode(json.dumps(site.claims(**changed)).encode()).rstrip(b"=")
        assert await site.status(signed(b"RS256", claims)) == 401, changed
    assert await site.status(site.token(STRANGE)) == 401


def signed(algorithm: bytes, claims: bytes) -> str:
    """A token whose claims PyJWT would refuse to write."""
    header = base64.urlsafe_b64encode(b'{"alg":"%s","kid":"first"}' % algorithm).rstrip(b"=")
    signature = RSAAlgorithm(RSAAlgorithm.SHA256).sign(header + b"." + claims, FIRST)
    return b".".join((header, claims, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()


async def test_no_other_algorithm_than_the_keys_counts(site: Site) -> None:
    """Neither none at all, nor one that takes the public key, which everybody has, for a shared secret."""
    public = FIRST.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    none = jwt.encode(site.claims(), None, "none", headers={"kid": "first"})
    header, claims, _ = site.token().split(".")
    forged_header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"first"}').rstrip(b"=").decode()
    mac = hmac.digest(public, f"{forged_header}.{claims}".encode(), hashlib.sha256)
    forged = f"{forged_header}.{claims}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    for token in (none, forged, f"{header}.{claims}.", site.token(algorithm="PS256"), site.token(algorithm="RS512")):
        assert await site.status(token) == 401
    assert await site.status(site.token()) == 200


async def test_a_shared_secret_that_an_issuer_publishes_is_no_key(site: Site) -> None:
    secret = b"correct-horse-battery-staple-and-more"
    key = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    site.issuer.keys = [{"kty": "oct", "k": key, "kid": "first"}, published(FIRST, "second", use="enc")]
    assert await site.status(jwt.encode(site.claims(), secret, "HS256", headers={"kid": "first"})) == 401
    assert await site.status(site.token(kid="second")) == 401


MALFORMED: list[dict[str, Any]] = [
    published(FIRST, "x", alg="none"),
    {**published(FIRST, "x"), "alg": ["RS256"]},
    {**published(FIRST, "x"), "kid": ["x"]},
    {**published(FIRST, "x"), "n": 5},
    {"kty": "oct", "kid": "x"},
    {"kid": "x"},
]


@pytest.mark.parametrize("malformed", MALFORMED)
async def test_a_malformed_key_costs_neither_the_others_nor_an_error(site: Site, malformed: dict[str, Any]) -> None:
    site.issuer.keys = [malformed, published(FIRST, "first")]
    assert await site.status(site.token(kid="x")) == 401
    assert await site.status(site.token()) == 200


async def test_no_token_counts_of_an_issuer_that_publishes_no_key_of_use(site: Site) -> None:
    site.issuer.keys = [published(FIRST, "first", use="enc")]
    assert await site.status(site.token()) == 401  # it has answered


async def test_a_new_key_counts_at_once_and_unknown_ones_are_asked_for_once_a_minute(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await site.status(site.token()) == 200
    clock = [time.monotonic()]
    monkeypatch.setattr(gateway.issuer_tokens.time, "monotonic", lambda: clock[0])
    site.issuer.keys = [published(SECOND, "second"), published(CURVE, "curve"), {"kty": "new", "kid": "x"}]
    for n in range(20):
        assert await site.status(site.token(STRANGE, kid=f"made up {n}")) == 401
    assert site.issuer.asked == 1
    clock[0] += 60
    assert await site.status(site.token(SECOND, kid="second")) == 200
    assert await site.status(site.token(CURVE, kid="curve", algorithm="ES256")) == 200
    assert await site.status(site.token()) == 401  # the issuer has withdrawn its key
    assert site.issuer.asked == 2


async def test_a_token_without_a_key_id_is_that_of_the_only_key(site: Site) -> None:
    assert await site.status(site.token(kid="")) == 200
    assert await site.status(site.token(STRANGE, kid="")) == 401


async def test_an_issuer_that_is_down_keeps_its_keys_and_refuses_nobody_for_good(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.issuer.is_down = True
    answer = await site.http.get("/api/tasks", headers={"authorization": f"Bearer {site.token()}"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    clock = [time.monotonic() + 60]
    monkeypatch.setattr(gateway.issuer_tokens.time, "monotonic", lambda: clock[0])
    site.issuer.is_down = False
    assert await site.status(site.token()) == 200
    site.issuer.is_down = True
    clock[0] += 7200
    assert await site.status(site.token()) == 200


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        "e30.e30.e30",
        f"{base64.b64encode(b'[' * 9_000).decode()}.e30.x",
        f"e30.{'x' * 17_000}.x",
        "é.é.é",
    ],
)
async def test_what_is_no_token_is_refused_and_is_no_guess(site: Site, token: str) -> None:
    for _ in range(LIMIT + 1):
        refused = await site.http.get("/api/tasks", headers={"authorization": f"Bearer {token}".encode()})
        assert refused.status_code == 401
    assert await site.status(site.token()) == 200


async def test_only_who_has_the_allowed_claims_comes_in() -> None:
    async with site_of(oidc_claims="groups=ops") as site:
        assert await site.status(site.token(groups=["ops"])) == 200
        assert await site.status(site.token(groups=["dev"])) == 401
        assert await site.status(site.token()) == 401


@pytest.mark.parametrize("missing", ["jwt", "cryptography"])
def test_an_audience_needs_an_issuer_and_what_checks_its_tokens(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"TAILRACE_OIDC_AUDIENCE has value 'x', but must be set with"):
        Settings(oidc_audience="x")
    monkeypatch.delitem(sys.modules, "gateway.issuer_tokens", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    settings = Settings(log="memory", oidc_issuer="https://issuer.example", oidc_client_id="c", oidc_audience="x")
    with pytest.raises(ConfigError, match=r"TAILRACE_OIDC_AUDIENCE .* PyJWT\[crypto\] named in functions/"):
        create_app(settings)
