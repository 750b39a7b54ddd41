"""`make` on a fresh machine: an environment is complete or absent, and `make` first says what is missing.

Nothing is downloaded: the list of packages is empty.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ANEW = ".venv is not complete, so it is made again."
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def checkout(folder: Path) -> Path:
    """Copy what `make` needs to a folder without an environment."""
    for name in ("requirements", "deploy"):
        (folder / name).mkdir()
    for name in ("Makefile", "requirements/install.py", "deploy/project.mk", "deploy/python.mk"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "requirements" / "run.txt").touch()
    return folder


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    return checkout(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with an environment."""
    folder = checkout(tmp_path_factory.mktemp("made"))
    done = make(folder)
    assert done.returncode == 0, done.stderr
    assert lines_of(done) == []
    assert is_whole(folder)
    return folder


@pytest.fixture
def whole(bare: Path, made: Path) -> Path:
    """A checkout with a complete environment whose list of packages has changed since."""
    shutil.copytree(made / ".venv", bare / ".venv", symlinks=True, copy_function=os.link)
    (bare / ".venv/run").unlink()
    return bare


def python(folder: Path, **modules: str) -> str:
    """Write an executable Python whose modules have this source; return its path."""
    shadows = folder / "shadows"
    shadows.mkdir()
    for name, text in modules.items():
        (shadows / f"{name}.py").write_text(text)
    path = folder / "python-of-the-test"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{shadows}" exec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return str(path)


def make(folder: Path, executable: str = sys.executable) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", ".venv/run", f"PYTHON={executable}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def lines_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the printed lines without those of make itself."""
    return [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make: ")]


def is_whole(folder: Path) -> bool:
    pip = subprocess.run([folder / ".venv/bin/python", "-m", "pip", "--version"], capture_output=True)
    return pip.returncode == 0 and not (folder / ".venv/unfinished").exists() and (folder / ".venv/run").exists()


@pytest.mark.parametrize("module", ["ensurepip", "venv"])
def test_a_python_without_venv_is_reported_and_nothing_is_created(bare: Path, module: str) -> None:
    done = make(bare, python(bare, **{module: f"raise ImportError(name={module!r})"}))
    assert done.returncode != 0
    (line,) = lines_of(done)
    assert f"has no module {module}, which `python -m venv` needs. Install" in line
    assert not (bare / ".venv").exists()


def test_a_missing_or_old_python_is_reported(bare: Path) -> None:
    (line,) = lines_of(make(bare, "no-such-python"))
    assert line.startswith("tailrace: no-such-python is not installed. Install Python 3.11 or newer")
    assert "apt-get install python3 python3-venv" in line
    old_python = python(bare, sitecustomize="import sys; sys.version_info = (3, 9, 1)")
    (line,) = lines_of(make(bare, old_python))
    assert line.startswith(f"tailrace: Tailrace needs Python 3.11 or newer, and {old_python} is 3.9.")
    assert not (bare / ".venv").exists()


def test_a_partly_created_environment_is_removed(bare: Path) -> None:
    half = "import pathlib, sys; pathlib.Path(sys.argv[1], 'bin').mkdir(); sys.exit('no space left')"
    done = make(bare, python(bare, venv=f"if __name__ == '__main__':\n    {half}"))
    assert done.returncode != 0
    (line,) = lines_of(done)
    assert line == f"tailrace: {sys.executable} could not make .venv: no space left"
    assert not (bare / ".venv").exists()


def test_an_environment_without_pip_is_recreated(bare: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare / ".venv"], check=True)
    assert_made_anew(bare)


def test_a_complete_environment_is_kept(whole: Path) -> None:
    (whole / ".venv/kept").touch()
    done = make(whole)
    assert (done.returncode, lines_of(done)) == (0, [])
    assert is_whole(whole)
    assert (whole / ".venv/kept").exists()


def test_an_environment_whose_python_is_gone_is_recreated(whole: Path) -> None:
    for each in (whole / ".venv/bin").glob("python*"):
        each.unlink()
        each.symlink_to("/no/such/python")
    assert_made_anew(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_environment_whose_install_was_interrupted_is_recreated(whole: Path, number: signal.Signals) -> None:
    """pip blocks on a FIFO in place of the list of packages."""
    run = whole / "requirements/run.txt"
    run.unlink()
    os.mkfifo(run)
    command = ["make", ".venv/run", f"PYTHON={sys.executable}"]
    with subprocess.Popen(command, cwd=whole, stderr=subprocess.PIPE, text=True, start_new_session=True) as making:
        writer = wait_for_reader(run)
        os.killpg(making.pid, number)
        os.close(writer)
        _, stderr = making.communicate(timeout=60)
    assert making.returncode != 0
    assert "Traceback" not in stderr
    assert not (whole / ".venv/run").exists()
    assert_made_anew(whole)


def assert_made_anew(folder: Path) -> None:
    """Check that the next `make` starts over; its Python stops there."""
    stopping = python(folder, venv="if __name__ == '__main__':\n    raise SystemExit('stopped here')")
    done = make(folder, stopping)
    assert lines_of(done) == [ANEW, f"tailrace: {sys.executable} could not make .venv: stopped here"]
    assert not (folder / ".venv").exists()


def wait_for_reader(fifo: Path) -> int:
    """Wait until the FIFO has a reader; return the writing end."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.01)
    raise AssertionError("nobody reads the list of packages")


def needs_python313(bare: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    """Run what `make build` and `make deploy` begin with, where there are only these programs and a shell."""
    programs.mkdir(exist_ok=True)
    for name in ("make", "sh"):
        if not (programs / name).exists():
            (programs / name).symlink_to(shutil.which(name) or "")
    environ = {**os.environ, "PATH": str(programs), "HOME": str(bare)}
    command = [programs / "make", "--no-print-directory", "preflight"]
    return subprocess.run(command, cwd=bare, env=environ, capture_output=True, text=True, timeout=60)


def test_without_the_functions_python_a_deploy_says_first_how_to_get_it(bare: Path, tmp_path: Path) -> None:
    done = needs_python313(bare, tmp_path / "programs")
    assert done.returncode != 0
    (line,) = lines_of(done)
    assert line.startswith("tailrace: Python 3.13 is not installed, and the functions are built with it")
    assert "Run `pip install uv` and the same command again" in line
    assert "Docker" not in line
    assert not (bare / ".venv").exists()
    # Where Docker is, it is the second way.
    (tmp_path / "programs" / "docker").symlink_to("/bin/true")
    (line,) = lines_of(needs_python313(bare, tmp_path / "programs"))
    assert line.endswith("Or let Docker do it: see docs/DEPLOY.md, Without Python 3.13.")


def test_uv_gets_the_functions_python(bare: Path, tmp_path: Path) -> None:
    programs, got = tmp_path / "programs", tmp_path / "got"
    programs.mkdir()
    (programs / "uv").write_text(f'#!/bin/sh\ncase "$2" in install) echo "$@" >{got};; find) exit 1;; esac\n')
    (programs / "uv").chmod(0o755)
    done = needs_python313(bare, programs)
    # The next thing that it needs is an environment.
    assert lines_of(done)[0] == "uv installs Python 3.13, which the functions run with."
    assert "python3 is not installed" in lines_of(done)[1]
    assert got.read_text().strip() == "python install --quiet 3.13"


def test_a_python_of_uv_is_used(bare: Path, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    its = tmp_path / "uvs-python"
    its.write_text(f"#!/bin/sh\necho {its}\n")
    its.chmod(0o755)
    (programs / "uv").write_text(f'#!/bin/sh\ntest "$*" = "python find --managed-python 3.13" && echo {its}\n')
    (programs / "uv").chmod(0o755)
    lines = lines_of(needs_python313(bare, programs))
    assert "uv installs" not in "".join(lines)
    assert "python3 is not installed" in lines[0]


def test_a_models_packages_are_installed_and_said(whole: Path) -> None:
    (whole / "requirements" / "model-openai.txt").touch()
    command = ["make", "--no-print-directory", ".venv/model-openai", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=whole, capture_output=True, text=True, timeout=300)
    assert lines_of(done) == ["openai: installing its packages into .venv (requirements/model-openai.txt)"]
    assert (whole / ".venv/model-openai").exists()
    again = subprocess.run(command, cwd=whole, capture_output=True, text=True, timeout=300)
    assert lines_of(again) == []


def test_a_model_of_an_unknown_provider_is_refused_before_anything_is_installed(bare: Path) -> None:
    command = ["make", "--no-print-directory", "run", "MODEL=palm:2", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=bare, capture_output=True, text=True, timeout=300)
    (line,) = lines_of(done)
    assert "MODEL has value 'palm:2', but must be one of openai:NAME bedrock_converse:NAME." in line
    assert not (bare / ".venv").exists()
