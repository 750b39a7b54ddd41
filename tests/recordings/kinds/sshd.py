"""OpenSSH's server, as syslog has it: people, scripts and scanners log in; then passwords are guessed."""

from __future__ import annotations

import socket
import time

from tests.recordings.kind import Kind
from tests.recordings.room import Room

_USERS = ("deploy", "backup1", "build", "web", "report", "monitor")
_GUESSED = ("admin", "oracle", "test", "guest", "ubuntu", "pi", "git", "ftpuser", "user", "postgres1")
_CONFIG = """Port 22
HostKey /etc/ssh/key_ed25519
HostKey /etc/ssh/key_rsa
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
MaxAuthTries 3
LoginGraceTime 8
PermitRootLogin no
DenyUsers report
Subsystem sftp /usr/lib/openssh/sftp-server
PrintMotd no
"""


def _ssh(room: Room, address: str, user: str, password: str, *options: str) -> None:
    kind = "publickey" if "-i" in options else "password"
    room.run(
        *("env", f"ANSWER={password}", "SSH_ASKPASS=/srv/answer", "SSH_ASKPASS_REQUIRE=force", "ssh", "-b", address),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", f"PreferredAuthentications={kind}", *options, f"{user}@127.0.0.1", "true"),
        timeout=15,
    )


def _raw(address: str, data: bytes, wait: float = 0.3) -> None:
    with socket.create_connection(("127.0.0.1", 22), source_address=(address, 0)) as connection:
        connection.sendall(data)
        time.sleep(wait)


def record(room: Room) -> None:
    for user in _USERS:
        room.run("useradd", "-m", "-s", "/bin/sh", user)
    room.run("chpasswd", text="".join(f"{user}:right-{user}\n" for user in _USERS))
    for kind in ("ed25519", "rsa"):
        room.run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", f"/etc/ssh/key_{kind}")
        room.run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", f"/root/{kind}")
        for user in _USERS:
            keys = room.file(f"/home/{user}/.ssh/authorized_keys", "")
            for file in (keys.parent, keys):
                room.run("chown", user, str(file))
            with keys.open("a") as file_:
                file_.write(room.run("cat", f"/root/{kind}.pub"))
    room.file("/run/sshd/x", "")
    room.run("sed", "-i", "s/pam_unix.so nullok/pam_unix.so nullok nodelay/", "/etc/pam.d/common-auth")
    room.file("/srv/answer", "#!/bin/sh\necho $ANSWER\n", 0o755)
    room.logs.append(room.syslog())
    config = str(room.file("/etc/ssh/recorded_config", _CONFIG))
    addresses = room.addresses("10.20.3", 40)
    sshd = room.start("/usr/sbin/sshd", "-D", "-f", config)
    room.wait_for_port(22)

    def visit() -> None:
        address, user = room.random.choice(addresses), room.random.choice(_USERS)
        what = room.random.random()
        if what < 0.35:
            _ssh(room, address, user, "", "-i", room.random.choice(("/root/rsa", "/root/ed25519")))
        elif what < 0.6:
            _ssh(room, address, user, f"right-{user}")
        elif what < 0.7:
            room.run(
                "sftp", "-b", "/dev/null", "-o", "StrictHostKeyChecking=no", "-i", "/root/rsa", f"{user}@127.0.0.1"
            )
        elif what < 0.77:
            _ssh(room, address, room.random.choice(_GUESSED), "wrong")
        elif what < 0.8:
            _ssh(room, address, user, "wrong", "-o", "NumberOfPasswordPrompts=1")
        elif what < 0.84:
            _raw(address, b"GET / HTTP/1.0\r\n\r\n")
        elif what < 0.88:
            _raw(address, b"")
        elif what < 0.91:
            _ssh(room, address, user, "", "-o", "KexAlgorithms=diffie-hellman-group1-sha1")
        elif what < 0.94:
            _ssh(room, address, "root", "wrong", "-o", "NumberOfPasswordPrompts=1")
        elif what < 0.98:
            _raw(address, b"SSH-2.0-scanner\r\n")
        else:
            _raw(address, b"SSH-2.0-scanner\r\n", 8.5)

    room.repeat(visit, 150, 0.1)
    with room.incident("passwords are guessed", "failed password invalid", "too many attempts invalid"):
        for _ in range(25):
            _ssh(room, addresses[-1], room.random.choice(_GUESSED), "123456")
    room.stop(sshd)
    room.start("/usr/sbin/sshd", "-D", "-f", config)
    room.wait_for_port(22)
    for _ in range(10):
        visit()


KIND = Kind(
    name="sshd",
    host="bastion-1",
    programs=("sshd", "ssh", "rsyslogd", "ip"),
    packages="openssh-server openssh-client rsyslog iproute2",
    header=r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ [\w.-]+(?:\[\d+\])?: ",
    record=record,
)
