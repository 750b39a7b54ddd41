"""What is different on AWS: signatures by the published recipe, and a front door that is closed by default."""

from __future__ import annotations

import hashlib
import hmac

import httpx
import pytest
from starlette.requests import Request

from gateway.owner import digest_owner, secret_owner
from tailrace import aws
from tailrace.config import Settings
from tailrace.errors import ConfigError
from tailrace.owner import SHARED_OWNER, DecideOwner

URL = "https://abc123.lambda-url.eu-west-1.on.aws/"


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the-token")


def signed(request: httpx.Request) -> httpx.Request:
    return next(aws.FunctionUrlAuth().auth_flow(request))


def signature_of(request: httpx.Request) -> str:
    """The signature worked out by hand (IAM User Guide, "Create a signed AWS API request")."""
    headers = request.headers
    _, fields = headers["authorization"].split(" ", 1)
    parts = dict(field.strip().split("=", 1) for field in fields.split(","))
    names = parts["SignedHeaders"].split(";")
    _, date, region, service, kind = parts["Credential"].split("/")
    canonical = "\n".join(
        [request.method, request.url.path, request.url.query.decode()]
        + [f"{name}:{headers[name].strip()}" for name in names]
        + ["", ";".join(names), hashlib.sha256(request.content).hexdigest()]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = "\n".join(("AWS4-HMAC-SHA256", headers["x-amz-date"], f"{date}/{region}/{service}/{kind}", digest))
    key = b"AWS4wJalrXUtnFEMI"
    for part in (date, region, service, kind):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


@pytest.mark.usefixtures("role")
def test_a_call_to_a_function_url_is_signed_as_aws_says() -> None:
    request = signed(httpx.Request("POST", URL, json={"jsonrpc": "2.0"}, headers={"x-tailrace-owner": "o"}))
    authorization = request.headers["authorization"]
    assert "/eu-west-1/lambda/aws4_request" in authorization
    assert request.headers["x-amz-security-token"] == "the-token"
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(request.content).hexdigest()
    assert authorization.endswith(signature_of(request))
    assert request.headers["x-tailrace-owner"] == "o"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8081/",
        "https://agent.example/",
        "https://abc.lambda-url.eu-west-1.on.aws.evil.example/",
        "https://evil.example/?abc.lambda-url.eu-west-1.on.aws",
    ],
)
@pytest.mark.usefixtures("role")
def test_nobody_else_gets_a_signature(url: str) -> None:
    request = signed(httpx.Request("GET", url))
    assert "authorization" not in request.headers
    assert "x-amz-security-token" not in request.headers


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "path": "/", "headers": raw})


def test_the_secret_opens_the_front_door_by_header_or_cookie() -> None:
    decide = secret_owner("correct horse battery")
    assert decide(request(x_tailrace_secret="correct horse battery")) == SHARED_OWNER
    assert decide(request(cookie="a=b; tailrace-secret=correct%20horse%20battery")) == SHARED_OWNER
    for wrong in ({}, {"x_tailrace_secret": "wrong"}, {"x_tailrace_secret": "é"}, {"cookie": "tailrace-secret="}):
        assert decide(request(**wrong)) is None


def test_a_function_needs_only_the_hash_of_the_secret() -> None:
    secret = "correct horse battery"
    hashed = Settings.load({"TAILRACE_ACCESS_SECRET_SHA256": hashlib.sha256(secret.encode()).hexdigest()})
    decide = digest_owner(hashed.access_digest)
    assert decide(request(x_tailrace_secret=secret)) == SHARED_OWNER
    assert decide(request(x_tailrace_secret=hashed.access_secret_sha256)) is None
    assert decide(request()) is None
    assert Settings.load({"TAILRACE_ACCESS_SECRET": secret}).access_digest == hashed.access_digest
    # Somebody may have written the secret itself, which no message repeats.
    with pytest.raises(ConfigError, match=r"TAILRACE_ACCESS_SECRET_SHA256 .*hidden") as refused:
        Settings.load({"TAILRACE_ACCESS_SECRET_SHA256": secret})
    assert secret not in str(refused.value)


@pytest.mark.parametrize("decide", [secret_owner(""), digest_owner(Settings().access_digest)])
def test_without_a_secret_the_front_door_is_closed(decide: DecideOwner) -> None:
    assert decide(request()) is None
    assert decide(request(x_tailrace_secret="")) is None
    assert decide(request(x_tailrace_secret="anything")) is None


def test_a_function_invokes_itself_as_it_was_invoked(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its alias, if that is known, to which the rules of asynchronous invocations belong."""
    assert aws.own_function() is None
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "agent")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_VERSION", "7")
    assert aws.own_function() == "agent:7"
    arn = "arn:aws:lambda:us-east-1:123456789012:function:agent:live"
    token = aws.invoked_as.set(arn)
    assert aws.own_function() == arn
    aws.invoked_as.reset(token)
