"""MariaDB's error log, warnings on: its start, clients that break off or may not come, locks;
then a table's file is damaged.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from pathlib import Path

from tests.recordings.kind import Kind
from tests.recordings.room import Room

_SOCKET = "/run/mariadb.sock"
_DATA = "/var/lib/mariadb"


def _sql(room: Room, statement: str, user: str = "root", password: str = "", database: str = "mysql") -> None:
    secret = [f"-p{password}"] if password else []
    room.run("mariadb", "-h", "127.0.0.1", "-u", user, *secret, "-D", database, "-e", statement, timeout=20)


def record(room: Room) -> None:
    log = Path("/var/log/mariadb.log")
    room.run("mariadb-install-db", f"--datadir={_DATA}", "--user=mysql", "--auth-root-authentication-method=normal")
    options = (
        *("mariadbd", "--no-defaults", f"--datadir={_DATA}", "--user=mysql", f"--socket={_SOCKET}", "--log-warnings=9"),
        *(
            "--max-connections=12",
            "--innodb-print-all-deadlocks=ON",
            "--innodb-buffer-pool-size=8M",
            "--wait-timeout=3",
        ),
        *(
            "--innodb-lock-wait-timeout=1",
            "--max-allowed-packet=64K",
            "--connect-timeout=2",
            "--max-connect-errors=1000",
        ),
    )
    server = room.start(*options, log=log)
    room.wait_for_port(3306)
    _sql(room, "CREATE DATABASE shop; CREATE USER shop IDENTIFIED BY 'right'; GRANT ALL ON shop.* TO shop")
    _sql(room, "CREATE USER audit IDENTIFIED BY 'right'; CREATE USER locked@'%' ACCOUNT LOCK")
    _sql(room, "CREATE TABLE orders (id INT PRIMARY KEY, n INT); INSERT INTO orders SELECT seq, seq FROM seq_1_to_999",
         "root", "", "shop")  # fmt: skip
    _sql(room, "CREATE TABLE old (id INT PRIMARY KEY, total INT) ENGINE=MyISAM; INSERT INTO old VALUES (1, 1), (2, 2)",
         "root", "", "shop")  # fmt: skip

    def held(statement: str) -> subprocess.Popen[bytes]:
        command = ["mariadb", "-S", _SOCKET, "-u", "root", "-D", "shop", "-e", statement]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def visit() -> None:
        number, what = room.random.randrange(1, 900), room.random.random()
        if what < 0.25:
            _sql(room, "SELECT 1", room.random.choice(("shop", "audit", f"user{number}")), f"wrong{number}")
        elif what < 0.35:
            _sql(room, "SELECT 1", "audit", "right", "shop")
        elif what < 0.40:
            _sql(room, "SELECT 1", "locked", "", "shop")
        elif what < 0.58:
            process = held(f"SELECT SLEEP(9), {number}")
            time.sleep(0.3)
            process.kill()
            process.wait()
            _sql(room, "KILL (SELECT MAX(id) FROM information_schema.processlist WHERE command = 'Query')")
        elif what < 0.7:
            process = subprocess.Popen(
                ["mariadb", "-h", "127.0.0.1", "-u", "shop", "-pright", "shop"], stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
            time.sleep(0.3)
            process.kill()
            process.wait()
        elif what < 0.8:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 3306), 3) as connection:
                connection.recv(100)
                connection.sendall(room.random.choice((b"GET / HTTP/1.1\r\n\r\n", b"", b"\x01\x00\x00\x01\x02")))
        elif what < 0.85:
            _sql(room, f"SELECT '{'x' * 70_000}'", "shop", "right", "shop")
        elif what < 0.88:
            both = [
                held(f"BEGIN; UPDATE orders SET n = 1 WHERE id = {a}; SELECT SLEEP(0.4); "
                     f"UPDATE orders SET n = 2 WHERE id = {b}; COMMIT")
                for a, b in ((number, number + 1), (number + 1, number))
            ]  # fmt: skip
            for process in both:
                process.wait()
        elif what < 0.92:
            _sql(room, room.random.choice(("SET GLOBAL innodb_buffer_pool_size = 16777216",
                                           "SET GLOBAL innodb_buffer_pool_size = 8388608", "FLUSH TABLES",
                                           "INSTALL SONAME 'nothing'")))  # fmt: skip
        else:
            _sql(room, f"SELECT * FROM orders WHERE id = {number}", "shop", "right", f"shop{number}")

    def visits(count: int) -> None:
        room.repeat(visit, count, 0.25)

    visits(128)
    room.stop(server)
    server = room.start(*options, log=log)
    room.wait_for_port(3306)
    visits(96)
    with room.incident("a table's file is damaged", "table is corrupt"):
        file = Path(_DATA, "shop/old.MYI")
        _sql(room, "FLUSH TABLES")
        file.write_bytes(file.read_bytes()[:200])
        for _ in range(25):
            _sql(room, "SELECT * FROM old", "root", "", "shop")
            visits(1)
    visits(16)
    room.stop(server)
    room.logs.append(log)


KIND = Kind(
    name="mariadb",
    host="db-2",
    programs=("mariadbd", "mariadb"),
    packages="mariadb-server",
    header=r"\d{4}-\d\d-\d\d [ \d]\d:\d\d:\d\d \d+ \[\w+\] ",
    record=record,
)
