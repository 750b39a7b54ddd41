"""Records the sample that the page offers: a real nginx, shop and database, and a real outage.

    python -m local.record_sample [--minutes 7.5] [--rate 22] [--interval 2] [--out frontend/sample]

Everything runs on loopback in a temporary folder, and is stopped and removed at the end. This happens, at these shares
of the whole time:

    0     visitors come and buy; nothing is wrong
    0.667 a job sets new prices in one long transaction: writes wait for the database's lock and hold all database
          connections of the shop, which answers 503, or so late that nginx answers 504
    0.76  the shop is killed (SIGKILL): nginx answers 502
    0.80  the shop is started again, and is stuck again at once, because the job still runs
    0.86  the job is stopped (SIGTERM) and rolls back: everything recovers by itself
    1     the end

The logs are published exactly as nginx and the services wrote them. The exit status is 0 if the recording was written.
Otherwise nothing was written, and it is 1 if the recording failed, 2 for a wrong argument, 130 or 143 if it was
interrupted.
"""

import argparse
import asyncio
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from local.recording.lines import utc
from local.recording.load import Load
from local.recording.metrics import Metrics
from local.recording.package import check_writable, publish
from local.recording.processes import ROOT, Processes, RecordingError, find_nginx, free_port

# When each of these happens, as a share of the whole time.
JOB, KILL, RESTART, STOP = 0.667, 0.76, 0.80, 0.86


async def record(folder: Path, nginx: str, seconds: float, rate: float, interval: float) -> list[dict[str, str]]:
    """Record access.log, error.log, app.log and metrics.csv in `folder`, for `seconds`.

    `rate` is in requests per second, `interval` in seconds between two rows of metrics. Returns what was done to the
    services, in order: `{"time": ISO 8601 UTC, "what": TEXT}`.

    Raises:
        RecordingError: a port or a process was missing, or a process ended by itself.
    """
    done: list[dict[str, str]] = []
    ports = {name: free_port() for name in ("front", "status", "shop", "database")}
    database = (str(ports["database"]), str(folder / "orders.db"))
    shop = (str(ports["shop"]), str(ports["database"]))
    processes = Processes(folder)
    try:
        processes.python("database", *database)
        processes.wait_for(ports["database"])
        processes.python("shop", *shop)
        processes.wait_for(ports["shop"])
        processes.nginx(nginx, ports)
        processes.wait_for(ports["front"])
        load = Load(ports["front"], rate)
        metrics = Metrics(folder, processes, ports, interval)
        started = time.monotonic()

        async def at(share: float, what: str) -> None:
            await asyncio.sleep(max(0.0, started + share * seconds - time.monotonic()))
            done.append({"time": utc(), "what": what})
            print(*done[-1].values(), flush=True)

        async with asyncio.TaskGroup() as group:
            background = [group.create_task(load.run()), group.create_task(metrics.run())]
            await at(0, "the recording starts")
            await at(JOB, "the price job starts")
            processes.python("reprice", database[1])
            await at(KILL, "the shop is killed")
            processes.kill("shop")
            await at(RESTART, "the shop is started again")
            processes.python("shop", *shop)
            await at(STOP, "the price job is stopped")
            await asyncio.to_thread(processes.stop, "reprice")
            await at(1, "the recording ends")
            for task in background:
                task.cancel()
        return done
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        processes.stop_all()


async def run(options: argparse.Namespace) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    check_writable(options.out)
    nginx, version = find_nginx(options.nginx)
    seconds = options.minutes * 60
    command = f"python -m local.record_sample --minutes {options.minutes:g} --rate {options.rate:g}"
    with tempfile.TemporaryDirectory(prefix="tailrace-sample-") as name:
        folder = Path(name)
        done = await record(folder, nginx, seconds, options.rate, options.interval)
        recorded: dict[str, object] = {
            "at": done[0]["time"],
            "with": f"{version}, Python {platform.python_version()}, Linux",
            "command": f"{command} --interval {options.interval:g}",
            "done": done,
        }
        window = 30 if seconds >= 180 else max(3, round(seconds / 15))
        sizes = publish(folder, options.out, recorded, window)
    for file, size in sizes.items():
        print(f"{size:>8} {file}")


def arguments(argv: list[str] | None) -> argparse.Namespace:
    def between(low: float, high: float, unit: str) -> Callable[[str], float]:
        def number(text: str) -> float:
            value = float(text)
            if not low <= value <= high:
                raise argparse.ArgumentTypeError(f"{text} is not between {low:g} and {high:g} {unit}")
            return value

        return number

    parser = argparse.ArgumentParser(prog="record_sample", description="Record the sample that the page offers.")
    parser.add_argument(
        "--minutes", type=between(0.25, 30, "minutes"), default=7.5, help="length of the recording (7.5)"
    )
    parser.add_argument("--rate", type=between(1, 60, "requests/s"), default=22, help="requests per second (22)")
    parser.add_argument("--interval", type=between(0.2, 10, "s"), default=2, help="seconds between metrics (2)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "frontend" / "sample", help="the folder to write to (frontend/sample)"
    )
    parser.add_argument("--nginx", help="the nginx to run (the one that is installed)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    try:
        if platform.system() != "Linux":
            raise RecordingError("recording needs Linux: the metrics are read from /proc")
        asyncio.run(run(options))
    except RecordingError as error:
        print(f"record_sample: {error}.", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"record_sample: {error.strerror}: {error.filename}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("record_sample: interrupted; nothing was written.", file=sys.stderr)
        return 130
    except asyncio.CancelledError:
        print("record_sample: stopped; nothing was written.", file=sys.stderr)
        return 143
    return 0


if __name__ == "__main__":
    sys.exit(main())
