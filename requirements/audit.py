"""`python requirements/audit.py [--if-reachable]`: does a locked package have a known vulnerability? (`make audit`)

Asks OSV about Python's packages, with pip-audit, and npm's registry about those of the tests. Exit status 1 if there is
a vulnerability, and 3 if something could not be looked at, which is never taken for well; with `--if-reachable` this is
said and the status is 0, for a CI without a way to these databases.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_PIP_AUDIT = Path(sys.executable).with_name("pip-audit")
_SECONDS = 600


class NotLookedAt(Exception):
    """A database gave no answer about a file. The message says why."""


def in_python(lock: Path) -> Iterator[str]:
    """Yield the vulnerabilities of the packages in a requirements file with hashes.

    Raises:
        NotLookedAt
    """
    command = [_PIP_AUDIT, "--disable-pip", "--require-hashes", "--vulnerability-service", "osv", "--format", "json"]
    for package in _answer([*command, "--requirement", lock], lock.parent)["dependencies"]:
        if reason := package.get("skip_reason"):
            raise NotLookedAt(reason)
        for each in package["vulns"]:
            yield f"{package['name']} {package['version']}: {each['id']}, fixed in {each['fix_versions'] or 'none'}"


def in_npm(lock: Path) -> Iterator[str]:
    """Yield the vulnerabilities of the packages in a package-lock.json.

    Raises:
        NotLookedAt
    """
    answer = _answer(["npm", "audit", "--package-lock-only", "--json"], lock.parent)
    if "vulnerabilities" not in answer:
        raise NotLookedAt(answer.get("message") or "npm's registry gave no answer")
    for name, each in answer["vulnerabilities"].items():
        yield f"{name} {each['range']}: {each['severity']}"


def _answer(command: list[str | Path], folder: Path) -> dict[str, Any]:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS)  # noqa: S603
        answer: dict[str, Any] = json.loads(done.stdout)
    except FileNotFoundError:
        raise NotLookedAt(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise NotLookedAt(f"no answer within {_SECONDS} s") from None
    except ValueError:
        *_, reason = done.stderr.strip().splitlines() or ["no answer"]
        raise NotLookedAt(reason[:160]) from None
    return answer


def locks(root: Path) -> Iterable[Path]:
    """The project's lock files: of Python's packages and of npm's."""
    patterns = ("requirements/*.txt", "layers/**/requirements.txt", "deploy/*/requirements.txt")
    return sorted(file for each in (*patterns, "tests/**/package-lock.json") for file in root.glob(each))


def main() -> None:
    found, missed = 0, 0
    for lock in locks(_ROOT):
        name = lock.relative_to(_ROOT)
        try:
            vulnerabilities = list(in_npm(lock) if lock.suffix == ".json" else in_python(lock))
        except NotLookedAt as error:
            missed += 1
            print(f"NOT LOOKED AT  {name}: {error}", flush=True)
            continue
        found += len(vulnerabilities)
        print(
            "\n".join([f"{'VULNERABLE' if vulnerabilities else 'none known':13}  {name}", *vulnerabilities]), flush=True
        )
    if missed:
        print(f"audit: {missed} files could not be looked at, so nobody knows of theirs.", flush=True)
    sys.exit(1 if found else 3 if missed and "--if-reachable" not in sys.argv else 0)


if __name__ == "__main__":
    main()
