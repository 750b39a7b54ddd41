"""An ensemble of three ZooKeepers; one writes: sessions, broken clients, elections; a leader is killed.

Its header has a thread's name with anything in it, a class and a line number.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import subprocess
from pathlib import Path

from tests.recordings.kind import Kind
from tests.recordings.room import Room

_LOG4J = """log4j.rootLogger=INFO, CONSOLE
log4j.appender.CONSOLE=org.apache.log4j.ConsoleAppender
log4j.appender.CONSOLE.layout=org.apache.log4j.PatternLayout
log4j.appender.CONSOLE.layout.ConversionPattern=%d{ISO8601} [myid:%X{myid}] - %-5p [%t:%C{1}@%L] - %m%n
"""
_CONFIG = """tickTime=500
initLimit=10
syncLimit=5
dataDir=/var/lib/zookeeper/{myid}
clientPort=218{myid}
maxClientCnxns=20
4lw.commands.whitelist=ruok, stat, mntr, srvr
admin.enableServer=false
snapCount=200
autopurge.purgeInterval=1
server.1=127.0.0.1:2881:3881
server.2=127.0.0.1:2882:3882
server.3=127.0.0.1:2883:3883
"""
_CLASSES = ":".join(f"/usr/share/java/{name}.jar" for name in ("zookeeper", "slf4j-log4j12", "log4j-1.2"))


def _connect(last: int = 0, timeout: int = 4000, session: int = 0) -> bytes:
    body = struct.pack(">iqiqi", 0, last, timeout, session, 16) + bytes(17)
    return struct.pack(">i", len(body)) + body


def _create(path: str, xid: int) -> bytes:
    name = path.encode()
    acl = struct.pack(">ii", 1, 31) + struct.pack(">i5si6s", 5, b"world", 6, b"anyone")
    body = struct.pack(">iii", xid, 1, len(name)) + name + struct.pack(">i", 0) + acl + struct.pack(">i", 0)
    return struct.pack(">i", len(body)) + body


_CLOSE = struct.pack(">iii", 8, 9999, -11)


def record(room: Room) -> None:
    log = Path("/var/log/zookeeper.log")
    room.file("/etc/zk/log4j.properties", _LOG4J)
    addresses = room.addresses("10.20.5", 30)

    def server(myid: int) -> subprocess.Popen[bytes]:
        config = room.file(f"/etc/zk/{myid}.cfg", _CONFIG.format(myid=myid))
        room.file(f"/var/lib/zookeeper/{myid}/myid", f"{myid}\n")
        return room.start(
            *("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dzookeeper.jmx.log4j.disable=true"),
            *("-cp", f"/etc/zk:{_CLASSES}", "org.apache.zookeeper.server.quorum.QuorumPeerMain", config),
            log=log if myid == 2 else None,
        )

    servers = {myid: server(myid) for myid in (1, 2, 3)}
    for myid in servers:
        room.wait_for_port(2180 + myid)
    held: list[socket.socket] = []

    def client(*data: bytes, keep: bool = False) -> None:
        with contextlib.suppress(OSError):
            connection = socket.create_connection(("127.0.0.1", 2182), 2, (room.random.choice(addresses), 0))
            for part in data:
                connection.sendall(part)
                connection.recv(65_536)
            if keep:
                held.append(connection)
                if len(held) > 15:
                    held.pop(0).close()
            else:
                connection.close()

    def visit() -> None:
        number, what = room.random.randrange(10**6), room.random.random()
        if what < 0.3:
            client(_connect(), *(_create(f"/order-{number}-{n}", n) for n in range(5)), _CLOSE)
        elif what < 0.5:
            client(_connect(timeout=1500 + number % 2000), keep=True)
        elif what < 0.65:
            client(room.random.choice((b"ruok", b"stat", b"mntr", b"srvr", b"isro", b"dump")))
        elif what < 0.75:
            client(_connect(session=0x1000000000000 + number))
        elif what < 0.8:
            client(_connect(last=0x7F00000000 + number))
        elif what < 0.88:
            client(struct.pack(">i", 0x1000000 + number) + b"x" * 20)
        elif what < 0.94:
            client(b"GET / HTTP/1.1\r\n\r\n")
        else:
            client(b"\0\0")

    def visits(count: int) -> None:
        room.repeat(visit, count, 0.35)

    visits(108)
    room.stop(servers[1])
    visits(19)
    servers[1] = server(1)
    visits(144)
    with room.incident("the two other servers are killed, and with them the leader", "no peer to connect to"):
        for myid in (1, 3):
            room.stop(servers[myid], signal.SIGKILL)
        visits(48)
    for myid in (1, 3):
        servers[myid] = server(myid)
    visits(60)
    room.logs.append(log)


KIND = Kind(
    name="zookeeper",
    host="zk-2",
    programs=("java", "ip"),
    packages="zookeeper liblog4j1.2-java libslf4j-java",
    header=r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[myid:\d*\] - [A-Z]+ +\[.*?:[\w$]+@\d+\] - ",
    record=record,
)
