"""The gateway as a container (docs/SCALE.md): `python -m gateway.container` serves it on all addresses.

Thousands of viewers share one process, and all viewers of a task share one tail of its log. CloudFront stands in front,
as in front of the function. On SIGTERM each stream ends between two frames with `retry: 250`, and its reader comes back
to another container with its cursor (docs/PROTOCOL.md, 4.4a).
"""

from __future__ import annotations

import gc
import logging
import os
import sys

import uvicorn

from gateway.app import create_app
from gateway.owner import digest_owner
from tailrace.aws import VIEWER_HOST
from tailrace.config import Settings
from tailrace.errors import ConfigError

_PORT = 8080
# Less than the 30 s after which ECS kills a container that it has stopped.
_DRAIN_S = 20
# More than the 60 s for which a load balancer keeps an idle connection: it must not use one that closes just then.
_KEEP_ALIVE_S = 75


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = Settings.load()
        if not settings.access_digest and not settings.knows_people:
            right = "set, or TAILRACE_OIDC_ISSUER or TAILRACE_AUTH: without them the gateway refuses all but machines"
            raise ConfigError("TAILRACE_ACCESS_SECRET", "", right)
        app = create_app(settings, decide_owner=digest_owner(settings.access_digest), host_header=VIEWER_HOST)
    except ConfigError as error:
        sys.exit(f"gateway: {error}")
    # Imported objects stay. Without this each full collection would visit them, and all streams would wait.
    gc.freeze()
    uvicorn.run(
        app,
        host="0.0.0.0",  # noqa: S104 - the load balancer is another machine
        port=int(os.environ.get("PORT") or _PORT),
        http="httptools",
        ws="none",
        log_level="warning",
        server_header=False,
        # Only the load balancer reaches the container, and it says by which scheme it was asked.
        proxy_headers=True,
        forwarded_allow_ips="*",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_DRAIN_S,
    )


if __name__ == "__main__":
    main()
