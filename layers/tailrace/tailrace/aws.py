"""What differs on AWS: processes freeze between requests, and functions sign the requests to each other."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Generator
from contextvars import ContextVar
from functools import cached_property
from typing import Any

import httpx

# A Function URL (AWS Lambda Developer Guide, "Creating and managing Lambda function URLs").
_FUNCTION_URL = re.compile(r"[a-z0-9]+\.lambda-url\.([a-z0-9-]+)\.on\.aws")

# CloudFront has to change `Host`, and puts the viewer's host here. Viewers cannot set it: the distribution's function
# always does, and nobody else can call what believes it (template.yaml).
VIEWER_HOST = "x-tailrace-host"
# The viewer's address, in the same way.
VIEWER_ADDRESS = "x-tailrace-address"
# The viewer's `Authorization`, which CloudFront replaces with its own signature for a Function URL.
AUTHORIZATION = "x-tailrace-authorization"

# The ARN, with its alias, by which the current request has invoked this function; None if it is unknown.
invoked_as: ContextVar[str | None] = ContextVar("tailrace_invoked_as", default=None)


def on_lambda() -> bool:
    """Whether this process is a Lambda function, which freezes when its request is answered."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ


def own_function() -> str | None:
    """The name by which this function can be invoked: as the current request has, or its running version; None off
    Lambda.

    A request's ARN has the alias. The number of retries of an asynchronous invocation is set for the alias, not for the
    version.
    """
    if not on_lambda():
        return None
    version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
    return invoked_as.get() or f"{os.environ['AWS_LAMBDA_FUNCTION_NAME']}:{version}"


def on_sam_local() -> bool:
    """Whether `sam local` runs this process. It does not stream and has no Function URLs."""
    return os.environ.get("AWS_SAM_LOCAL") == "true"


class FunctionUrlAuth(httpx.Auth):
    """Signs requests to Function URLs with AWS Signature Version 4, with the credentials of the function's role.

    Other requests pass unchanged. Source: AWS Identity and Access Management User Guide,
    "Create a signed AWS API request".
    """

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if match := _FUNCTION_URL.fullmatch(request.url.host):
            _sign(request, self._credentials.get_frozen_credentials(), region=match[1])
        yield request

    @cached_property
    def _credentials(self) -> Any:
        """The role's credentials. botocore renews them."""
        from botocore.session import get_session

        return get_session().get_credentials()


def _sign(request: httpx.Request, credentials: Any, region: str) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    body = request.content
    headers = {"host": request.url.host, "x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
    if "content-type" in request.headers:
        headers["content-type"] = request.headers["content-type"]
    aws_request = AWSRequest(request.method, str(request.url), headers=headers, data=body)
    SigV4Auth(credentials, "lambda", region).add_auth(aws_request)
    request.headers.update(dict(aws_request.headers.items()))
