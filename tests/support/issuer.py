"""A real OpenID Connect issuer (tests/oidc), and a person who signs in there without a browser."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from urllib.parse import urljoin

import httpx

from local.issuer import CALLBACKS, CLIENT_ID, FOLDER, issuer
from tailrace.config import Settings
from tests.interop.cached import node_with

HTTPS = "https://tailrace.example"
_FORM = re.compile(r'<form[^>]* action="([^"]+)".*?name="prompt" value="(\w+)"', re.DOTALL)


@dataclass(frozen=True)
class Issuing:
    url: str
    secret_file: str

    def settings(self, **more: object) -> Settings:
        """The settings of a gateway where people sign in there."""
        return Settings(
            oidc_issuer=self.url,
            oidc_client_id=CLIENT_ID,
            oidc_client_secret=f"file:{self.secret_file}",
            **{"log": "memory", "orchestrator_url": "http://127.0.0.1:9/", **more},  # type: ignore[arg-type]
        )


@contextlib.contextmanager
def issuing(folder: str) -> Iterator[Issuing]:
    """Run the issuer. The client's secret is in a file in `folder`."""
    secret = secrets.token_urlsafe(32)
    with open(f"{folder}/client-secret", "w") as file:
        file.write(f"{secret}\n")
    with issuer(*node_with(FOLDER), secret, [*CALLBACKS, f"{HTTPS}/api/auth/callback"]) as url:
        yield Issuing(url, file.name)


async def answer_of(gateway: httpx.AsyncClient, name: str, to: str = "/") -> str:
    """Begin a sign-in, sign in at the issuer as `name`; return the address that the issuer sends the browser to."""
    begun = await gateway.get("/api/auth/login", params={"to": to})
    assert begun.status_code == 303, begun.text
    callback = str(gateway.base_url.join("/api/auth/callback"))
    async with httpx.AsyncClient(timeout=60) as browser:
        address, answer = begun.headers["location"], await browser.get(begun.headers["location"])
        while True:
            if answer.is_redirect:
                address = urljoin(address, answer.headers["location"])
                if address.startswith(callback):
                    return address
                answer = await browser.get(address)
                continue
            form = _FORM.search(answer.text)
            assert form is not None, answer.text
            fields = {"prompt": form[2], **({"login": name, "password": "any"} if form[2] == "login" else {})}
            answer = await browser.post(urljoin(address, unescape(form[1])), data=fields)


async def sign_in(gateway: httpx.AsyncClient, name: str, to: str = "/") -> httpx.Response:
    """Sign in as `name`; return the gateway's last answer. Its session is in the client's cookies."""
    return await gateway.get(await answer_of(gateway, name, to))
