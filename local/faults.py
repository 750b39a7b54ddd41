"""What a page of `make run` may break, to see what it costs: the worker that runs a task. Never deployed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.owner import owner_in
from gateway.problems import Problem
from gateway.requests import task_id_in
from tailrace.config import Settings
from tailrace.errors import TaskUnknown
from tailrace.events import TERMINAL
from tailrace.log import Head, open_log
from tailrace.owner import DecideOwner

# Who holds a lease: the agent, its process, and which of that process's workers.
_HOLDER = re.compile(r"(?P<agent>.+)-(?P<pid>\d+)-[0-9a-f]{8}")


class Faults:
    """Routes that break things on purpose. Whose a task is decides who may break it."""

    def __init__(self, settings: Settings, decide_owner: DecideOwner) -> None:
        self._settings = settings
        self._decide_owner = decide_owner
        self.routes = [Route("/api/local/tasks/{task_id}/kill", self.kill, methods=["POST"])]

    async def kill(self, request: Request) -> Response:
        """POST /api/local/tasks/{id}/kill: `kill -9` for the process that runs the task.

        200 tells who that was and for how many ms its lease still holds; 409 why nobody was killed.
        """
        owner = owner_in(request, self._decide_owner).id
        head, now = await self._head(task_id_in(request))
        if head.owner != owner:
            raise TaskUnknown(head.task_id)
        if head.state in TERMINAL:
            raise Problem(HTTPStatus.CONFLICT, "The task is finished: nobody runs it.")
        holder = _HOLDER.fullmatch(head.lease_owner or "")
        if holder is None or not head.leased(now):
            raise Problem(HTTPStatus.CONFLICT, "Nobody runs the task at this moment.")
        agent, pid = holder["agent"], int(holder["pid"])
        if not await is_ours(pid):
            raise Problem(HTTPStatus.CONFLICT, f"Process {pid} runs the task, and `make run` did not start that.")
        os.kill(pid, signal.SIGKILL)
        return JSONResponse({"agent": agent, "pid": pid, "attempt": head.attempt, "leaseMs": head.lease_until - now})

    async def _head(self, task_id: str) -> tuple[Head, int]:
        """The task's head, and the time by the clock that its lease goes by."""
        log = open_log(self._settings)
        try:
            return await log.head(task_id), log.now()
        finally:
            await log.close()


async def is_ours(pid: int) -> bool:
    """Whether `pid` is a function that this process's own supervisor has started."""
    listing = await asyncio.create_subprocess_exec(
        *("ps", "-o", "ppid=,args=", "-p", str(pid)), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await listing.communicate()
    parent, _, command = out.decode(errors="replace").strip().partition(" ")
    return parent == str(os.getppid()) and " -m local.serve " in command and pid != os.getpid()
