"""A Celery worker: invoices are made and mailed; tasks fail, retry and take too long; its broker is killed."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from tests.recordings.kind import Kind
from tests.recordings.room import Room


def record(room: Room) -> None:
    log = Path("/var/log/celery.log")
    for name in ("tasks.py", "produce.py"):
        room.file(f"/srv/{name}", (Path(__file__).parents[1] / "services" / name).read_text())
    redis = ("redis-server", "--save", "", "--dir", "/tmp")
    broker = room.start(*redis)
    room.wait_for_port(6379)
    env = {"PYTHONPATH": "/srv:/srv/lib/pypi"}
    worker = room.start(
        *(
            sys.executable,
            "-m",
            "celery",
            "-A",
            "tasks",
            "worker",
            "-l",
            "INFO",
            "-c",
            "2",
            "-n",
            "worker1@%h",
            "-O",
            "fair",
        ),
        log=log,
        env=env,
    )
    room.wait_for(lambda: log.exists() and " ready." in log.read_text(), "Celery's start")

    def produce(seed: int, count: int) -> None:
        variables = (f"{key}={value}" for key, value in env.items())
        room.run("env", *variables, sys.executable, "/srv/produce.py", str(seed), str(count), timeout=300)

    produce(1, 210)
    with room.incident("the broker is killed", "cannot connect"):
        room.stop(broker, signal.SIGKILL)
        time.sleep(25)
    room.start(*redis)
    room.wait_for_port(6379)
    produce(2, 40)
    room.stop(worker)
    room.logs.append(log)


KIND = Kind(
    name="celery",
    host="worker-1",
    programs=("redis-server",),
    packages="redis-server",
    pypi=("celery[redis]",),
    header=r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: [A-Z]+/[\w-]+\] (?:tasks\.\w+\[[0-9a-f-]{36}\]: )?",
    record=record,
)
