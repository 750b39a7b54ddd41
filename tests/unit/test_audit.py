"""`make audit` says what is vulnerable, and never that all is well where it could not look."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

AUDIT = Path(__file__).parents[2] / "requirements" / "audit.py"
CLEAN = {"dependencies": [{"name": "httpx", "version": "1", "vulns": []}]}
VULNERABLE = {"dependencies": [{"name": "httpx", "version": "1", "vulns": [{"id": "GHSA-1", "fix_versions": ["2"]}]}]}
SKIPPED = {"dependencies": [{"name": "httpx", "skip_reason": "Dependency not found"}]}
NPM_CLEAN: dict[str, Any] = {"vulnerabilities": {}}
NPM_VULNERABLE = {"vulnerabilities": {"axe-core": {"range": "<5", "severity": "high"}}}
NPM_REFUSED = {"message": "405 Method Not Allowed"}


@pytest.fixture
def audit(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Run it on two lock files, with programs that answer as they are told; return its status and what it says."""

    def run(python: object, npm: object, *options: str) -> tuple[int, str]:
        for folder in ("requirements", "tests/e2e/axe", "bin"):
            (tmp_path / folder).mkdir(parents=True)
        shutil.copy(AUDIT, tmp_path / "requirements")
        (tmp_path / "requirements" / "run.txt").touch()
        (tmp_path / "tests" / "e2e" / "axe" / "package-lock.json").touch()
        for program, answer in (("pip-audit", python), ("npm", npm)):
            printed = "echo 'no way to it' >&2; exit 1" if answer is None else f"echo '{json.dumps(answer)}'"
            (tmp_path / "bin" / program).write_text(f"#!/bin/sh\n{printed}\n")
            (tmp_path / "bin" / program).chmod(0o700)
        (tmp_path / "bin" / "python").symlink_to(sys.executable)
        done = subprocess.run(
            [tmp_path / "bin" / "python", tmp_path / "requirements" / "audit.py", *options],
            env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )
        assert not done.stderr
        return done.returncode, done.stdout

    return run


def test_what_is_vulnerable_is_named(audit: Callable[..., tuple[int, str]]) -> None:
    status, said = audit(VULNERABLE, NPM_VULNERABLE)
    assert status == 1
    assert "VULNERABLE     requirements/run.txt\nhttpx 1: GHSA-1, fixed in ['2']" in said
    assert "axe-core <5: high" in said


def test_where_nothing_is_known_that_is_said(audit: Callable[..., tuple[int, str]]) -> None:
    status, said = audit(CLEAN, NPM_CLEAN)
    assert (status, said.count("none known"), "NOT LOOKED AT" in said) == (0, 2, False)


@pytest.mark.parametrize(
    ("python", "npm", "why"),
    [(None, NPM_CLEAN, "no way to it"), (SKIPPED, NPM_CLEAN, "not found"), (CLEAN, NPM_REFUSED, "405")],
    ids=["no network", "an unknown package", "a registry without audits"],
)
@pytest.mark.parametrize("option", ["", "--if-reachable"])
def test_what_could_not_be_looked_at_is_never_said_to_be_well(
    audit: Callable[..., tuple[int, str]], python: object, npm: object, why: str, option: str
) -> None:
    status, said = audit(python, npm, *filter(None, [option]))
    assert status == (0 if option else 3)
    (missed,) = [line for line in said.splitlines() if line.startswith("NOT LOOKED AT")]
    assert why in missed
    assert said.splitlines()[-1].startswith("audit: 1 files could not be looked at")


def test_a_vulnerability_counts_also_where_something_else_could_not_be_looked_at(
    audit: Callable[..., tuple[int, str]],
) -> None:
    assert audit(VULNERABLE, None, "--if-reachable")[0] == 1
