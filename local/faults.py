"""Lets the page of `make run` kill the process that runs a task, to show what happens then. Never deployed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.callers import Callers
from gateway.problems import Problem
from gateway.requests import task_id_in
from tailrace.config import Settings
from tailrace.errors import TaskUnknown
from tailrace.events import TERMINAL
from tailrace.log import Head, open_log

# The holder of a lease: the agent, the id of its process, and an id of the worker in that process.
_HOLDER = re.compile(r"(?P<agent>.+)-(?P<pid>\d+)-[0-9a-f]{8}")


class Faults:
    """Routes that break things on purpose. Only the owner of a task may use them."""

    def __init__(self, settings: Settings, callers: Callers) -> None:
        self._settings = settings
        self._callers = callers
        self.routes = [Route("/api/local/tasks/{task_id}/kill", self.kill, methods=["POST"])]

    async def kill(self, request: Request) -> Response:
        """Answer POST /api/local/tasks/{id}/kill: SIGKILL the process that runs the task.

        200 names the process and says how many ms its lease is still valid; 409 says why nothing was killed.
        """
        owner = (await self._callers.owner(request)).id
        head, now = await self._head(task_id_in(request))
        if head.owner != owner:
            raise TaskUnknown(head.task_id)
        if head.state in TERMINAL:
            raise Problem(HTTPStatus.CONFLICT, "The task is finished, so no process runs it.")
        holder = _HOLDER.fullmatch(head.lease_owner or "")
        if holder is None or not head.leased(now):
            raise Problem(HTTPStatus.CONFLICT, "No process runs the task at this moment.")
        agent, pid = holder["agent"], int(holder["pid"])
        if not await is_ours(pid):
            raise Problem(HTTPStatus.CONFLICT, f"Process {pid} runs the task, but `make run` did not start it.")
        os.kill(pid, signal.SIGKILL)
        return JSONResponse({"agent": agent, "pid": pid, "attempt": head.attempt, "leaseMs": head.lease_until - now})

    async def _head(self, task_id: str) -> tuple[Head, int]:
        """Return the task's head, and the log's time in ms, by which its lease is valid."""
        log = open_log(self._settings)
        try:
            return await log.head(task_id), log.now()
        finally:
            await log.close()


async def is_ours(pid: int) -> bool:
    """Return whether `pid` is a function that the supervisor of this process has started."""
    listing = await asyncio.create_subprocess_exec(
        *("ps", "-o", "ppid=,args=", "-p", str(pid)), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await listing.communicate()
    parent, _, command = out.decode(errors="replace").strip().partition(" ")
    return parent == str(os.getppid()) and " -m local.serve " in command and pid != os.getpid()
