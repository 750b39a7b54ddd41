"""`python -m tailrace`: the command `tailrace`."""

from tailrace.cli import main

main()
