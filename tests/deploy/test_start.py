"""A project that the built wheel writes in an empty folder runs, is tested, is valid, and is built."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from tailrace.client import AsyncClient
from tests.deploy.programs import ROOT, make, run
from tests.support.checkout import LocalRun

# Without what `make test` sets for its own processes.
ENVIRON = {
    name: value
    for name, value in os.environ.items()
    if name != "PYTHONPATH" and not name.startswith(("AWS_", "TAILRACE_"))
}


def environment(folder: Path, *paths: Path) -> Path:
    """Make an environment that has the packages of this one, but not the project's code; return its programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (site / "linked.pth").write_text("\n".join(map(str, [*paths, sysconfig.get_path("purelib")])))
    return folder / "bin"


def done(*command: str | Path, cwd: Path, variables: Mapping[str, str] = ENVIRON) -> str:
    """Run a command that must not fail; return what it has printed."""
    ended = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build writes into the folder that it reads."""
    tree, made = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "template.yaml", "samconfig.toml"):
        shutil.copy(ROOT / name, tree)
    for name in ("deploy", "docs", "frontend", "functions", "local", "requirements"):
        (tree / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "layers", tree / "layers", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(made)!r})"
    done(sys.executable, "-c", build, cwd=tree)
    return next(made.iterdir())


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that the installed wheel has written, and its environment."""
    folder = tmp_path_factory.mktemp("empty")
    installed = environment(folder / "installed")
    pip = [sys.executable, "-m", "pip", "--python", folder / "installed", "--disable-pip-version-check", "install"]
    done(*pip, "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    said = done(installed / "tailrace", "new", "my-agents", cwd=folder)
    assert "cd my-agents\n    make run" in said
    made = folder / "my-agents"
    environment(made / ".venv", made / "layers" / "tailrace", made / "functions")
    for stamp in ("run", "test"):
        (made / ".venv" / stamp).touch()
    return made


def test_the_wheel_writes_what_a_clone_writes_and_so_does_sam(project: Path, sam: Path, tmp_path: Path) -> None:
    init = ("init", "--location", ROOT, "--name", "my-agents", "--no-input")
    made = run(sam / "sam", *init, cwd=tmp_path, PYTHON=sys.executable)
    assert made.returncode == 0, made.stderr
    ours, theirs = (
        {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if is_written(file)}
        for folder in (project, tmp_path / "my-agents")
    )
    assert ours == theirs


def is_written(file: Path) -> bool:
    return file.is_file() and not {".venv", "__pycache__", ".pytest_cache", "data"}.intersection(file.parts)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_its_test_passes(project: Path) -> None:
    # A project's environment has no other plugins than this one.
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_asyncio.plugin"}
    assert "1 passed" in done("make", "test", cwd=project, variables={**ENVIRON, **plugins})


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
async def test_make_run_answers_a_request_of_its_agent(project: Path) -> None:
    variables = {**ENVIRON, "TAILRACE_DATA_DIR": str(project / "data"), "TAILRACE_PORT": "0"}
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
    process = await asyncio.create_subprocess_exec(
        *("make", "run"), cwd=project, env=variables, start_new_session=True, **pipes
    )
    local = LocalRun(project, process)
    try:
        async with asyncio.timeout(120), local.client() as http:
            token = http.headers["authorization"].removeprefix("Bearer ")
            async with AsyncClient(str(http.base_url), token=token) as client:
                assert [agent.name for agent in await client.agents()] == ["greeter"]
                task = await client.send("Ada")
                async for _ in client.stream(task):
                    pass
                assert (await client.task(task)).text == "Hello, Ada!"
    finally:
        os.killpg(process.pid, 2)
        await process.communicate()


def test_its_template_is_valid(project: Path, sam: Path) -> None:
    valid = run(sam / "sam", "validate", "--lint", cwd=project)
    assert valid.returncode == 0, valid.stdout + valid.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_its_agent_is_built(project: Path, python313: str, tmp_path: Path) -> None:
    """With the command by which `sam build` does it. `test_build.py` builds the same layers with sam itself."""
    built = make("GreeterFunction", project / "functions", tmp_path / "built", root=project)
    for name in ("function.py", "greeter/handler.py"):
        assert (built / name).is_file()
