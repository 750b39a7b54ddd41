"""Postfix, as syslog has it: mail comes, goes, is refused and bounces; then the host that it relays to is gone."""

from __future__ import annotations

import contextlib
import smtplib
import sys
import time

from tests.recordings.http import send
from tests.recordings.kind import Kind
from tests.recordings.room import Room

_MAIN = """compatibility_level = 3.6
myhostname = mail.office.example
mydestination = office.example
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
inet_interfaces = all
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_helo_required = yes
smtpd_sender_restrictions = reject_non_fqdn_sender
transport_maps = inline:{{example.com=smtp:[127.0.0.1]:2500, example.net=smtp:[127.0.0.1]:2501}}
local_recipient_maps = inline:{{root=x, office=x}}
message_size_limit = 20000
maillog_file =
minimal_backoff_time = 20s
maximal_backoff_time = 40s
queue_run_delay = 20s
alias_maps =
"""
# It takes a message, refuses its recipient or asks to come again, as the recipient's name says.
_OTHER = """import socketserver, sys
class Mail(socketserver.StreamRequestHandler):
    def handle(self):
        self.say('220 other ESMTP')
        data = False
        while line := self.rfile.readline().decode(errors='replace').strip() or (data and ' '):
            if data:
                if line == '.': data = False; self.say('250 2.0.0 Ok: queued as %X' % id(line))
                continue
            word = line[:4].upper()
            if word == 'RCPT' and 'gone' in line: self.say('550 5.1.1 no such user')
            elif word == 'RCPT' and 'busy' in line: self.say('450 4.2.0 come again')
            elif word == 'DATA': data = True; self.say('354 go on')
            elif word == 'QUIT': self.say('221 bye'); return
            else: self.say('250 ok')
    def say(self, text): self.wfile.write(text.encode() + b'\\r\\n')
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(('127.0.0.1', int(sys.argv[1])), Mail).serve_forever()
"""


def record(room: Room) -> None:
    room.file("/etc/postfix/main.cf", _MAIN.replace("{{", "{").replace("}}", "}"))
    room.run("sed", "-i", r"s/^\(smtp\|smtpd\|.*unix.*\) y /\1 n /", "/etc/postfix/master.cf")
    room.file("/etc/mailname", "office.example\n")
    room.logs.append(room.syslog())
    program = room.file("/srv/other.py", _OTHER)
    other = room.start(sys.executable, program, "2500")
    room.wait_for_port(2500)
    room.run("postfix", "start")
    room.wait_for_port(25)
    addresses = room.addresses("10.20.10", 30)

    def mail(address: str, sender: str, recipient: str, size: int = 100) -> None:
        with (
            contextlib.suppress(OSError, smtplib.SMTPException),
            smtplib.SMTP("127.0.0.1", 25, "client.example", 8, (address, 0)) as connection,
        ):
            connection.sendmail(sender, recipient, f"Subject: {size}\r\n\r\n{'x' * size}\r\n")

    def visit() -> None:
        number, what, address = room.random.randrange(10**4), room.random.random(), room.random.choice(addresses)
        name = f"user{number % 50}"
        if what < 0.45:
            mail("127.0.0.1", f"{name}@office.example", f"c{number}@example.com", number)
        elif what < 0.52:
            mail("127.0.0.1", f"{name}@office.example", f"gone{number}@example.com")
        elif what < 0.57:
            mail("127.0.0.1", f"{name}@office.example", f"busy{number}@example.com")
        elif what < 0.65:
            mail(address, f"{name}@example.org", f"c{number}@example.org")
        elif what < 0.72:
            mail(address, f"{name}@example.org", f"nobody{number}@office.example")
        elif what < 0.78:
            mail(address, name, "root@office.example")
        elif what < 0.83:
            mail("127.0.0.1", f"{name}@office.example", f"c{number}@example.com", 30_000)
        elif what < 0.88:
            mail("127.0.0.1", f"{name}@office.example", f"c{number}@example.net")
        elif what < 0.94:
            send(address, 25, room.random.choice((b"", b"EHLO x\r\nVRFY root\r\n", b"GET / HTTP/1.1\r\n\r\n")))
        else:
            mail(address, f"{name}@example.org", "office@office.example")

    room.repeat(visit, 150, 0.35)
    room.run("postfix", "reload")
    room.repeat(visit, 40, 0.35)
    with room.incident("the host that it relays to is gone", "refused", "to deferred"):
        room.stop(other)
        room.repeat(visit, 50, 0.35)
        time.sleep(5)
    room.run("postfix", "stop")


KIND = Kind(
    name="postfix",
    host="mail-1",
    programs=("postfix", "rsyslogd", "ip"),
    packages="postfix rsyslog iproute2",
    header=r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ [\w./-]+(?:\[\d+\])?: ",
    record=record,
)
