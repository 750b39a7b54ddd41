"""SnapStart: the hooks before a snapshot and after a restore (AWS: "Lambda SnapStart runtime hooks for Python").

Functions register them with `snapshot_restore_py`, which is part of the managed runtime.

All environments of a version are restored from one snapshot, so a generator of random numbers that was seeded before
it would give all of them the same numbers (AWS: "Handling uniqueness with Lambda SnapStart"). Those of the process are
seeded anew before the hooks. `secrets`, `uuid.uuid4` and `ssl` take theirs from the system, which Lambda sees to. A
function's own `random.Random` is for its own hook.
"""

from __future__ import annotations

import logging
import os
import random
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from tailrace_runtime.api import RuntimeAPI
from tailrace_runtime.faults import Fault

logger = logging.getLogger("tailrace.runtime")

BEFORE_SNAPSHOT_EXIT = 64
AFTER_RESTORE_EXIT = 65

# What else keeps a generator, if a function has imported it. LangChain takes its ids from uuid_utils.
_SEEDED = (("uuid_utils", "reseed_rng"), ("numpy.random", "seed"))


def snapshot(api: RuntimeAPI, run: Callable[[Awaitable[None]], None]) -> None:
    """Run the hooks before the snapshot, wait for a restore, and run the hooks after it. Without SnapStart do nothing.

    Raises:
        SystemExit: a hook failed, and the failure was reported to the Runtime API.
    """
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "snap-start":
        return
    # If it was not imported, there are no hooks.
    registry: Any = sys.modules.get("snapshot_restore_py")
    try:
        before = registry.get_before_snapshot() if registry else []
        while before:
            hook, args, kwargs = before.pop()  # last registered, first run
            hook(*args, **kwargs)
        run(api.restore_next())
    except Exception as error:
        logger.exception("A hook before the snapshot failed.")
        fault = Fault.of(error)
        run(api.fail_init(Fault("Runtime.BeforeSnapshotError", f"{fault.type}: {fault.message}", fault.stack)))
        sys.exit(BEFORE_SNAPSHOT_EXIT)
    try:
        seed_anew()
        for hook, args, kwargs in registry.get_after_restore() if registry else []:
            hook(*args, **kwargs)
    except Exception as error:
        logger.exception("A hook after the restore failed.")
        fault = Fault.of(error)
        run(api.fail_restore(Fault("Runtime.AfterRestoreError", f"{fault.type}: {fault.message}", fault.stack)))
        sys.exit(AFTER_RESTORE_EXIT)


def seed_anew() -> None:
    """Seed the process's generators of random numbers from the system."""
    random.seed()
    for module, function in _SEEDED:
        if reseed := getattr(sys.modules.get(module), function, None):
            reseed()
