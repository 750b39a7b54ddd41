"""Redis with a replica, log level verbose: clients, saves, the replica that comes and goes; then its disk is full."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from tests.recordings.kind import Kind
from tests.recordings.room import Room

_COMMON = ("--loglevel", "verbose", "--save", "3 20", "--repl-diskless-sync", "no", "--protected-mode", "no")


def record(room: Room) -> None:
    log = Path("/var/log/redis.log")
    disk = Path("/var/lib/redis/data")
    replica_disk = Path("/var/lib/redis/replica")
    for folder in (disk, replica_disk):
        folder.mkdir(parents=True)
    room.run("mount", "-t", "tmpfs", "-o", "size=6m", "disk", str(disk))
    room.start("redis-server", *_COMMON, "--port", "6379", "--dir", str(disk), "--rdbcompression", "no", log=log)
    room.wait_for_port(6379)
    replica = ("redis-server", *_COMMON, "--port", "6380", "--dir", str(replica_disk), "--replicaof", "127.0.0.1 6379")
    second = room.start(*replica)
    addresses = room.addresses("10.20.9", 30)
    held: list[socket.socket] = []

    def client(*commands: str) -> None:
        with contextlib.suppress(OSError):
            connection = socket.create_connection(
                ("127.0.0.1", 6379), 3, source_address=(room.random.choice(addresses), 0)
            )
            for command in commands:
                connection.sendall(command.encode() + b"\r\n")
                connection.recv(4096)
            if room.random.random() < 0.2:
                held.append(connection)
            else:
                connection.close()

    def visit() -> None:
        number, what = room.random.randrange(10**6), room.random.random()
        if what < 0.75:
            client(f"SET order:{number} {number}", f"INCR visits:{number % 7}", f"GET order:{number}")
        elif what < 0.78:
            client(f"CONFIG SET maxmemory {64 + number % 9}mb", "CONFIG SET maxmemory-policy allkeys-lru")
        elif what < 0.81:
            client("*3\r\n$x", "PING")
        elif what < 0.83:
            client("POST / HTTP/1.1", "Host: 127.0.0.1")
        elif what < 0.86:
            client("BGREWRITEAOF")
        elif what < 0.89:
            client(room.random.choice(("CLIENT KILL TYPE normal SKIPME yes", "CLIENT KILL TYPE replica")))
        elif what < 0.92:
            client(f"DEBUG OBJECT order:{number}", f"SLAVEOF 127.0.0.1 {6400 + number % 3}", "SLAVEOF NO ONE")
        elif what < 0.96:
            client(f"EVAL return('{number}') 0", "SCRIPT FLUSH", "FLUSHALL" if number % 3 == 0 else "PING")
        else:
            client("CLIENT PAUSE 20", "MEMORY PURGE", "BGSAVE")
        while len(held) > 25:
            held.pop(0).close()

    def visits(count: int) -> None:
        room.repeat(visit, count, 0.6)

    visits(140)
    room.stop(second)
    visits(20)
    second = room.start(*replica)
    visits(120)
    with room.incident("the disk is full", "write error saving DB on disk", "background saving error"):
        (disk / "dump-old.rdb").write_bytes(bytes(6 * 2**20 - 40_000))
        client(f"SET big {'x' * 200_000}")
        for number in range(300):
            client(f"SET filler:{number} {'y' * 500}")
        visits(50)
    (disk / "dump-old.rdb").unlink()
    visits(30)
    room.logs.append(log)


KIND = Kind(
    name="redis",
    host="cache-1",
    programs=("redis-server", "ip", "mount"),
    packages="redis-server",
    header=r"\d+:[A-Z] \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} [.*#-] ",
    record=record,
)
