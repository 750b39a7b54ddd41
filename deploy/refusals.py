"""What AWS says when it refuses a request, and what to do about it."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.exceptions import ClientError, ConnectionError, InvalidRegionError, NoRegionError

_LOG_IN = "run `aws sso login`, or get new keys"
_WRONG_KEY = "the key is wrong or gone, or the region is one that its account has to enable (aws account enable-region)"
_ENABLE = (
    "AWS has to activate the account first: finish its sign-up in the console (phone, card, plan), which may take a day"
)
# By AWS's code, or by the name of its client's error.
_REMEDIES = {
    "ExpiredToken": _LOG_IN,
    "ExpiredTokenException": _LOG_IN,
    "SSOTokenLoadError": _LOG_IN,
    "TokenRetrievalError": _LOG_IN,
    "UnauthorizedSSOTokenError": _LOG_IN,
    "InvalidClientTokenId": _WRONG_KEY,
    "UnrecognizedClientException": _WRONG_KEY,
    "SignatureDoesNotMatch": "the secret key is wrong, or the clock of this machine",
    "RequestExpired": "the clock of this machine is wrong",
    "NoRegionError": "AWS_DEFAULT_REGION=us-east-1 make …, or `aws configure`",
    "NotSignedUp": _ENABLE,
    "OptInRequired": _ENABLE,
    "SubscriptionRequiredException": _ENABLE,
}
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


def new_session() -> boto3.Session:
    """Return a session with what is set on this machine.

    Raises:
        NoRegionError: no region is set, or an empty one.
    """
    session = boto3.Session()
    if not session.region_name:
        raise NoRegionError
    return session


def reason_of(error: Exception) -> str:
    """Return AWS's words for an error, on one line, and what to do about it where that is known."""
    if isinstance(error, ClientError):
        about: Any = error.response.get("Error", {})
        words = f"{about.get('Code', '')}: {' '.join(about.get('Message', '').split())}"
    else:
        words = " ".join(str(error).split())
    remedy = _REMEDIES.get(_code_of(error))
    return f"{words.rstrip('.')}. What to do: {remedy}" if remedy else words


def is_of_the_region(error: Exception) -> bool:
    """Whether nobody was asked, because the region's name is wrong or there is no way to it."""
    return isinstance(error, ConnectionError | InvalidRegionError)


def is_denied(error: Exception) -> bool:
    """Whether the credentials lack a right."""
    return _code_of(error) in _DENIED


def is_not_activated(error: Exception) -> bool:
    """Whether the account is so new that AWS does not serve it yet."""
    return _REMEDIES.get(_code_of(error)) == _ENABLE


def _code_of(error: Exception) -> str:
    if isinstance(error, ClientError):
        about: Any = error.response.get("Error", {})
        return str(about.get("Code", ""))
    return type(error).__name__
