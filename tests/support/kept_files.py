"""`python -m tests.support.kept_files local.serve gateway …`: that gateway, whose scripts and styles a browser keeps.

`make run` lets a browser ask for each of forty files whenever it loads the page, which is half the work of loading it.
"""

from __future__ import annotations

import runpy
import sys
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local import site


class KeptFiles:
    """Lets browsers keep the page's scripts and styles. The page itself may be refused, so it is asked for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_kept(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["path"].endswith((".js", ".css")):
                MutableHeaders(scope=message)["Cache-Control"] = "max-age=3600"
            await send(message)

        await self._app(scope, receive, send_kept)


def _kept(create: Any) -> Any:
    def created(*args: Any) -> Starlette:
        app: Starlette = create(*args)
        app.add_middleware(KeptFiles)
        return app

    return created


if __name__ == "__main__":
    site.create_site = _kept(site.create_site)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
