"""BIND's named: queries, refused transfers, updates, reloads; then a zone's file is bad."""

from __future__ import annotations

from pathlib import Path

from tests.recordings.kind import Kind
from tests.recordings.room import Room

_CONFIG = """options {
  directory "/var/cache/bind"; listen-on { any; }; listen-on-v6 { none; }; recursion yes; dnssec-validation no;
  forwarders { 127.0.0.1 port 5300; }; forward only; allow-query { any; }; allow-recursion { 10.20.1.2; 10.20.1.3; };
  allow-transfer { 10.20.1.2; }; pid-file none; querylog yes; session-keyfile none; tcp-clients 20;
};
controls { };
logging {
  channel all { file "/var/log/named.log"; print-time yes; print-category yes; print-severity yes; severity info; };
  category default { all; };
  category lame-servers { all; };
};
zone "office.example" { type primary; file "/var/cache/bind/office"; allow-update { 10.20.1.3; }; };
zone "shop.example" { type primary; file "/var/cache/bind/shop"; };
"""
_ZONE = """$TTL 60
@ SOA ns root ( {serial} 60 60 600 60 )
@ NS ns
ns A 10.9.0.1
{names}
"""


def record(room: Room) -> None:
    log = Path("/var/log/named.log")
    names = "\n".join(f"h{number} A 10.9.0.{number}" for number in range(2, 60))
    config = room.file("/etc/bind/recorded.conf", _CONFIG)
    serial = 1

    def zone(name: str, text: str = "") -> None:
        nonlocal serial
        serial += 1
        room.file(f"/var/cache/bind/{name}", _ZONE.format(serial=serial, names=names) + text)

    zone("office")
    zone("shop")
    server = room.start("named", "-f", "-c", config)
    room.wait_for_port(53)
    addresses = room.addresses("10.20.1", 20)

    def dig(*options: str) -> None:
        address = room.random.choice(addresses)
        room.run("dig", "-b", address, "@127.0.0.1", "+tries=1", "+timeout=1", *options, timeout=4)

    def reload() -> None:
        server.send_signal(1)

    def visit() -> None:
        number, what = room.random.randrange(200), room.random.random()
        name = f"h{number % 80}.{room.random.choice(('office', 'shop'))}.example"
        if what < 0.55:
            dig("-t", room.random.choice(("A", "AAAA", "TXT")), name)
        elif what < 0.67:
            dig(f"w{number}.example.net")
        elif what < 0.75:
            dig("-t", "AXFR", room.random.choice(("office.example", "shop.example", "none.example")))
        elif what < 0.85:
            update = f"server 127.0.0.1\nlocal {room.random.choice(addresses[:4])}\nzone office.example\n"
            room.run(
                "nsupdate", "-t", "2", text=f"{update}update add n{number}.office.example 60 A 10.9.1.{number}\nsend\n"
            )
        elif what < 0.9:
            zone("shop")
            reload()
        else:
            dig("-t", "A", f"h{number}.office.example", "+tcp")

    room.repeat(visit, 230, 0.35)
    with room.incident("the file of a zone is bad", "zone not loaded", "dns_master_load"):
        for number in range(12):
            zone("shop", f"broken{number} BAD 10.9.0.{number}\n")
            reload()
            room.repeat(visit, 4, 0.35)
    zone("shop")
    reload()
    room.repeat(visit, 30, 0.35)
    room.stop(server)
    room.logs.append(log)


KIND = Kind(
    name="bind",
    host="ns-2",
    programs=("named", "dig", "nsupdate", "ip"),
    packages="bind9 bind9-dnsutils iproute2",
    header=r"\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d\.\d{3} [\w-]+: [\w ]+: ",
    record=record,
)
