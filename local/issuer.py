"""`make run OIDC=1`: all that `make run` starts, and an issuer where anybody signs in with any name and any password.

The issuer is npm's oidc-provider (tests/oidc), which is certified; the tests sign in there too. It is reachable on this
machine only, and forgets everybody when it ends.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from local.node_packages import Unavailable, node_with
from local.supervisor import say

FOLDER = Path(__file__).parents[1] / "tests" / "oidc"
CLIENT_ID = "tailrace"
_SECRET = "TAILRACE_TRIAL_SECRET"  # noqa: S105
# A native client's loopback address may have any port (RFC 8252, section 7.3).
CALLBACKS = [f"http://{host}/api/auth/callback" for host in ("127.0.0.1", "localhost")]


@contextlib.contextmanager
def issuer(node: str, folder: Path, secret: str, callbacks: Sequence[str] = CALLBACKS) -> Iterator[str]:
    """Run the issuer in `folder` for the client `CLIENT_ID`, which has this secret and these callbacks; yield its URL.

    Raises:
        Unavailable: it did not start.
    """
    with (folder / "issuer.log").open("wb") as log:
        process = subprocess.Popen(
            [node, "issuer.mjs", "0", CLIENT_ID, *callbacks],
            cwd=folder,
            env={**os.environ, "CLIENT_SECRET": secret},
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        if not url:
            raise Unavailable(f"the issuer did not start; {folder / 'issuer.log'} says why")
        yield url
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def main() -> None:
    from local.__main__ import main as run_all

    secret = secrets.token_urlsafe(32)
    try:
        with issuer(*node_with(FOLDER), secret) as url:
            os.environ.update(
                {
                    "TAILRACE_OIDC_ISSUER": url,
                    "TAILRACE_OIDC_CLIENT_ID": CLIENT_ID,
                    "TAILRACE_OIDC_CLIENT_SECRET": f"env:{_SECRET}",
                    _SECRET: secret,
                }
            )
            say(f"Sign in with any name and any password at {url}")
            run_all()
    except Unavailable as error:
        raise SystemExit(f"tailrace: OIDC=1 needs an issuer from npm: {error}.") from None


if __name__ == "__main__":
    main()
