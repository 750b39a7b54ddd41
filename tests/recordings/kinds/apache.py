"""Apache httpd's error log, level info: a proxy, forbidden places, a login, TLS; then its server is killed."""

from __future__ import annotations

import base64
import signal
import sys
from pathlib import Path

from tests.recordings import shop
from tests.recordings.http import ask, send
from tests.recordings.kind import Kind
from tests.recordings.room import Room

_MODULES = (
    "mpm_event authz_core authz_host authz_user authn_core authn_file auth_basic access_compat mime dir autoindex "
    "proxy proxy_http ssl socache_shmcb rewrite reqtimeout status cgid"
)
_CONFIG = """ServerRoot /etc/apache2
PidFile /run/httpd.pid
DefaultRuntimeDir /run
ScriptSock /run/cgid.sock
TypesConfig /dev/null
ServerName shop.example
User www-data
Group www-data
{modules}
ErrorLog /var/log/httpd-error.log
LogLevel info
Listen 8080
Listen 8443
StartServers 1
ServerLimit 2
ThreadsPerChild 8
MaxRequestWorkers 16
LimitRequestBody 1000
RequestReadTimeout header=2 body=2
ProxyTimeout 2
DocumentRoot /var/www
<Directory /var/www>
  Options -Indexes +ExecCGI
  AddHandler cgi-script .cgi
</Directory>
<Location /private>
  Require all denied
</Location>
<Location /office>
  Require ip 192.168.0.0/16
</Location>
<Location /account>
  AuthType Basic
  AuthName account
  AuthUserFile /etc/apache2/users
  Require valid-user
</Location>
ProxyPass /api http://127.0.0.1:9000/api retry=0
<VirtualHost *:8443>
  SSLEngine on
  SSLCertificateFile /etc/apache2/cert.pem
  SSLCertificateKeyFile /etc/apache2/key.pem
</VirtualHost>
"""
_CGI = (
    '#!/bin/sh\necho "$QUERY_STRING cannot be sold" >&2\n[ $(($$ % 2)) = 0 ] && echo Content-Type: text/plain && echo\n'
)


def record(room: Room) -> None:
    modules = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in _MODULES.split())
    config = str(room.file("/etc/apache2/recorded.conf", _CONFIG.format(modules=modules)))
    room.file("/var/www/index.html", "here\n")
    room.file("/var/www/files/list.txt", "here\n")
    room.file("/var/www/files/secret.txt", "here\n", 0o600)
    room.file("/var/www/sell.cgi", _CGI, 0o755)
    room.run("htpasswd", "-bc", "/etc/apache2/users", "anybody", "right")
    room.run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other.example"),
        *("-keyout", "/etc/apache2/key.pem", "-out", "/etc/apache2/cert.pem"),
    )
    program = room.file("/srv/shop.py", Path(shop.__file__).read_text())
    backend = room.start(sys.executable, program, "9000")
    httpd = room.start("apache2", "-DFOREGROUND", "-f", config, log=Path("/var/log/httpd-error.log"))
    room.wait_for_port(9000)
    room.wait_for_port(8080)
    addresses = room.addresses("10.20.6", 50)

    def visit() -> None:
        number, what, address = room.random.randrange(10**5), room.random.random(), room.random.choice(addresses)
        if what < 0.25:
            ask(address, 8080, f"/api/{room.random.choice(('orders', 'items'))}/{number}")
        elif what < 0.40:
            ask(address, 8080, f"/private/{number:x}")
        elif what < 0.46:
            ask(address, 8080, f"/office/{number}")
        elif what < 0.52:
            ask(address, 8080, "/files/")
        elif what < 0.58:
            ask(address, 8080, "/files/secret.txt")
        elif what < 0.70:
            user, password = room.random.choice((("anybody", "wrong"), (f"user{number}", "x"), ("anybody", "right")))
            login = base64.b64encode(f"{user}:{password}".encode()).decode()
            ask(address, 8080, "/account/", headers={"Authorization": f"Basic {login}"})
        elif what < 0.74:
            ask(address, 8080, "/sell.cgi?" + room.random.choice(("paper", "ink", f"item{number}")))
        elif what < 0.78:
            ask(address, 8080, "/api/orders", "POST", body=b"x" * (1001 + number))
        elif what < 0.81:
            ask(address, 8080, f"/api/{room.random.choice(('half', 'none', 'odd', 'slow'))}/{number}", timeout=4)
        elif what < 0.85:
            send(address, 8080, room.random.choice((b"GET / HTTP/1.1\r\n\r\n", b"G\x07T / HTTP/1.0\r\n\r\n")))
        elif what < 0.88:
            send(address, 8080, f"GET /%zz{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        elif what < 0.92:
            send(address, 8443, room.random.choice((b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x00\x00\x01\x01")))
        elif what < 0.95:
            room.run(
                "openssl", "s_client", "-connect", "127.0.0.1:8443", "-servername", f"s{number}.example", text="\n"
            )
        else:
            send(address, 8080, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")

    def visits(count: int) -> None:
        room.repeat(visit, count, 0.2)

    visits(240)
    room.run("apache2", "-f", config, "-k", "graceful")
    visits(280)
    with room.incident("the server behind the proxy is killed", "statement AH00957", "statement AH01114"):
        room.stop(backend, signal.SIGKILL)
        visits(100)
    backend = room.start(sys.executable, program, "9000")
    visits(80)
    room.stop(httpd)
    room.logs.append(Path("/var/log/httpd-error.log"))


KIND = Kind(
    name="apache",
    host="web-2",
    programs=("apache2", "htpasswd", "openssl"),
    packages="apache2 apache2-utils openssl",
    header=(
        r"\[[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\.\d+ \d{4}\] \[\w*:\w+\] \[pid \d+:tid \d+\] "
        r"(?:\[client [\d.]+:\d+\] |\[remote [\d.]+:\d+\] )?"
    ),
    record=record,
)
