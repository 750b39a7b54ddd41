"""The built layer: its contents, and that it runs on every Python version that it supports."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.conftest import build_layer
from tests.runtime.emulator import Emulator
from tests.runtime.events import function_url_event
from tests.runtime.fronts import FUNCTIONS

_PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


def interpreters() -> list[str]:
    """Return one CPython of each minor version from 3.11 on that this machine has."""
    interpreters_by_name = {f"python3.{sys.version_info[1]}": sys.executable}
    for minor in (11, 12, 13, 14):
        name = f"python3.{minor}"
        candidates = [*map(str, sorted(_PYENV.glob(f"3.{minor}.*/bin/{name}"))), shutil.which(name)]
        runs = (each for each in candidates if each and subprocess.run([each, "-c", ""], check=False).returncode == 0)
        if name not in interpreters_by_name and (python := next(runs, None)):
            interpreters_by_name[name] = python
    return list(interpreters_by_name.values())


def test_the_wrapper_is_executable_and_no_file_is_called_bootstrap(layer: Path) -> None:
    """AWS's runtime interface emulator runs /opt/bootstrap if it exists."""
    assert os.access(layer / "tailrace-runtime", os.X_OK)
    assert {path.name for path in layer.iterdir()} == {"tailrace-runtime", "python"}


def test_the_layer_has_unchecked_hash_bytecode(layer: Path) -> None:
    sources = sorted((layer / "python" / "tailrace_runtime").glob("*.py"))
    assert len(sources) > 10
    for source in sources:
        (compiled,) = source.parent.glob(f"__pycache__/{source.stem}.{sys.implementation.cache_tag}.pyc")
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01  # PEP 552: by hash, unchecked


async def test_the_bytecode_is_used(layer: Path, tmp_path: Path) -> None:
    """Even if packaging has changed the times of the sources."""
    copy = shutil.copytree(layer, tmp_path / "opt")
    for source in (copy / "python" / "tailrace_runtime").glob("*.py"):
        if source.stem not in ("__init__", "__main__"):
            source.write_text("raise SystemExit('the source was compiled')")
    async with Emulator(copy, FUNCTIONS / "plain", "app.handler", python=sys.executable) as function:
        assert (await function.invoke(function_url_event("GET", "/hello"), streamed=True)).body == b"hello"


def test_the_runtime_needs_only_the_standard_library(layer: Path) -> None:
    for source in (layer / "python" / "tailrace_runtime").glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.split(".")[0]
                assert top == "tailrace_runtime" or top in sys.stdlib_module_names, f"{source.name}: {name}"


def test_modules_are_small(layer: Path) -> None:
    for source in (layer / "python" / "tailrace_runtime").glob("*.py"):
        assert len(source.read_text().splitlines()) <= 250, source.name


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: Path(path).parent.parent.name)
async def test_the_layer_runs_on_every_supported_python(python: str, tmp_path: Path) -> None:
    layer = build_layer(tmp_path / "opt", python)
    async with Emulator(layer, FUNCTIONS / "plain", "app.handler", python=python) as function:
        streamed = await function.invoke(function_url_event("GET", "/echo"), streamed=True)
        assert streamed.json["state"] == {"since": 1}
        assert (await function.invoke({})).json["called"]
        for path in ("/fail-before", "/fail-in-body"):
            assert (await function.invoke(function_url_event("GET", path), streamed=True)).error is not None
        big = await function.invoke(function_url_event("GET", "/big?mb=5&piece=300000"), streamed=True)
        assert big.body == bytes(5 * 1024 * 1024)
        environment = function.environment
        await environment.until(lambda e: e.idle)
        environment.terminate()
        await environment.until(lambda e: e.exit_status is not None)
        assert environment.exit_status == 0


async def test_the_search_path_matches_the_managed_runtime(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "plain", "app.handler", python=sys.executable) as function:
        context = (await function.invoke({})).json["context"]
    minor = f"python3.{sys.version_info[1]}"
    opt = layer / "python"
    assert context["path"][:4] == [
        *(str(FUNCTIONS / "plain"), str(opt / "lib" / minor / "site-packages"), str(opt), "/var/runtime"),
    ]
    assert len(context["path"]) == len(set(context["path"]))
