"""Tomcat, java.util.logging: applications come and fail, requests break; then one cannot read its files."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.recordings.http import ask, send
from tests.recordings.kind import Kind
from tests.recordings.room import Room

_BASE = "/srv/tomcat"
_SERVER = """<Server port="8005" shutdown="SHUTDOWN">
  <Listener className="org.apache.catalina.startup.VersionLoggerListener"/>
  <Listener className="org.apache.catalina.core.JreMemoryLeakPreventionListener"/>
  <Listener className="org.apache.catalina.core.ThreadLocalLeakPreventionListener"/>
  <Service name="Catalina">
    <Connector port="8080" protocol="HTTP/1.1" maxThreads="8" connectionTimeout="2000"/>
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost" appBase="webapps" unpackWARs="true" autoDeploy="true"/>
    </Engine>
  </Service>
</Server>
"""
_LOGGING = """handlers = java.util.logging.ConsoleHandler
.level = INFO
java.util.logging.ConsoleHandler.level = FINE
java.util.logging.ConsoleHandler.formatter = org.apache.juli.OneLineFormatter
"""
_PAGE = """<%@ page import="java.util.logging.Logger" %><%
Logger log = Logger.getLogger("shop.Orders");
String id = request.getParameter("id");
String what = request.getParameter("what");
if ("order".equals(what)) log.info("Order " + id + " accepted from " + request.getRemoteAddr());
if ("stock".equals(what)) log.warning("Item " + id + " is low in stock: " + (id.length() + 1) + " left");
if ("missing".equals(what)) throw new IllegalArgumentException("No order has id " + id);
if ("file".equals(what)) new java.io.FileInputStream("/srv/orders.txt").close();
if ("mail".equals(what))
  log.severe("Mail to customer" + id + "@shop.example could not be sent: host mx" + id.length() + " unknown");
application.log("Session " + session.getId() + " asked for " + what);
%>done
"""
_WEB = '<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0">{}</web-app>'
_BROKEN = "<listener><listener-class>shop.Gone{}</listener-class></listener>"


def record(room: Room) -> None:
    log = Path("/var/log/catalina.out")
    base = Path(_BASE)
    for folder in ("conf", "webapps", "temp", "work", "logs"):
        (base / folder).mkdir(parents=True)
    room.file(f"{_BASE}/conf/server.xml", _SERVER)
    room.file(f"{_BASE}/conf/logging.properties", _LOGGING)
    for name in ("web.xml", "catalina.properties", "context.xml"):
        shutil.copy(f"/etc/tomcat10/{name}", base / "conf")
    room.file(f"{_BASE}/webapps/shop/order.jsp", _PAGE)
    orders = room.file("/srv/orders.txt", "none\n")
    classes = "/usr/share/tomcat10/bin/bootstrap.jar:/usr/share/tomcat10/bin/tomcat-juli.jar"
    server = room.start(
        *("java", "-Xmx192m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes),
        *(f"-Djava.util.logging.config.file={_BASE}/conf/logging.properties", f"-Djava.io.tmpdir={_BASE}/temp"),
        *("-Djava.util.logging.manager=org.apache.juli.ClassLoaderLogManager", f"-Dcatalina.base={_BASE}"),
        *("-Dcatalina.home=/usr/share/tomcat10", "org.apache.catalina.startup.Bootstrap", "start"),
        log=log,
    )
    room.wait_for(lambda: "Server startup" in log.read_text(), "Tomcat's start")
    addresses = room.addresses("10.20.11", 30)

    def visit() -> None:
        number, what, address = room.random.randrange(10**5), room.random.random(), room.random.choice(addresses)
        if what < 0.8:
            kind = room.random.choices(("order", "stock", "missing", "mail", "file"), (8, 3, 1, 2, 5))[0]
            ask(address, 8080, f"/shop/order.jsp?what={kind}&id={number}")
        elif what < 0.87:
            data = (
                b"G\x07T / HTTP/1.1\r\n\r\n",
                b"GET /[x] HTTP/1.1\r\nHost: a\r\n\r\n",
                b"\x16\x03\x01\x00\xa5\x01\r\n",
            )
            send(address, 8080, room.random.choice(data))
        elif what < 0.92:
            ask(address, 8080, f"/shop/order.jsp?a=%zz&id={number}", "POST", body=b"a=%zz%&b=%q", headers={
                "Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
        elif what < 0.97:
            room.file(
                f"{_BASE}/webapps/app{number}/WEB-INF/web.xml",
                _WEB.format(_BROKEN.format(number) if number % 3 else ""),
            )
        else:
            for folder in list(base.glob("webapps/app*"))[:2]:
                shutil.rmtree(folder)

    room.repeat(visit, 330, 0.3)
    with room.incident("its application cannot read its files", "servlet failed"):
        orders.unlink()
        room.repeat(visit, 90, 0.3)
    orders.write_text("none\n")
    room.repeat(visit, 40, 0.3)
    room.stop(server)
    room.logs.append(log)


KIND = Kind(
    name="tomcat",
    host="app-1",
    programs=("java",),
    packages="tomcat10",
    header=r"\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d\.\d{3} [A-Z]+ \[[^\]]*\] \S+ ",
    record=record,
)
