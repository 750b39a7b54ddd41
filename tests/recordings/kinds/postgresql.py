"""PostgreSQL: orders are written and read, some wrongly; checkpoints, locks, vacuums; then its connections run out."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.recordings.kind import Kind
from tests.recordings.room import Room

_SETTINGS = {
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_lock_waits": "on",
    "deadlock_timeout": "200ms",
    "log_temp_files": "0",
    "work_mem": "64kB",
    "log_autovacuum_min_duration": "0",
    "autovacuum_naptime": "20s",
    "log_min_duration_statement": "150",
    "max_connections": "16",
    "superuser_reserved_connections": "3",
    "checkpoint_timeout": "30s",
    "unix_socket_directories": "/run/pg",
}
_DATA = "/var/lib/postgresql/data"
_WRONG = (
    "INSERT INTO orders VALUES ({a}, 1, 'x')",
    "INSERT INTO orders VALUES (NULL, {n}, 'x')",
    "SELECT total FROM order{n}",
    "SELECT prise FROM orders WHERE id = {n}",
    "SELEC 1 FROM orders",
    "SELECT {n} / 0",
    "SELECT 'abc{n}'::integer",
    "SET statement_timeout = 100; SELECT pg_sleep({n})",
    "INSERT INTO lines VALUES ({n}, -{n})",
    "SELECT repeat('a', 2000)::varchar(3)::json",
)


_TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"


def _psql(room: Room, statement: str, user: str = "shop", database: str = "shop") -> None:
    room.run("psql", "-h", "/run/pg", "-U", user, "-d", database, "-c", statement, timeout=20)


def record(room: Room) -> None:
    log = Path("/var/log/postgresql.log")
    for folder in ("/var/lib/postgresql", "/run/pg"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        room.run("chown", "postgres", folder)
    programs = Path("/usr/lib/postgresql/15/bin")
    room.run(str(programs / "initdb"), "-D", _DATA, "-A", "trust", "-U", "postgres", user="postgres")
    with Path(_DATA, "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
    with Path(_DATA, "pg_hba.conf").open("w") as file:
        file.write("local all report reject\nlocal all audit scram-sha-256\nlocal all all trust\n")
    server = room.start(programs / "postgres", "-D", _DATA, log=log, user="postgres")
    room.wait_for(Path("/run/pg/.s.PGSQL.5432").exists, "PostgreSQL's start")
    time.sleep(1)
    for name in ("shop", "report", "audit"):
        _psql(room, f"CREATE ROLE {name} LOGIN PASSWORD 'x'", "postgres", "postgres")
    _psql(room, "CREATE DATABASE shop OWNER shop", "postgres", "postgres")
    _psql(room, "CREATE TABLE orders (id int PRIMARY KEY, total int, note text)")
    _psql(room, "CREATE TABLE lines (id int, count int CHECK (count > 0))")
    _psql(room, "INSERT INTO orders SELECT g, g, repeat('n', 50) FROM generate_series(1, 3000) g")

    def visit() -> None:
        number, what = room.random.randrange(1, 3000), room.random.random()
        if what < 0.25:
            _psql(
                room,
                f"UPDATE orders SET total = {number} WHERE id = {number}; SELECT * FROM orders WHERE id = {number}",
            )
        elif what < 0.68:
            _psql(room, room.random.choice(_WRONG).format(n=number, a=number % 100 + 1))
        elif what < 0.78:
            _psql(room, "SELECT 1", room.random.choice(("report", "audit", "nobody1", "shop")), "shop")
        elif what < 0.8:
            _psql(room, "SELECT 1", "shop", f"shop{number}")
        elif what < 0.86:
            _psql(room, f"SELECT o.note FROM orders o, orders p WHERE p.id < 40 ORDER BY o.note, o.total + {number}")
        elif what < 0.9:
            _psql(room, f"SELECT pg_sleep(0.{room.random.randrange(16, 60)}), {number}")
        elif what < 0.93:
            _psql(room, "UPDATE orders SET total = total + 1 WHERE id < 500")
        elif what < 0.95:
            _psql(room, "CHECKPOINT", "postgres")
        else:
            first, second = number % 50 + 1, number % 50 + 60
            both = [
                _held(f"BEGIN; UPDATE orders SET total = 1 WHERE id = {a}; SELECT pg_sleep(0.5); "
                      f"UPDATE orders SET total = 2 WHERE id = {b}; COMMIT")
                for a, b in ((first, second), (second, first))
            ]  # fmt: skip
            for process in both:
                process.wait()

    def visits(count: int) -> None:
        room.repeat(visit, count, 0.15)

    visits(165)
    room.run(str(programs / "pg_ctl"), "-D", _DATA, "reload", user="postgres")
    visits(132)
    with room.incident("the connections run out", "slots reserved"):
        held = [_held("SELECT pg_sleep(600)") for _ in range(14)]
        time.sleep(1)
        visits(48)
        for process in held:
            process.terminate()
        _psql(room, _TERMINATE, "postgres")
    visits(33)
    killed = _held("SELECT pg_sleep(60)")
    time.sleep(1)
    _psql(room, _TERMINATE, "postgres")
    killed.wait()
    room.stop(server)
    room.logs.append(log)


def _held(statement: str) -> subprocess.Popen[bytes]:
    command = ["psql", "-h", "/run/pg", "-U", "shop", "-c", statement]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


KIND = Kind(
    name="postgresql",
    host="db-1",
    programs=("psql",),
    packages="postgresql-15",
    header=r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC \[\d+\] (?:\S+@\S+ )?",
    record=record,
)
