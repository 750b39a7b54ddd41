"""`python -m tailrace_start` is `tailrace new` and `tailrace add`, without the rest of the command."""

import sys

from tailrace_start.command import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
