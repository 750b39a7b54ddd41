"""The life of the process: search path, log, handler, snapshot, lifespan, invocations, end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import NoReturn

from tailrace_runtime import logs
from tailrace_runtime.api import ContainerError, RuntimeAPI
from tailrace_runtime.faults import Fault, RuntimeFault
from tailrace_runtime.handler import Handler, app_of, load
from tailrace_runtime.lifespan import Lifespan
from tailrace_runtime.paths import set_search_path
from tailrace_runtime.poller import Poller
from tailrace_runtime.snapstart import snapshot

logger = logging.getLogger("tailrace.runtime")

# The time for tasks to clean up after SIGTERM. Lambda sends it only if an extension is registered, and kills the
# process 300 ms later (AWS: "Understanding the Lambda execution environment lifecycle", "Shutdown phase").
_STOP_S = 2.0


def main() -> NoReturn:
    """Serve the function `_HANDLER` until SIGTERM.

    The exit status is 0 after SIGTERM, 1 after an error, and 64 or 65 after an error of a snapshot hook. An error
    before the function is ready is also sent to /init/error.
    """
    set_search_path()
    logs.set_up()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    address = os.environ["AWS_LAMBDA_RUNTIME_API"]
    api = RuntimeAPI(address)
    lifespan: Lifespan | None = None
    status = 0
    try:
        loop.add_signal_handler(signal.SIGTERM, _stop)
        try:
            handler = load(os.environ["_HANDLER"])
            asyncio.set_event_loop(loop)
            snapshot(api, loop.run_until_complete)
            lifespan = _lifespan_of(handler)
            if lifespan is not None:
                loop.run_until_complete(lifespan.start())
        except Exception as error:
            _log_init(error)
            loop.run_until_complete(api.fail_init(Fault.of(error)))
            sys.exit(1)
        state = lifespan.state if lifespan is not None else {}
        pollers = [Poller(RuntimeAPI(address), handler, state) for _ in range(concurrency() - 1)]
        pollers.append(Poller(api, handler, state))
        if len(pollers) == 1:
            pollers[0].serve_alone(loop)
        loop.run_until_complete(_serve_together(pollers))
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except (ContainerError, OSError) as error:
        logger.error("The runtime ends: %s", error)
        status = 1
    _end(loop, lifespan)
    sys.exit(status)


def concurrency() -> int:
    """Return how many invocations this process serves at once (AWS: "Lambda Managed Instances runtimes").

    Raises:
        ValueError: AWS_LAMBDA_MAX_CONCURRENCY is not a number.
    """
    return max(1, int(os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY") or 1))


async def _serve_together(pollers: list[Poller]) -> None:
    await asyncio.gather(*(poller.serve_among_others() for poller in pollers))


def _lifespan_of(handler: Handler) -> Lifespan | None:
    app = app_of(handler)
    return None if app is None else Lifespan(app, getattr(handler, "lifespan", "auto"))


def _log_init(error: Exception) -> None:
    if isinstance(error, RuntimeFault):
        logger.error("%s: %s", error.type, error, exc_info=error.__cause__)
    else:
        logger.error("The function cannot be loaded.", exc_info=error)


def _stop() -> None:
    raise SystemExit(0)


def _end(loop: asyncio.AbstractEventLoop, lifespan: Lifespan | None) -> None:
    """Cancel all tasks, so that they can clean up, then end the lifespan."""
    keep = lifespan.task if lifespan is not None else None
    tasks = [task for task in asyncio.all_tasks(loop) if task is not keep]
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=_STOP_S))
    if lifespan is not None:
        loop.run_until_complete(lifespan.stop())
    logging.shutdown()
