"""`python -m tailrace_start` is `tailrace new` and `tailrace add`, without the rest of the command."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - `sam init` runs whichever Python there is
    sys.exit("tailrace: Tailrace needs Python 3.11 or newer, and this is %d.%d." % sys.version_info[:2])  # noqa: UP031

from tailrace_start.command import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
