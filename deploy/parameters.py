"""What `make deploy` tells CloudFormation besides the user's parameters: `python -m deploy.parameters [Name=value …]`.

Prints `AccessSecretSha256`, if the environment variable TAILRACE_ACCESS_SECRET has a secret: nobody needs the secret
itself, so it is in no argument, parameter or function. And `Release`, if a parameter was given or the secret was. A
parameter that is not printed keeps the value that the stack has.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time


def main() -> None:
    secret, given = os.environ.get("TAILRACE_ACCESS_SECRET", ""), sys.argv[1:]
    if secret:
        given.append(f"AccessSecretSha256={hashlib.sha256(secret.encode()).hexdigest()}")
        print(given[-1])
    if given:
        print(f"Release={int(time.time())}")


if __name__ == "__main__":
    main()
