"""Starts and stops the processes of a recording, and no others."""

import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

STOP_SECONDS = 5.0
START_SECONDS = 20.0
ROOT = Path(__file__).resolve().parents[2]
NGINX = """\
{user}
worker_processes 1;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 512; }}
http {{
    log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                     '"$http_referer" "$http_user_agent" '
                     'rt=$request_time urt=$upstream_response_time id=$connection-$connection_requests';
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream shop {{
        server 127.0.0.1:{shop};
        keepalive 16;
    }}
    server {{
        listen 127.0.0.1:{front};
        server_name shop.example;
        access_log access.log timed;
        location / {{
            proxy_pass http://shop;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Request-Id $connection-$connection_requests;
            proxy_connect_timeout 2s;
            proxy_read_timeout 5s;
        }}
    }}
    server {{
        listen 127.0.0.1:{status};
        access_log off;
        location / {{ stub_status; }}
    }}
}}
"""


class RecordingError(Exception):
    """There is no recording. The message says why, without a full stop."""


class Processes:
    """The processes of one recording. Their files are in `folder`; the services write their log to its `app.log`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str) -> None:
        """Start `command`. Where `setpriv` is installed, it ends with this process, even if this is killed."""
        end_with_us = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        # Times are UTC, because nginx's error log names no zone. In its own session it does not get our Ctrl-C.
        environment = {**os.environ, "TZ": "UTC", "PYTHONUNBUFFERED": "1"}
        with (self.folder / "app.log").open("ab") as log, (self.folder / f"{name}.stderr").open("ab") as errors:
            self.running[name] = subprocess.Popen(
                [*end_with_us, *command], cwd=ROOT, env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=errors,
            )  # fmt: skip

    def python(self, name: str, *arguments: str) -> None:
        self.start(name, sys.executable, "-m", f"local.recording.{name}", *arguments)

    def nginx(self, binary: str, ports: dict[str, int]) -> None:
        user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(NGINX.format(user=user, **ports))
        self.start(
            "nginx", binary, "-p", f"{self.folder}/", "-e", "error.log",
            "-c", f"{self.folder}/nginx.conf", "-g", "daemon off;",
        )  # fmt: skip

    def pid(self, name: str) -> int | None:
        process = self.running.get(name)
        return process.pid if process is not None and process.poll() is None else None

    def kill(self, name: str) -> None:
        """Send SIGKILL and wait for the end."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> None:
        """Send SIGTERM, and SIGKILL if the process has not ended after STOP_SECONDS."""
        process = self.running.pop(name)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        for name in reversed(list(self.running)):
            self.stop(name)

    def check(self) -> None:
        """Check that no process has ended by itself. Only the price job may, when it is done.

        Raises:
            RecordingError: one has.
        """
        for name, process in self.running.items():
            if process.poll() is not None and (name, process.returncode) != ("reprice", 0):
                lines = (self.folder / f"{name}.stderr").read_text(errors="replace").strip().splitlines()
                why = f": {lines[-1]}" if lines else ""
                raise RecordingError(f"{name} ended by itself with status {process.returncode}{why}")

    def wait_for(self, port: int) -> None:
        """Return when something listens on `port`.

        Raises:
            RecordingError: nothing does within START_SECONDS, or a process has ended.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RecordingError(f"nothing listens on 127.0.0.1:{port} after {START_SECONDS:g} s")


def free_port() -> int:
    """Return a free port below the range that the system uses for outgoing connections.

    In that range, an outgoing connection could take the port of the killed shop before the shop is back.

    Raises:
        RecordingError: no port is free.
    """
    for _ in range(200):
        port = random.randrange(20_000, 32_000)  # noqa: S311
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RecordingError("there is no free port between 20000 and 32000 on 127.0.0.1")


def find_nginx(wanted: str | None) -> tuple[str, str]:
    """Return nginx's path and its version, for example "nginx/1.22.1".

    Raises:
        RecordingError: there is none, or it lacks stub_status. The message says what to install.
    """
    # On Debian nginx is in sbin, which is not in an ordinary user's PATH.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    binary = shutil.which(wanted or "nginx", path=path)
    if binary is None:
        missing = f"{wanted} does not exist" if wanted else "nginx is not installed"
        raise RecordingError(f"{missing}: on Debian or Ubuntu, install it with `apt-get install nginx-light`")
    description = subprocess.run([binary, "-V"], capture_output=True, text=True, check=False).stderr
    version = description.partition("nginx version: ")[2].split()
    if not version or "http_stub_status_module" not in description:
        raise RecordingError(f"{binary} is not an nginx with stub_status: Debian's `nginx-light` has it")
    return binary, version[0]
