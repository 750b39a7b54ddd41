"""`make run` installs an agent's own packages for its process only, and says what went wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local.packages import PackagesError, use_packages
from local.serve import app_of


def wheel(folder: Path, requires: str = "") -> Path:
    """Make a package that nothing has to be downloaded for."""
    path = folder / "own_thing-1.0-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: own-thing\nVersion: 1.0\n{requires}"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("own_thing.py", "HERE = True\n")
        packed.writestr("own_thing-1.0.dist-info/METADATA", metadata)
        packed.writestr(
            "own_thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr("own_thing-1.0.dist-info/RECORD", "")
    return path


def requirements(folder: Path, text: str) -> Path:
    path = folder / "requirements.txt"
    path.write_text(f"--no-index\n{text}\n")
    return path


def test_a_list_is_installed_once_and_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = requirements(tmp_path, str(wheel(tmp_path)))
    monkeypatch.setattr(sys, "path", list(sys.path))
    use_packages(wanted, tmp_path / "data")
    installed = Path(sys.path[0])
    assert (installed / "own_thing.py").exists()
    assert installed.parent == tmp_path / "data" / "packages"
    (tmp_path / "own_thing-1.0-py3-none-any.whl").unlink()  # so pip could not do it again
    use_packages(wanted, tmp_path / "data")
    assert list(installed.parent.iterdir()) == [installed]


def test_a_folder_without_a_list_has_no_packages(tmp_path: Path) -> None:
    use_packages(tmp_path / "requirements.txt", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_pips_reason_is_shown_and_nothing_is_left(tmp_path: Path) -> None:
    """The packages that all agents have stay at their version."""
    wanted = requirements(tmp_path, str(wheel(tmp_path, "Requires-Dist: langgraph<1\n")))
    with pytest.raises(PackagesError) as caught:
        use_packages(wanted, tmp_path / "data")
    assert f"pip could not install {wanted}:" in str(caught.value)
    assert "own-thing 1.0 depends on langgraph<1" in str(caught.value)
    assert list((tmp_path / "data" / "packages").iterdir()) == []


STARTS_PIP = """
import sys
from pathlib import Path
from local.packages import use_packages
sys.executable = sys.argv[1]
use_packages(Path(sys.argv[2]), Path(sys.argv[3]))
"""


def test_a_function_that_is_stopped_while_pip_installs_stops_pip_and_leaves_nothing(tmp_path: Path) -> None:
    told, data = tmp_path / "told", tmp_path / "data"
    os.mkfifo(told)
    pip = tmp_path / "pip"
    pip.write_text(f"#!/bin/sh\necho $$ > {told}\nexec tail -f /dev/null\n")
    pip.chmod(0o700)
    wanted = requirements(tmp_path, "anything")
    function = subprocess.Popen([sys.executable, "-c", STARTS_PIP, str(pip), str(wanted), str(data)])
    running = int(told.read_text())
    function.terminate()
    assert function.wait() == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(running, 0)
    assert list((data / "packages").iterdir()) == []


@pytest.mark.parametrize("function", ["gateway", "orchestrator"])
def test_each_function_has_its_own_list(function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / function).mkdir()
    requirements(tmp_path / function, "not-there")
    monkeypatch.setattr("local.serve.FUNCTIONS", tmp_path)
    monkeypatch.setenv("TAILRACE_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(PackagesError, match=rf"{function}/requirements\.txt.*(?s:.)*not-there"):
        app_of(function, "127.0.0.1")
