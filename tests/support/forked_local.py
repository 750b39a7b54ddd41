"""`python -m local`, whose functions are forked by the tests' fork server instead of importing everything again."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import IO

from local import supervisor
from local.__main__ import main
from local.ending import Process
from local.functions import Function
from tests.support.fork_server import VARIABLE, ForkServer
from tests.support.orphans import end_with_parent


async def fork(function: Function, environ: Mapping[str, str], inherited: int, log: IO[bytes]) -> Process:
    flag, *arguments = function.arguments
    assert flag == "-m"
    if arguments[:2] == ["local.serve", "gateway"]:
        arguments.insert(0, "tests.support.kept_files")
    kept = {number: number for number in (*function.descriptors, inherited)}
    output = {1: log.fileno(), 2: log.fileno()}
    return await ForkServer(os.environ[VARIABLE]).start(arguments, environ, {**kept, **output})


if __name__ == "__main__":
    end_with_parent(signal.SIGINT)
    supervisor.spawn = fork
    main()
