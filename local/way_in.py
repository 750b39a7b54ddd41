"""How a browser comes in at `make run`: by an address with a token, which becomes a session once.

    GET /?token=TOKEN&…     303 to the same address without the token; the first time with the session's cookie

Other users of the machine reach loopback too. So who comes from there is believed only with the run's secret, which
programs send (`run_files.py`), or with a session.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.callers import Callers
from gateway.cookies import session_cookie, set_cookie
from gateway.owner import is_from_here
from gateway.problems import NO_STORE
from local.address import PARAMETER
from tailrace.access.credential import new_session, presented_address, presented_session
from tailrace.config import Settings
from tailrace.owner import LOCAL_OWNER, Owner


class WayIn:
    """Takes the token in an address of the page."""

    def __init__(self, settings: Settings, callers: Callers) -> None:
        self._settings = settings
        self._callers = callers

    async def answer(self, request: Request) -> Response | None:
        """The answer to a request with a token, which may be of no use any more; None without one.

        May raise `LogUnavailable`.
        """
        token = request.query_params.get(PARAMETER)
        if token is None or request.method != "GET":
            return None
        # The browser keeps the address that it is sent to, and that has no token.
        query = request.url.remove_query_params(PARAMETER).query
        response = RedirectResponse(f"/?{query}" if query else "/", 303, headers=NO_STORE)
        if is_from_here(request) and await self._is_good(token):
            await self._let_in(request, response)
        return response

    async def _is_good(self, token: str) -> bool:
        """Whether it is good, for one request: of several at the same time, one deletes it."""
        credentials = self._callers.credentials
        address = await credentials.known(presented_address(token))
        return address is not None and await credentials.end(address.holder, address.id)

    async def _let_in(self, request: Request, response: Response) -> None:
        credentials, lasts_s = self._callers.credentials, int(self._settings.session_s)
        earlier = presented_session(request.cookies.get(session_cookie(request), ""))
        if earlier is not None and await credentials.known(earlier) is not None:
            await credentials.end(earlier.holder, earlier.id)
        session, cookie = new_session(Owner.named(LOCAL_OWNER), now=credentials.now(), idle_s=0, lasts_s=lasts_s)
        await credentials.keep(session)
        set_cookie(request, response, session_cookie(request), cookie, lasts_s=lasts_s, same_site="strict")
