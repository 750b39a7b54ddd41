"""The genuine Amazon DynamoDB Local, as a process on loopback.

1. The npm package `amplify-dynamodb-simulator` has the same JAR as AWS's tarball, and is pinned here by version and
   checksum. It is fetched into `.cache/` and never committed: its licence (`emulator/LICENSE.txt`) allows use by
   owners of an AWS account, but no redistribution.
2. `java -jar DynamoDBLocal.jar` listens on all interfaces and has no option for another address. So its Jetty is
   started with `dynamodb_local.xml`: on loopback, at a port that the system picks. This needs only a JRE and sends no
   telemetry.
3. Java's simplest compiler and garbage collector halve the CPU time of a process that lives for seconds. Benchmarks
   run longer and pass `optimized`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.orphans import ending_with_parent

_PACKAGE, _VERSION = "amplify-dynamodb-simulator", "2.9.30"
_SHA512 = "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
_CACHE = Path(__file__).parents[2] / ".cache"
_STARTED = re.compile(r"Started ServerConnector.*\{127\.0\.0\.1:(\d+)\}")


@contextmanager
def dynamodb_local(*, optimized: bool = False) -> Iterator[str]:
    """Run an empty DynamoDB Local; yield its endpoint. If it is not available, skip the test, or fail it in CI."""
    java = _required("java", "a Java runtime, 11 or newer (`apt install default-jre-headless`)")
    emulator = _fetched()
    with tempfile.TemporaryDirectory(prefix="dynamodb-local-") as folder:
        output = Path(folder) / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ending_with_parent(
                    java,
                    "-Xmx1g",
                    *([] if optimized else ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]),
                    f"-Djava.library.path={emulator / 'DynamoDBLocal_lib'}",
                    "-Djava.net.preferIPv4Stack=true",
                    "-Dorg.eclipse.jetty.xml.XmlParser.Validating=false",
                    "-Dorg.eclipse.jetty.LEVEL=INFO",
                    "-Dorg.eclipse.jetty.util.log.class=org.eclipse.jetty.util.log.StdErrLog",
                    "-cp",
                    os.pathsep.join([str(emulator / "DynamoDBLocal.jar"), str(emulator / "DynamoDBLocal_lib" / "*")]),
                    "org.eclipse.jetty.xml.XmlConfiguration",
                    str(Path(__file__).with_suffix(".xml")),
                ),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            yield f"http://127.0.0.1:{_port(process, output)}"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port(process: subprocess.Popen[bytes], output: Path) -> int:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up and process.poll() is None:
        started = _STARTED.search(output.read_text())
        if started:
            return int(started[1])
        time.sleep(0.05)
    pytest.fail(f"DynamoDB Local did not start:\n{output.read_text()[-2000:]}")


def _fetched() -> Path:
    """Fetch the emulator if necessary; return its folder."""
    kept = _CACHE / f"{_PACKAGE}-{_VERSION}"
    if not kept.exists():
        npm = _required("npm", "npm (`apt install npm`)")
        _CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            packed = subprocess.run(
                [npm, "pack", "--json", "--pack-destination", folder, f"{_PACKAGE}@{_VERSION}"],
                cwd=folder,
                capture_output=True,
                check=False,
                timeout=300,
            )
            if packed.returncode != 0:
                _absent(f"`npm pack {_PACKAGE}` failed: {packed.stderr.decode()[-500:]}")
            tarball = Path(folder) / f"{_PACKAGE}-{_VERSION}.tgz"
            digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
            if digest != _SHA512:
                pytest.fail(f"{tarball.name} has the SHA-512 {digest}, but must have {_SHA512}.")
            with tarfile.open(tarball) as archive:
                archive.extractall(Path(folder) / "unpacked", filter="data")
            # Another run may have fetched the same meanwhile.
            if not kept.exists():
                (Path(folder) / "unpacked" / "package").rename(kept)
    return kept / "emulator"


def _required(program: str, what: str) -> str:
    return shutil.which(program) or _absent(f"install {what}")


def _absent(reason: str) -> NoReturn:
    text = f"DynamoDB Local is not available: {reason}."
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)
