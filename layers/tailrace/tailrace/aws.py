"""What is different on AWS: processes freeze between requests, and functions call each other with a signature."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Generator
from contextvars import ContextVar
from functools import cache
from typing import Any

import httpx

# A Function URL (AWS Lambda Developer Guide, "Creating and managing Lambda function URLs").
_FUNCTION_URL = re.compile(r"[a-z0-9]+\.lambda-url\.([a-z0-9-]+)\.on\.aws")

# The function's ARN as the request at hand has named it, by its alias; None: nobody says. Set per request.
invoked_as: ContextVar[str | None] = ContextVar("tailrace_invoked_as", default=None)


def on_lambda() -> bool:
    """Whether this process is a function: frozen as soon as its request is answered."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ


def own_function() -> str | None:
    """This function as it can be invoked: as it was, so by its alias, or at the version that runs; None off Lambda.

    How often an asynchronous invocation is tried is set for an alias, and not for the versions it leads to.
    """
    if not on_lambda():
        return None
    version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
    return invoked_as.get() or f"{os.environ['AWS_LAMBDA_FUNCTION_NAME']}:{version}"


def on_sam_local() -> bool:
    """Whether `sam local` runs this process, which streams nothing and serves no Function URLs."""
    return os.environ.get("AWS_SAM_LOCAL") == "true"


class FunctionUrlAuth(httpx.Auth):
    """Signs requests to Function URLs with AWS Signature Version 4, as the process's own role.

    Requests to anywhere else pass as they are. Source: AWS Identity and Access Management User Guide,
    "Create a signed AWS API request".
    """

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if found := _FUNCTION_URL.fullmatch(request.url.host):
            _sign(request, found[1])
        yield request


def _sign(request: httpx.Request, region: str) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    body = request.content
    signed = {"host": request.url.host, "x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
    if "content-type" in request.headers:
        signed["content-type"] = request.headers["content-type"]
    aws_request = AWSRequest(request.method, str(request.url), headers=signed, data=body)
    SigV4Auth(_credentials().get_frozen_credentials(), "lambda", region).add_auth(aws_request)
    request.headers.update(dict(aws_request.headers.items()))


@cache
def _credentials() -> Any:
    """The role's credentials, renewed by botocore when they run out."""
    from botocore.session import get_session

    return get_session().get_credentials()
