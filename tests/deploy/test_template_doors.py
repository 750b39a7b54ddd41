"""The template lets the gateway distinguish requests of its own page from those of other sites."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tailrace.aws import AUTHORIZATION, VIEWER_ADDRESS, VIEWER_HOST
from tests.deploy.programs import ROOT, Resources, run
from tests.deploy.resources import AGENTS, of, plainly


def viewer_host(stack: Resources) -> tuple[str, dict[str, Any]]:
    """Return the name and the properties of the only CloudFront function."""
    ((name, function),) = of(stack, "AWS::CloudFront::Function").items()
    return name, function


def test_every_request_for_the_api_and_the_agents_goes_through_the_function(stack: Resources) -> None:
    name, function = viewer_host(stack)
    behaviours = stack["Distribution"]["Properties"]["DistributionConfig"]["CacheBehaviors"]
    assert [each["PathPattern"] for each in behaviours] == [
        "/api/agui/*", "/api/chat*", "/api/*", "/agents/*", "/.well-known/agent-card.json",
    ]  # fmt: skip
    arn = {"Fn::GetAtt": [name, "FunctionMetadata.FunctionARN"]}
    for each in behaviours:
        assert each["FunctionAssociations"] == [{"EventType": "viewer-request", "FunctionARN": arn}]
        assert each["Compress"] is False
    # An unpublished function cannot be associated.
    assert function["AutoPublish"] is True


def test_the_agents_api_lets_nothing_but_the_distribution_through(stack: Resources) -> None:
    ((_, api),) = of(stack, "AWS::ApiGateway::RestApi").items()
    methods = [method for path in api["Body"]["paths"].values() for method in path.values()]
    assert len(methods) == 5
    assert all(method["security"] == [{"api_key": []}] for method in methods)
    assert api["Body"]["components"]["securitySchemes"]["api_key"]["name"] == "x-api-key"
    ((_, key),) = of(stack, "AWS::ApiGateway::ApiKey").items()
    origins = stack["Distribution"]["Properties"]["DistributionConfig"]["Origins"]
    (origin,) = [each for each in origins if each["Id"] == "agents"]
    # A header that the distribution adds takes the place of the viewer's.
    assert origin["OriginCustomHeaders"] == [{"HeaderName": "x-api-key", "HeaderValue": key["Value"]}]
    assert key["Value"] == {"Fn::Sub": "{{resolve:secretsmanager:${DistributionSecret}}}"}
    assert "OriginAccessControlId" not in origin
    ((_, plan),) = of(stack, "AWS::ApiGateway::UsagePlan").items()
    ((stage_name, stage),) = of(stack, "AWS::ApiGateway::Stage").items()
    assert plan["ApiStages"] == [{"ApiId": {"Ref": "AgentsApi"}, "Stage": {"Ref": stage_name}}]
    assert (origin["OriginPath"], stage["StageName"]) == ("/live", "live")


def test_the_api_streams_and_the_gateway_asks_the_agents(stack: Resources) -> None:
    ((_, api),) = of(stack, "AWS::ApiGateway::RestApi").items()
    chats = ("/api/agui/{proxy+}", "/api/chat", "/api/chat/{proxy+}")
    for path in ("/.well-known/agent-card.json", "/agents/{proxy+}", *chats):
        integration = api["Body"]["paths"][path]["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
        assert integration["responseTransferMode"] == "STREAM"
        assert integration["timeoutInMillis"] == 900_000
        uri = integration["uri"]["Fn::Sub"]
        assert uri.endswith("2021-11-15/functions/${GatewayFunctionAliaslive}/response-streaming-invocations")
    ((_, stage),) = of(stack, "AWS::ApiGateway::Stage").items()
    assert stage["Variables"] == {"responseTransferMode": "STREAM"}
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}


def test_a_web_acl_is_only_there_by_its_parameter(stack: Resources) -> None:
    wanted = stack["Distribution"]["Properties"]["DistributionConfig"]["WebACLId"]
    assert wanted == {"Fn::If": ["WithWebAcl", {"Ref": "WebAcl"}, {"Ref": "AWS::NoValue"}]}


def test_the_rate_rule_limits_each_address_and_keeps_no_request(sam: Path) -> None:
    """In a template of its own, because CloudFront's web ACLs are in us-east-1."""
    linted = run(sam / "cfn-lint", "--regions", "us-east-1", "--", ROOT / "deploy" / "rate-rule.yaml")
    assert linted.returncode == 0, linted.stdout
    made = plainly(json.loads(run(sam / "python", "-c", _AS_JSON, ROOT / "deploy" / "rate-rule.yaml").stdout))
    ((_, acl),) = of(made["Resources"], "AWS::WAFv2::WebACL").items()
    (rule,) = acl["Rules"]
    assert acl["Scope"] == "CLOUDFRONT"
    assert rule["Statement"] == {
        "RateBasedStatement": {"AggregateKeyType": "IP", "EvaluationWindowSec": 300, "Limit": {"Ref": "Limit"}}
    }
    assert rule["Action"]["Block"]["CustomResponse"]["ResponseCode"] == 429
    assert [each["VisibilityConfig"]["SampledRequestsEnabled"] for each in (acl, rule)] == [False, False]
    assert made["Outputs"]["Parameter"]["Value"] == {"Fn::Sub": "WebAcl=${WebAcl.Arn}"}


_AS_JSON = """
import json, sys
from samcli.yamlhelper import yaml_parse
print(json.dumps(yaml_parse(open(sys.argv[1]).read())))
"""


def test_no_agent_has_what_lets_people_in(stack: Resources) -> None:
    for name in AGENTS:
        variables = stack[name]["Properties"]["Environment"]["Variables"]
        assert not [each for each in variables if any(way in each for way in ("ACCESS", "OIDC", "AUTH"))]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"host": "d1.cloudfront.net"}, {VIEWER_HOST: "d1.cloudfront.net"}),
        ({"host": "d1.cloudfront.net", VIEWER_HOST: "evil.example"}, {VIEWER_HOST: "d1.cloudfront.net"}),
        ({VIEWER_HOST: "evil.example"}, {VIEWER_HOST: "unknown"}),
        ({}, {VIEWER_HOST: "unknown"}),
        ({VIEWER_ADDRESS: "127.0.0.1"}, {VIEWER_HOST: "unknown"}),
        ({"authorization": "Bearer x"}, {VIEWER_HOST: "unknown", AUTHORIZATION: "Bearer x"}),
        ({"authorization": "Bearer x", AUTHORIZATION: "y"}, {VIEWER_HOST: "unknown", AUTHORIZATION: "Bearer x"}),
        ({AUTHORIZATION: "Bearer x"}, {VIEWER_HOST: "unknown", AUTHORIZATION: None}),
    ],
)
def test_the_gateway_gets_what_cloudfront_knows_of_the_viewer_even_if_the_viewer_forges_it(
    stack: Resources, sent: dict[str, str], expected: dict[str, str | None]
) -> None:
    headers = {name: {"value": value} for name, value in sent.items()}
    cookies = {"__Host-tailrace": {"value": "x"}}
    result = answered(stack, {"method": "POST", "uri": "/api/tasks", "headers": headers, "cookies": cookies})
    told = {**sent, VIEWER_ADDRESS: "203.0.113.9", **expected}
    assert result["headers"] == {name: {"value": value} for name, value in told.items() if value is not None}
    assert (result["method"], result["uri"]) == ("POST", "/api/tasks")


def answered(stack: Resources, *requests: dict[str, Any], sign_in: str = "", cors: str = "", auth: str = "") -> Any:
    """What CloudFront's function makes of a request, or of each of several."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("install node to run CloudFront's function")
    text, values = viewer_host(stack)[1]["FunctionCode"]["Fn::Sub"]
    assert values == {"SignIn": {"Fn::If": ["WithSignIn", "api/auth/login", ""]}}
    events = json.dumps([{"request": each, "viewer": {"ip": "203.0.113.9"}} for each in requests])
    text = text.replace("${SignIn}", sign_in).replace("${CorsOrigins}", cors).replace("${Auth}", auth)
    code = f"{text}; console.log(JSON.stringify({events}.map(handler)))"
    done = subprocess.run([node, "-e", code], capture_output=True, check=True, text=True)
    results = json.loads(done.stdout)
    return results if len(requests) > 1 else results[0]


@pytest.mark.parametrize("sign_in", ["", "api/auth/login"], ids=["without an issuer", "with an issuer"])
def test_who_has_no_credential_is_turned_away_before_lambda_is_paid(stack: Resources, sign_in: str) -> None:
    refused = [("GET", "/api/tasks"), ("POST", "/api/tasks"), ("GET", "/api/stream/x"), ("GET", "/api/auth/me"),
               ("GET", "/api/health/x"), ("GET", "/api/x/.well-known/agent-card.json"), ("OPTIONS", "/api/tasks"),
               ("POST", "/agents/orchestrator/"), ("GET", "/agents/orchestrator/tasks")]  # fmt: skip
    passed = [("GET", "/api/health"), ("GET", "/api/openapi.json"), ("GET", "/api/auth/login"),
              ("GET", "/api/auth/callback"),
              ("GET", "/.well-known/agent-card.json"), ("OPTIONS", "/agents/orchestrator/"),
              ("GET", "/agents/orchestrator/.well-known/agent-card.json")]  # fmt: skip
    requests = [{"method": method, "uri": uri, "headers": {}, "cookies": {}} for method, uri in (*refused, *passed)]
    answers = answered(stack, *requests, sign_in=sign_in)
    for answer in answers[: len(refused)]:
        assert (answer["statusCode"], answer["headers"]["cache-control"]["value"]) == (401, "no-store")
        # As the gateway's own refusal, by which the page knows how people come in.
        assert json.loads(answer["body"]).get("signIn", "") == sign_in
    assert ["statusCode" in answer for answer in answers[len(refused) :]] == [False] * len(passed)


def test_with_an_authors_own_way_the_gateway_is_asked_whatever_a_credential_is(stack: Resources) -> None:
    for uri in ("/api/tasks", "/api/stream/x", "/agents/orchestrator/"):
        request = {"method": "POST", "uri": uri, "headers": {"x-team-key": {"value": "x"}}, "cookies": {}}
        assert answered(stack, request)["statusCode"] == 401
        asked = answered(stack, request, auth="gateway/auth.py:auth")
        assert "statusCode" not in asked
        assert asked["headers"]["x-team-key"] == {"value": "x"}
    behaviours = stack["Distribution"]["Properties"]["DistributionConfig"]["CacheBehaviors"]
    # AWS's policy AllViewerExceptHostHeader.
    assert {each["OriginRequestPolicyId"] for each in behaviours} == {"b689b0a8-53d0-40ab-baf2-68738e2966ac"}


def test_the_gateway_gets_its_ways_in_from_the_parameters(stack: Resources) -> None:
    variables = stack["GatewayFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["TAILRACE_OIDC_AUDIENCE"] == {"Ref": "OidcAudience"}
    assert variables["TAILRACE_AUTH"] == {"Ref": "Auth"}


@pytest.mark.parametrize(
    ("cors", "origin", "uri", "readable"),
    [
        ("https://friend.example, https://b.example", "https://b.example", "/agents/orchestrator/", True),
        ("https://friend.example", "https://friend.example", "/api/tasks", False),
        ("https://friend.example", "https://friend.example.evil.example", "/agents/orchestrator/", False),
        ("https://friend.example", None, "/agents/orchestrator/", False),
        ("", "", "/agents/orchestrator/", False),
        ("", "null", "/agents/orchestrator/", False),
    ],
)
def test_only_pages_that_may_ask_the_agents_read_why_they_were_turned_away(
    stack: Resources, cors: str, origin: str | None, uri: str, readable: bool
) -> None:
    sent = {} if origin is None else {"origin": {"value": origin}}
    answer = answered(stack, {"method": "POST", "uri": uri, "headers": sent, "cookies": {}}, cors=cors)
    assert answer["statusCode"] == 401
    allowing = {name: each["value"] for name, each in answer["headers"].items() if name.startswith("access-control")}
    exposed = {"access-control-allow-origin": origin, "access-control-expose-headers": "www-authenticate"}
    assert allowing == (exposed if readable else {})
    assert answer["headers"].get("vary") == ({"value": "Origin"} if readable else None)


@pytest.mark.parametrize(
    "known",
    [
        {"headers": {"authorization": {"value": "Bearer x"}}},
        {"headers": {"x-tailrace-secret": {"value": "x"}}},
        {"headers": {}, "cookies": {"tailrace-secret": {"value": "x"}}},
        {"headers": {}, "cookies": {"__Host-tailrace": {"value": "x"}}},
    ],
    ids=["a token", "the secret", "the secret's cookie", "a session"],
)
def test_who_has_a_credential_of_any_kind_is_asked_by_the_gateway(stack: Resources, known: dict[str, Any]) -> None:
    assert "statusCode" not in answered(stack, {"method": "GET", "uri": "/api/tasks", **known})
