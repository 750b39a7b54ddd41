"""Mosquitto, sensors come, publish and go; bad logins and broken packets; then its passwords are gone."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from tests.recordings.http import send
from tests.recordings.kind import Kind
from tests.recordings.room import Room

_CONFIG = """listener 1883
allow_anonymous false
password_file /etc/mosquitto/users
acl_file /etc/mosquitto/acl
log_type all
log_timestamp true
log_timestamp_format %Y-%m-%dT%H:%M:%S
log_dest stdout
persistence true
persistence_location /var/lib/mosquitto/
autosave_interval 20
max_keepalive 30
message_size_limit 600
"""


def record(room: Room) -> None:
    log = Path("/var/log/mosquitto.log")
    room.file("/etc/mosquitto/users", "")
    room.run("mosquitto_passwd", "-b", "/etc/mosquitto/users", "sensor", "right")
    room.file("/etc/mosquitto/acl", "user sensor\ntopic readwrite house/#\n")
    room.run("chown", "mosquitto", "/etc/mosquitto/users", "/var/lib/mosquitto")
    server = room.start("mosquitto", "-c", room.file("/etc/mosquitto/recorded.conf", _CONFIG), log=log)
    room.wait_for_port(1883)
    addresses = room.addresses("10.20.4", 30)

    def command(program: str, *options: str) -> list[str]:
        return [
            f"mosquitto_{program}",
            "-A",
            room.random.choice(addresses),
            "-h",
            "127.0.0.1",
            "-u",
            "sensor",
            *options,
        ]

    def subscribe(*options: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command("sub", "-P", "right", *options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def visit() -> None:
        number, what = room.random.randrange(10**4), room.random.random()
        topic = f"house/{room.random.choice(('roof', 'cellar', 'hall'))}/{number % 12}"
        name = f"probe-{number % 40}"
        if what < 0.5:
            room.run(*command("pub", "-P", "right", "-i", name, "-t", topic, "-m", str(number), "-q", str(number % 3)))
        elif what < 0.6:
            room.run(*command("sub", "-P", "right", "-t", topic, "-C", "1", "-W", "1", "-q", "1"))
        elif what < 0.68:
            room.run(*command("pub", "-P", f"wrong{number}", "-t", topic, "-m", "x", "-i", name))
        elif what < 0.73:
            room.run(*command("pub", "-P", "right", "-t", f"office/{number}", "-m", "x", "-i", name))
        elif what < 0.78:
            room.run(*command("pub", "-P", "right", "-t", topic, "-m", "x" * 900, "-i", name))
        elif what < 0.83:
            process = subscribe("-t", topic, "-i", name, "-c", "-q", "1", "-k", "5", "--will-topic", "house/will")
            time.sleep(0.3)
            process.kill()
            process.wait()
        elif what < 0.88:
            both = [subscribe("-t", topic, "-i", name) for _ in range(2)]
            time.sleep(0.3)
            for process in both:
                process.kill()
                process.wait()
        elif what < 0.93:
            send(room.random.choice(addresses), 1883, room.random.choice((b"GET / HTTP/1.1\r\n\r\n", b"\x10\x02ab")))
        else:
            send(room.random.choice(addresses), 1883, b"")

    def visits(count: int) -> None:
        room.repeat(visit, count, 0.5)

    visits(208)
    with room.incident("the file of the passwords is empty", "unknown not authorised"):
        passwords = Path("/etc/mosquitto/users").read_text()
        room.file("/etc/mosquitto/users", "")
        server.send_signal(signal.SIGHUP)
        visits(45)
    room.file("/etc/mosquitto/users", passwords)
    server.send_signal(signal.SIGHUP)
    visits(16)
    room.stop(server)
    room.logs.append(log)


KIND = Kind(
    name="mosquitto",
    host="mqtt-1",
    programs=("mosquitto", "mosquitto_pub", "mosquitto_sub", "ip"),
    packages="mosquitto mosquitto-clients iproute2",
    header=r"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d|\d+): ",
    record=record,
)
