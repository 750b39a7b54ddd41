"""Begins a project of one's own: `tailrace new` and `tailrace add agent` (docs/START.md).

`new` uses only the standard library, so that `python3 -m tailrace_start new my-agents` works without any package; this
is how `sam init` calls it.
"""
