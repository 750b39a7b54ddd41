"""People sign in at an issuer, and have a session of the gateway's own afterwards (`account.py`).

    GET  /api/auth/login?to=/…   begins: state, nonce and PKCE's verifier go into a cookie for ten minutes, which the
                                 browser brings back with the issuer's answer. So nobody can end a sign-in here that
                                 another browser began.
    GET  /api/auth/callback      ends it: a new session, whatever cookie the browser had before, and back to the page

Each sign-in has a cookie of its own, so that one in another window of the browser does not end it. No credential is in
an address: the code is of use once, and with the verifier only. This module is imported only with an issuer.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from gateway.account import log
from gateway.api_route import ApiRoute, Operation, Parameter
from gateway.callers import Callers
from gateway.cookies import login_cookie, login_cookies, session_cookie, set_cookie
from gateway.oidc import Issuer, IssuerFailed, NotAllowed, SignInError
from gateway.origin import own_origin
from gateway.problems import NO_STORE, Problem
from tailrace.access.credential import Presented, new_session, presented_session
from tailrace.config import Settings
from tailrace.decoding import NOT_JSON
from tailrace.errors import ConfigError, shorten
from tailrace.events import encode
from tailrace.network.hosts import is_loopback
from tailrace.owner import Owner

LOGIN, CALLBACK = "/api/auth/login", "/api/auth/callback"
_LOGIN_S = 600
# So many sign-ins of one browser may be under way: each one's cookie goes along with every request.
_LOGINS = 4
_RANDOM_BYTES = 32
_MAX_PATH = 2000  # a cookie has 4,096 bytes at most, and base64 four for three
# The page of a sign-in that failed. Nothing that a caller sent is in it.
_FAILED = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Tailrace: not signed in</title>
<h1>You are not signed in</h1><p>{reason}</p><p><a href="{login}">Sign in again</a></p></html>"""
_REASONS = {429: "There were too many sign-ins that did not work. Wait for ten minutes."}
_FAILED_HEADERS = {**NO_STORE, "Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "no-referrer"}


class _Login(msgspec.Struct):
    """A sign-in that is under way, as its cookie has it."""

    state: str
    nonce: str
    verifier: str
    to: str
    # The session that the browser had. The answer comes from the issuer's site, so its cookie does not come along.
    replaces: Presented | None = None


class SignIn:
    """The routes of people who sign in at the issuer."""

    def __init__(self, settings: Settings, callers: Callers, issuer: Issuer, host_header: str) -> None:
        self._settings = settings
        self._callers = callers
        self._host_header = host_header
        self._issuer = issuer

    @property
    def routes(self) -> list[BaseRoute]:
        to = Parameter("to", "Where the browser goes afterwards: a path of this site.")
        login = Operation(
            *(self.login, "Begin a sign-in: a browser goes to the issuer.", None, None, 303, (to,)),
            also={502: "The issuer did not answer. The answer is a page."},
            is_open=True,
        )
        answer = (Parameter(each, "What the issuer says.") for each in ("state", "code", "iss"))
        callback = Operation(
            *(self.callback, "End a sign-in: a browser comes from the issuer.", None, None, 303, tuple(answer)),
            also=dict.fromkeys((403, 429, 502), "The sign-in did not work. The answer is a page."),
            is_open=True,
        )
        return [ApiRoute(LOGIN, GET=login), ApiRoute(CALLBACK, GET=callback)]

    async def login(self, request: Request) -> Response:
        """GET /api/auth/login"""
        if request.url.scheme != "https" and not is_loopback(request.url.hostname or ""):
            raise Problem(400, "People can sign in over https only.")
        state, nonce, verifier = (secrets.token_urlsafe(_RANDOM_BYTES) for _ in range(3))
        session = presented_session(request.cookies.get(session_cookie(request), ""))
        login = _Login(state, nonce, verifier, path_in(request), session)
        try:
            address = await self._issuer.address(
                state=login.state, nonce=login.nonce, verifier=login.verifier, callback=self._callback_url(request)
            )
        except SignInError as error:
            return self._failed(error, 502)
        response = RedirectResponse(address, 303, headers=NO_STORE)
        value = base64.urlsafe_b64encode(encode(login)).decode().rstrip("=")
        set_cookie(request, response, login_cookie(request, state), value, lasts_s=_LOGIN_S, same_site="lax")
        # A browser sends its oldest cookies first (RFC 6265, section 5.4).
        for name in login_cookies(request)[: 1 - _LOGINS]:
            set_cookie(request, response, name, "", lasts_s=0, same_site="lax")
        return response

    async def callback(self, request: Request) -> Response:
        """GET /api/auth/callback"""
        query = request.query_params
        cookie = login_cookie(request, query.get("state", ""))
        login = _login_in(request.cookies.get(cookie, ""))
        if login is None or not hmac.compare_digest(query.get("state", "").encode(), login.state.encode()):
            return self._failed(SignInError("the browser has not begun this sign-in, or more than ten minutes ago"))
        try:
            if not self._issuer.is_own(query.get("iss")):
                raise SignInError("the answer is another issuer's")
            if "code" not in query:
                raise SignInError("the issuer has refused it")
            owner = await self._person(request, login, query["code"])
        except (IssuerFailed, ConfigError) as error:
            response = self._failed(error, 502)
        except Problem as problem:  # a browser shows it, so it is a page
            response = self._failed(problem, problem.status, problem.headers)
        except SignInError as error:
            response = self._failed(error)
        else:
            response = await self._signed_in(request, login, owner)
        set_cookie(request, response, cookie, "", lasts_s=0, same_site="lax")
        return response

    async def _signed_in(self, request: Request, login: _Login, owner: Owner) -> Response:
        # Always a new one: whoever knows the value of an earlier cookie knows nothing of this one.
        credentials, settings = self._callers.credentials, self._settings
        if login.replaces is not None and (earlier := await credentials.known(login.replaces)) is not None:
            await credentials.end(earlier.holder, earlier.id)
        session, cookie = new_session(
            owner,
            now=credentials.now(),
            idle_s=int(settings.session_idle_s),
            lasts_s=int(settings.session_s),
        )
        await credentials.keep(session)
        log("signed_in", owner=owner.id)
        response = RedirectResponse(login.to, 303, headers=NO_STORE)
        set_cookie(
            request, response, session_cookie(request), cookie, lasts_s=int(settings.session_s), same_site="strict"
        )
        return response

    async def _person(self, request: Request, login: _Login, code: str) -> Owner:
        """Who has the code. A wrong one is a guess, and costs the issuer a request. Raises as `Issuer.person` does."""
        guesser = f"{self._callers.viewer(request)} code"
        self._callers.guesses.refuse_too_many(guesser)
        try:
            return await self._issuer.person(
                code, nonce=login.nonce, verifier=login.verifier, callback=self._callback_url(request)
            )
        except (IssuerFailed, NotAllowed):
            raise  # no guess: colleagues may come from one address, and the issuer may be down
        except SignInError:
            await self._callers.guesses.failed(guesser, login.state)
            raise

    def _callback_url(self, request: Request) -> str:
        return own_origin(request, self._host_header) + CALLBACK

    def _failed(self, error: Exception, status: int = 403, headers: Mapping[str, str] | None = None) -> Response:
        log("sign_in_failed", reason=str(error))
        reason = _REASONS.get(status, "The sign-in did not work.")
        reason = "This gateway does not let you in." if isinstance(error, NotAllowed) else reason
        page = _FAILED.format(reason=reason, login=LOGIN)
        return HTMLResponse(page, status, headers={**_FAILED_HEADERS, **(headers or {})})


def path_in(request: Request) -> str:
    """Where the browser goes after it has signed in: a path of this origin, whatever was asked for.

    A browser takes `//host` and `/\\host` for another site, and ignores tabs and line ends in an address (WHATWG, URL).
    So only printable ASCII without a backslash passes.

    Raises:
        Problem: 400, `to` is no such path.
    """
    to = request.query_params.get("to", "/")
    if not _is_path(path := quote(to, safe="/?#&=%:@!$'()*+,;-._~[]")) or not _is_path(to):
        raise Problem(400, f"to has value {shorten(to)!r}, but must be a path of this site, like /?task=….")
    return path


def _is_path(to: str) -> bool:
    plain = to.isascii() and to.isprintable() and "\\" not in to and " " not in to and len(to) <= _MAX_PATH
    try:
        parts = urlsplit(to)
    except ValueError:
        return False
    return plain and not parts.scheme and not parts.netloc and to.startswith("/") and not to.startswith("//")


def _login_in(value: str) -> _Login | None:
    """The sign-in in a cookie's value; None if there is none."""
    try:
        login = msgspec.json.decode(base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_"), type=_Login)
    except (ValueError, *NOT_JSON):
        return None
    return login if _is_path(login.to) else None
