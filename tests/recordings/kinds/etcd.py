"""etcd, JSON lines of zap: keys are written, leases end, members change, defragmentation; then its space is used up."""

from __future__ import annotations

from pathlib import Path

from tests.recordings.kind import Kind
from tests.recordings.room import Room


def record(room: Room) -> None:
    log = Path("/var/log/etcd.log")
    options = (
        *("etcd", "--logger=zap", "--data-dir=/var/lib/etcd", "--name=etcd-1", "--log-level=info"),
        *("--quota-backend-bytes=2500000", "--snapshot-count=60", "--auto-compaction-retention=40"),
        "--auto-compaction-mode=revision",
    )
    server = room.start(*options, log=log)
    room.wait_for_port(2379)
    addresses = room.addresses("10.20.12", 8)

    def control(*command: str, value: str = "") -> None:
        room.run("env", "ETCDCTL_API=3", "etcdctl", "--command-timeout=2s", *command, text=value, timeout=8)

    def visit() -> None:
        number, what = room.random.randrange(10**5), room.random.random()
        if what < 0.3:
            control("put", f"/orders/{number % 50}", value="x" * (number % 4000))
        elif what < 0.4:
            control("put", f"/orders/{number % 50}", value="x" * 1_600_000)
        elif what < 0.5:
            control("compaction", str(number % 120))
        elif what < 0.58:
            control("defrag")
        elif what < 0.66:
            control("snapshot", "save", f"/tmp/{number}.db")
        elif what < 0.74:
            control(
                "member",
                "add",
                f"etcd-{number % 9 + 2}",
                f"--peer-urls=http://{room.random.choice(addresses)}:2380",
                "--learner",
            )
        elif what < 0.84:
            control("member", "remove", f"{number:x}")
        elif what < 0.92:
            control("user", "add", f"user{number % 7}:x")
        else:
            control("alarm", "list")

    room.repeat(visit, 130, 0.3)
    room.stop(server)
    server = room.start(*options, log=log)
    room.wait_for_port(2379)
    room.repeat(visit, 60, 0.3)
    with room.incident("its space is used up", "alarm"):
        for number in range(40):
            control("put", f"/filler/{number}", value="x" * 90_000)
        room.repeat(visit, 40, 0.3)
    room.stop(server)
    room.logs.append(log)


KIND = Kind(
    name="etcd",
    host="etcd-1",
    programs=("etcd", "etcdctl"),
    packages="etcd-server etcd-client",
    header=r'\{"level":"\w+","ts":"[^"]+","caller":"[^"]+","msg":"',
    record=record,
)
