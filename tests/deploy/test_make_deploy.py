"""`make deploy`: what the programs get that it runs."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.programs import ROOT

SECRET = "a-secret-of-the-tests-0123456789"
# Notes its arguments, and runs the one program that has to answer.
STAND_IN = """#!/bin/sh
echo "$0 $*" >> {log}
case "$*" in "-m deploy.parameters"*) exec {python} "$@";; esac
"""


@pytest.fixture
def make_deploy(tmp_path: Path, python313: str) -> Callable[..., list[str]]:
    """Run `make deploy` with programs that do nothing; return their command lines."""
    log = tmp_path / "log"

    def run(*arguments: str, secret: str = "") -> list[str]:
        for folder, programs, stamp in (("venv", ["python"], "run"), ("sam", ["python", "sam"], "ready")):
            (tmp_path / folder / "bin").mkdir(parents=True)
            (tmp_path / folder / stamp).touch()
            for program in programs:
                path = tmp_path / folder / "bin" / program
                path.write_text(STAND_IN.format(log=log, python=sys.executable))
                path.chmod(0o700)
        command = ["make", "--silent", f"sam={tmp_path / 'sam'}", f"venv={tmp_path / 'venv'}", "deploy", *arguments]
        environ = {**os.environ, "TAILRACE_ACCESS_SECRET": secret}
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return log.read_text().splitlines()

    return run


def deployed(lines: list[str]) -> list[str]:
    """The parameters that `sam deploy` got."""
    (line,) = [each for each in lines if "sam deploy" in each]
    return line.partition("--parameter-overrides ")[2].split()


def test_without_parameters_a_stack_keeps_what_it_has(make_deploy: Callable[..., list[str]]) -> None:
    assert deployed(make_deploy()) == ["Architecture=arm64"]


def test_the_secret_is_in_no_argument_and_cloudformation_gets_its_hash(make_deploy: Callable[..., list[str]]) -> None:
    lines = make_deploy(secret=SECRET)
    assert SECRET not in "\n".join(lines)
    _, digest, release = deployed(lines)
    assert digest == f"AccessSecretSha256={hashlib.sha256(SECRET.encode()).hexdigest()}"
    assert re.fullmatch(r"Release=\d{10}", release)


def test_a_changed_parameter_reaches_the_functions(make_deploy: Callable[..., list[str]]) -> None:
    _, given, release = deployed(make_deploy("PARAMETERS=TtlDays=30"))
    assert (given, re.fullmatch(r"Release=\d{10}", release) is not None) == ("TtlDays=30", True)
