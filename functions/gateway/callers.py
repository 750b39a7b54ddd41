"""Who makes a request: the one place where the gateway decides it.

1. A machine sends its token as `Authorization: Bearer`, or one that the issuer has signed (`issuer_tokens.py`). What a
   token's scopes do not allow is refused.
2. A browser has a session and sends its cookie: after a sign-in (`sign_in.py`), or after `make run`'s address.
3. Everybody else is whom the author's own way knows (`authors_auth.py`). If there is none, it is whom `decide_owner`
   names: who knows the secret of `make run`, or the shared secret.

Who sends a token that does not hold is refused, whatever else the request has. A wrong token or secret is a guess, and
guesses are limited (`guesses.py`). Those of the secret of `make run` are not: nobody guesses 256 random bits, and
another user of the machine could lock this one out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request

from gateway.cookies import session_cookie
from gateway.guesses import Guesses, viewer_of
from gateway.owner import LocalUser, bearer_in, is_from_here, secret_in
from gateway.problems import CHALLENGE, Problem
from tailrace.access import Credential, Credentials, open_credentials
from tailrace.access.credential import READ, WRITE, presented_session, presented_token
from tailrace.config import Settings
from tailrace.errors import LogUnavailable
from tailrace.owner import LOCAL_OWNER, DecideOwner, Owner

if TYPE_CHECKING:
    from gateway.authors_auth import AuthorsAuth
    from gateway.issuer_tokens import IssuerTokens

logger = logging.getLogger("tailrace.gateway")

# Methods that change nothing.
READS = ("GET", "HEAD", "OPTIONS")


class Caller(msgspec.Struct, frozen=True):
    """The owner on whose behalf a request is made, and the credential that says so; None if it is none of ours.

    `user` is whom the author's own way knows, and `still_known` asks it again.
    """

    owner: Owner
    credential: Credential | None = None
    user: Any = None
    still_known: Callable[[], Awaitable[bool]] | None = None

    @property
    def is_limited(self) -> bool:
        """Whether there are others from whom the owner could take something (`limits.py`)."""
        return (self.credential is not None or self.user is not None) and self.owner.id != LOCAL_OWNER

    def check(self, scope: str) -> None:
        """Refuse what the caller's credential is not for.

        Raises:
            Problem: 403, the token's scopes do not allow it.
        """
        if self.credential is not None and scope not in self.credential.scopes:
            raise Problem(403, f"The token {self.credential.name!r} has no scope {scope!r}, which this needs.")


class Callers:
    """The callers of one gateway. The store of credentials is opened when one is needed; `close` closes it.

    `behind_distribution` says that requests come through CloudFront only, so that what it says of the viewer is true.
    """

    def __init__(
        self,
        settings: Settings,
        decide_owner: DecideOwner,
        *,
        credentials: Credentials | None = None,
        issuer_tokens: IssuerTokens | None = None,
        author: AuthorsAuth | None = None,
        behind_distribution: bool = False,
    ) -> None:
        self._settings = settings
        self._decide_owner = decide_owner
        self._passed_in = credentials
        self._issuer_tokens = issuer_tokens
        self._author = author
        self._behind_distribution = behind_distribution

    @property
    def local_user(self) -> LocalUser | None:
        """This machine's user, if that is who may come in."""
        return self._decide_owner if isinstance(self._decide_owner, LocalUser) else None

    @cached_property
    def credentials(self) -> Credentials:
        return self._passed_in or open_credentials(self._settings)

    @cached_property
    def guesses(self) -> Guesses:
        return Guesses(self.credentials)

    def viewer(self, request: Request) -> str:
        """Where a request comes from, for counting guesses."""
        return viewer_of(request, behind_distribution=self._behind_distribution)

    async def holds(self, caller: Caller) -> bool:
        """Whether a caller's credential still holds, as for an open stream. May raise `LogUnavailable`."""
        credential = caller.credential
        if caller.still_known is not None:
            return await caller.still_known()
        if credential is None:
            return True
        if credential.kind == "jwt":
            return credential.ends > time.time()
        return await self.credentials.is_valid(credential)

    async def owner(self, request: Request) -> Owner:
        """The owner of a request's tasks. Raises as `caller` does."""
        return (await self.caller(request)).owner

    async def caller(self, request: Request, *, reads: bool = False) -> Caller:
        """Who makes the request, and may do what its method says; with `reads` it changes nothing, whatever its method.

        Raises:
            Problem: 401, nobody whom this gateway knows; 403, the token's scopes do not allow it; 429, too many
                guesses.
            LogUnavailable: the store of credentials did not answer.
        """
        caller, reads = await self.known(request), reads or request.method in READS
        caller.check(READ if reads else WRITE)
        if self._author is not None and caller.user is not None:
            await self._author.check_request(caller.user, request, reads=reads)
        return caller

    async def check_at_agent(self, caller: Caller, name: str, *, reads: bool, sends: bool) -> None:
        """Ask the author's own way whether the caller may ask the agent this. Raises `Problem`, as `caller` does."""
        if self._author is not None and caller.user is not None:
            await self._author.check_at_agent(caller.user, name, reads=reads, sends=sends)

    async def known(self, request: Request) -> Caller:
        """Who makes the request. Raises as `caller` does, but for scopes."""
        if (caller := await self._found(request)) is not None:
            return caller
        detail = "The request has no credentials that this gateway knows."
        # The page cannot know by itself how people come in here.
        more: dict[str, Any] = {"signIn": "api/auth/login"} if self._settings.oidc_issuer else {}
        if self._author is not None:
            more |= {"custom": True}
        if (user := self.local_user) is not None and is_from_here(request):
            detail += f" For a browser, `{user.command}` prints an address."
            detail += f" A program sends `Authorization: Bearer` with what is in {user.secret_file}."
            more = {"command": user.command}
        raise Problem(401, detail, CHALLENGE, more)

    async def close(self) -> None:
        if "credentials" in self.__dict__ and self._passed_in is None:
            await self.credentials.close()

    async def _found(self, request: Request) -> Caller | None:
        bearer = bearer_in(request)
        if self._issuer_tokens is not None and bearer.count(".") == 2:  # our own have none; nobody guesses a signature
            return _caller_with(await self._issuer_tokens.known(bearer))
        presented = presented_token(bearer)
        if presented is None and (session := await self._session(request)) is not None:
            return session
        if presented is None and self._author is not None:
            return await self._known_to_author(self._author, request)
        if presented is None and (self.local_user is not None or not secret_in(request)):
            return self._decided(request)
        # Each token has guesses of its own, so that a machine with an old one locks no neighbour out.
        guess = f"{self.viewer(request)} {presented.id if presented else 'secret'}"
        self.guesses.refuse_too_many(guess)
        if presented is None:
            caller = self._decided(request)
        else:
            token = await self.credentials.known(presented)
            caller = _caller_with(token)
        if caller is None:
            await self.guesses.failed(guess, presented.digest if presented else secret_in(request))
        return caller

    async def _session(self, request: Request) -> Caller | None:
        """Who has a session; None if nobody has, or it is over."""
        is_local = self.local_user is not None and is_from_here(request)
        if bearer_in(request) or not (is_local or self._settings.oidc_issuer):
            return None
        presented = presented_session(request.cookies.get(session_cookie(request), ""))
        # A data folder may have been used in the other way before.
        if presented is None or (presented.holder == LOCAL_OWNER) is not is_local:
            return None
        return _caller_with(await self.credentials.known(presented))

    async def _known_to_author(self, author: AuthorsAuth, request: Request) -> Caller | None:
        user = await author.user(request)
        if user is None:
            return None
        identity = user.identity

        async def still_known() -> bool:
            try:
                again = await author.user(request)
            except Problem:
                return False
            except Exception as error:  # the author's: the stream is cut, and its reader asks again
                logger.error("TAILRACE_AUTH, asked about an open stream, failed", exc_info=error)
                raise LogUnavailable("TAILRACE_AUTH failed, so nobody knows whether its reader may read on") from None
            return again is not None and again.identity == identity

        return Caller(author.owner_of(user), user=user, still_known=still_known)

    def _decided(self, request: Request) -> Caller | None:
        name = self._decide_owner(request)
        return Caller(Owner.named(name)) if name else None


def _caller_with(credential: Credential | None) -> Caller | None:
    return Caller(Owner(credential.owner, credential.name), credential) if credential else None
