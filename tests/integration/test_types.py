"""`mypy --strict` passes on the README's agent and its test, on the examples, and on those in docstrings."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import tailrace
from tailrace import testing
from tests.support.processes import ROOT

# The names that the docstrings' examples may use, as the docstring of `tailrace` says.
NAMES = """
import asyncio
import tailrace
from langgraph.errors import GraphDrained
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
"""
pytestmark = pytest.mark.slow


def mypy(folder: Path) -> str:
    """Check all Python files below a folder as their author would, with `tailrace` as an installed package."""
    # Examples 2 and 4 use packages of functions/.
    environ = {**os.environ, "MYPYPATH": str(ROOT / "functions")}
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), "."]
    checked = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return checked.stdout + checked.stderr


def examples(module: object, names: list[str]) -> dict[str, str]:
    found = {}
    for name in names:
        docstring = inspect.getdoc(getattr(module, name)) or ""
        if block := re.search(r"^Example:\n((?: {4}.*\n|\n)+)", docstring + "\n", re.MULTILINE):
            found[name] = textwrap.dedent(block[1])
    return found


def test_what_authors_copy_has_types(tmp_path: Path) -> None:
    code, test = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "greeter").mkdir()
    (tmp_path / "greeter" / "__init__.py").touch()
    (tmp_path / "greeter" / "handler.py").write_text(code)
    (tmp_path / "test_greeter.py").write_text(test)
    for example in (ROOT / "examples").glob("*/handler.py"):
        shutil.copy(example, tmp_path / f"example_{example.parent.name}.py")
    for name, example in examples(tailrace, tailrace.__all__).items():
        (tmp_path / f"docstring_{name}.py").write_text(f"{NAMES}from tailrace import *\n{example}")
    for name, example in examples(testing, testing.__all__).items():
        imports = "from tailrace import write\nfrom tailrace.testing import conversation, request, run\n"
        (tmp_path / f"docstring_testing_{name}.py").write_text(NAMES + imports + example)
    assert mypy(tmp_path).startswith("Success: no issues found")


def test_a_wrong_use_is_found(tmp_path: Path) -> None:
    """`tailrace` has types for its users: without `py.typed` all of this would be Any."""
    (tmp_path / "wrong.py").write_text("from tailrace import AgentApp, write\nwrite(1)\nAgentApp(0)\n")
    assert mypy(tmp_path).count("error:") >= 2
