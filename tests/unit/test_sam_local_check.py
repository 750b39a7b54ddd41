"""On `sam local` every request says which command is missing, and on AWS nothing is looked at."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.functions import listen
from tailrace.sam_local import checked


def handler(event: Any, context: Any) -> str:
    return "handled"


def test_on_aws_a_function_is_its_handler() -> None:
    assert checked(handler) is handler


def test_on_sam_local_the_missing_command_is_named_until_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SAM_LOCAL", "true")
    function = checked(handler)
    answer = function({}, None)
    assert answer["statusCode"] == 503
    assert "deploy/sam-local.json" in json.loads(answer["body"])["detail"]
    with listen(0) as services:
        place = f"http://127.0.0.1:{services.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", place)
        assert function({}, None) == "handled"
    detail = json.loads(function({}, None)["body"])["detail"]
    assert (
        detail
        == f"Nothing answers at {place}, where DynamoDB is emulated. Run `make sam-services` in another terminal."
    )
