"""dnsmasq, as syslog has it: names are asked for and leases are given; then the server that it forwards to is gone."""

from __future__ import annotations

import signal
import time

from tests.recordings.kind import Kind
from tests.recordings.room import Room

_NAMES = ("shop", "db", "cache", "mail", "files", "build", "ci", "wiki")


def record(room: Room) -> None:
    room.logs.append(room.syslog())
    hosts = "".join(f"10.9.0.{n} {name}.office.example {name}\n" for n, name in enumerate(_NAMES, 10))
    room.file("/etc/names", hosts)
    upstream = (
        "dnsmasq",
        "-k",
        "--port=5300",
        "--no-resolv",
        "--no-hosts",
        "--address=/example.com/192.0.2.7",
        "--address=/example.net/192.0.2.9",
        "--log-facility=/dev/null",
        "--pid-file",
        "--local=/example.org/example.com/example.net/bind/",
        "--user=root",
        "--conf-file=/dev/null",
    )
    command = (
        "dnsmasq",
        "-k",
        "--user=root",
        "--pid-file",
        "--no-resolv",
        "--no-hosts",
        "--addn-hosts=/etc/names",
        "--server=127.0.0.1#5300",
        "--log-queries=extra",
        "--cache-size=40",
        "--conf-file=/dev/null",
        "--local=/office.example/",
        "--bogus-priv",
        "--domain-needed",
        "--dns-forward-max=10",
        "--cname=intranet.office.example,shop.office.example",
        "--stop-dns-rebind",
        "--rebind-domain-ok=/net/",
    )
    other = room.start(*upstream)
    server = room.start(*command)
    addresses = room.addresses("10.20.2", 30)
    time.sleep(2)

    def ask(kind: str, name: str) -> None:
        address = room.random.choice(addresses)
        room.run("dig", "-b", address, "+tries=1", "+timeout=1", "@127.0.0.1", "-t", kind, name, timeout=5)

    def visit() -> None:
        number, what = room.random.randrange(300), room.random.random()
        if what < 0.35:
            ask("A", f"{room.random.choice(_NAMES)}.office.example")
        elif what < 0.65:
            ask(room.random.choice(("A", "AAAA", "MX")), f"w{number}.example.{room.random.choice(('com', 'net'))}")
        elif what < 0.72:
            ask("A", f"gone{number}.example.org")
        elif what < 0.79:
            ask("PTR", f"{number % 20}.0.9.10.in-addr.arpa")
        elif what < 0.85:
            ask("A", f"gone{number}.office.example")
        elif what < 0.9:
            ask("A", "intranet.office.example")
        elif what < 0.95:
            ask("A", f"name{number}")
        else:
            ask("TXT", room.random.choice(("cachesize.bind CH", "version.bind")))

    def visits(count: int) -> None:
        room.repeat(visit, count, 0.4)

    visits(110)
    server.send_signal(signal.SIGHUP)
    visits(44)
    server.send_signal(signal.SIGUSR1)
    visits(110)
    with room.incident("the server that names are forwarded to refuses", "refused"):
        room.stop(other)
        other = room.start(
            "dnsmasq",
            "-k",
            "--port=5300",
            "--no-resolv",
            "--no-hosts",
            "--log-facility=/dev/null",
            "--pid-file",
            "--user=root",
            "--conf-file=/dev/null",
        )
        visits(44)
    room.stop(other)
    room.start(*upstream)
    visits(33)
    room.stop(server)


KIND = Kind(
    name="dnsmasq",
    host="ns-1",
    programs=("dnsmasq", "dig", "rsyslogd", "ip"),
    packages="dnsmasq bind9-dnsutils rsyslog iproute2",
    header=r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ [\w.-]+(?:\[\d+\])?: ",
    record=record,
)
