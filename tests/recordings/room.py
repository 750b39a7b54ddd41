"""The room in which a kind is recorded: a root file system, network, host name and process numbers of its own.

`python -m tests.recordings.room KIND FOLDER` runs inside it, as its first process. All that the software writes is
dropped with the room, and all its processes end with it. The folder is the machine's.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.recordings.kind import Kind, RecordingError
from tests.recordings.store import Incident, write

_WAIT_S = 60.0
_KERNEL = "6.1.0-28-amd64"  # the machine's own kernel, and where its Python is, are of no use to others
PACKAGES = Path(__file__).parents[2] / ".cache" / "recordings"  # of npm and PyPI; in the room they are in /srv/lib
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_RSYSLOG = """module(load="imuxsock")
module(load="builtin:omfile" Template="RSYSLOG_TraditionalFileFormat")
*.* /var/log/all.log
"""


class Room:
    """What a recorder can do. Its random numbers are the same each time; `host` is the machine's name."""

    def __init__(self, host: str) -> None:
        self.random = random.Random(14)
        self.host = host
        self.incidents: list[Incident] = []
        self.logs: list[Path] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def run(self, *command: str | Path, text: str = "", user: str = "", timeout: float = _WAIT_S) -> str:
        """Run a command to its end, whatever its status; return what it printed."""
        try:
            done = subprocess.run(
                command,
                input=text,
                capture_output=True,
                text=True,
                errors="replace",
                user=user or None,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout + done.stderr

    def start(
        self, *command: str | Path, log: Path | None = None, user: str = "", env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process. Its output is appended to `log`."""
        with open(log or os.devnull, "ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=user or None,
                env={**os.environ, **(env or {})},
            )
        self._processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until the condition is true.

        Raises:
            RecordingError: it never was.
        """
        end = time.monotonic() + _WAIT_S
        while not condition():
            if time.monotonic() > end:
                raise RecordingError(f"{what} did not happen within {_WAIT_S:.0f} s")
            time.sleep(0.1)

    def wait_for_port(self, port: int) -> None:
        def is_open() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        self.wait_for(is_open, f"listening on port {port}")

    def repeat(self, visit: Callable[[], None], count: int, mean: float) -> None:
        """Do it `count` times, with pauses as in a Poisson process: of `mean` seconds, in the mean."""
        for _ in range(count):
            visit()
            time.sleep(min(self.random.expovariate(1 / mean), 5 * mean))

    def addresses(self, network: str, count: int) -> list[str]:
        """Give the machine the addresses `network`.2, .3 … , so that clients come from different ones."""
        found = [f"{network}.{number}" for number in range(2, count + 2)]
        for address in found:
            self.run("ip", "address", "add", f"{address}/32", "dev", "lo")
        return found

    def file(self, path: str, text: str, mode: int = 0o644) -> Path:
        found = Path(path)
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_text(text)
        found.chmod(mode)
        return found

    def syslog(self) -> Path:
        """Start rsyslog; return the file with the messages of all programs."""
        log = Path("/var/log/all.log")
        self.start("rsyslogd", "-n", "-f", self.file("/etc/recorded.conf", _RSYSLOG))
        self.wait_for(Path("/dev/log").exists, "rsyslog's start")
        return log

    @contextlib.contextmanager
    def incident(self, what: str, *events: str) -> Iterator[None]:
        """What is done within is an incident, which `events` tell of."""
        start = time.time()
        yield
        self.incidents.append(Incident(what, start, time.time(), list(events)))

    def stop_all(self) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                self.stop(process)


def furnish(host: str) -> None:
    """Make the room: file systems in memory over the machine's, a loopback device, high process numbers."""
    _call("hostname", host)
    _call("mount", "--make-rprivate", "/")
    _call("mount", "-t", "tmpfs", "room", "/mnt")
    for folder in ("upper", "work", "root"):
        Path("/mnt", folder).mkdir()
    _call("mount", "-t", "overlay", "room", "-o", "lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work", "/mnt/root")
    for folder in ("run", "tmp", "dev", "var/log"):
        _call("mount", "-t", "tmpfs", "room", f"/mnt/root/{folder}")
    os.chmod("/mnt/root/tmp", 0o1777)
    for device in _DEVICES:
        _call("cp", "-a", f"/dev/{device}", f"/mnt/root/dev/{device}")
    for folder in ("pts", "shm"):
        Path("/mnt/root/dev", folder).mkdir()
    _call("mount", "-t", "devpts", "devpts", "-o", "newinstance,ptmxmode=0666", "/mnt/root/dev/pts")
    Path("/mnt/root/dev/ptmx").symlink_to("pts/ptmx")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        Path("/mnt/root/dev", name).symlink_to(f"/proc/self/fd/{number}")
    Path("/mnt/root/dev/fd").symlink_to("/proc/self/fd")
    _call("mount", "-t", "proc", "proc", "/mnt/root/proc")
    PACKAGES.mkdir(parents=True, exist_ok=True)
    Path("/mnt/root/srv/lib").mkdir()
    _call("mount", "--bind", str(PACKAGES), "/mnt/root/srv/lib")
    _call("ip", "link", "set", "lo", "up")
    os.chroot("/mnt/root")
    os.chdir("/")
    Path("/etc/hosts").write_text(f"127.0.0.1 localhost {host}\n")
    Path("/etc/hostname").write_text(f"{host}\n")
    Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    Path("/proc/sys/kernel/ns_last_pid").write_text("21480")
    for name in list(os.environ):
        if name not in ("PATH", "HOME", "TERM", "PYTHONPATH"):
            del os.environ[name]
    os.environ.update(LC_ALL="C.UTF-8", TZ="UTC", HOME="/root", PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")


def _call(*command: str) -> None:
    subprocess.run(command, check=True)


def main(name: str, out: str) -> None:
    folder = os.open(out, os.O_RDONLY)
    kind: Kind = importlib.import_module(f"tests.recordings.kinds.{name}").KIND
    room = Room(kind.host)
    furnish(room.host)
    try:
        kind.record(room)
    finally:
        room.stop_all()
    os.fchdir(folder)
    write(Path(), kind, _merged(room.logs), room.incidents)


def _merged(logs: Sequence[Path]) -> list[str]:
    """Return the lines of the logs, one log after the other, without the blank ones."""
    text = "".join(log.read_text(errors="replace") for log in logs)
    text = text.replace(os.uname().release, _KERNEL).replace(sys.base_prefix, "/usr")
    return [line.rstrip() for line in text.splitlines() if line.strip()]


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except RecordingError as error:
        sys.exit(str(error))
