"""The template lets the gateway distinguish requests of its own page from those of other sites."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from gateway.guard import VIEWER_HOST
from tests.deploy.programs import Resources
from tests.deploy.resources import of


def viewer_host(stack: Resources) -> tuple[str, dict[str, Any]]:
    """Return the name and the properties of the only CloudFront function."""
    ((name, function),) = of(stack, "AWS::CloudFront::Function").items()
    return name, function


def test_every_request_for_the_api_goes_through_the_function(stack: Resources) -> None:
    name, function = viewer_host(stack)
    (api,) = stack["Distribution"]["Properties"]["DistributionConfig"]["CacheBehaviors"]
    arn = {"Fn::GetAtt": [name, "FunctionMetadata.FunctionARN"]}
    assert api["FunctionAssociations"] == [{"EventType": "viewer-request", "FunctionARN": arn}]
    # An unpublished function cannot be associated.
    assert function["AutoPublish"] is True


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"host": "d1.cloudfront.net"}, "d1.cloudfront.net"),
        ({"host": "d1.cloudfront.net", VIEWER_HOST: "evil.example"}, "d1.cloudfront.net"),
        ({VIEWER_HOST: "evil.example"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_the_gateway_gets_the_viewers_host_even_if_the_viewer_forges_it(
    stack: Resources, sent: dict[str, str], expected: str
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("install node to run CloudFront's function")
    headers = {name: {"value": value} for name, value in sent.items()}
    event = json.dumps({"request": {"method": "POST", "uri": "/api/tasks", "headers": headers}})
    code = f"{viewer_host(stack)[1]['FunctionCode']}; console.log(JSON.stringify(handler({event})))"
    result = json.loads(subprocess.run([node, "-e", code], capture_output=True, check=True, text=True).stdout)
    assert result["headers"] == headers | {VIEWER_HOST: {"value": expected}}
    assert (result["method"], result["uri"]) == ("POST", "/api/tasks")
