"""`python requirements/install.py FOLDER [FILE …]`: makes an environment with the packages that the files lock.

If this machine lacks something, the script says so before it does anything. The folder has a marker until it is
complete, so an environment that was interrupted, by Ctrl-C or a kill, is made again the next time. So is one without
pip, which Debian's Python leaves if the package python3-venv is missing.

    --find PATH …   folders to import from directly, without a build or an install
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

_MARKER = "unfinished"


def main() -> None:
    parser = argparse.ArgumentParser(prog="install")
    parser.add_argument("folder", type=Path)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--find", type=Path, nargs="+", default=[], metavar="PATH")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if not _is_complete(arguments.folder):
            if problem := _missing():
                sys.exit(f"tailrace: {problem}")
            _make(arguments.folder, arguments.find)
        _install(arguments.folder, arguments.files)
    except KeyboardInterrupt:
        sys.exit(f"\ntailrace: {arguments.folder} is not complete; run the same command again.")
    except OSError as error:
        sys.exit(f"tailrace: {arguments.folder} could not be made: {error.strerror}: {error.filename}.")


def _is_complete(folder: Path) -> bool:
    """Return whether the environment is complete and its Python still runs."""
    if not folder.exists() or (folder / _MARKER).exists():
        return False
    try:
        answer = subprocess.run([folder / "bin" / "python", "-m", "pip", "--version"], capture_output=True)  # noqa: S603
    except OSError:
        return False
    return answer.returncode == 0


def _missing() -> str:
    """Return what this Python needs to make an environment and how to get it; "" if nothing is missing."""
    try:
        import ensurepip
        import venv
    except ImportError as error:
        here = f"The Python at {sys.executable} has no module {error.name}, which `python -m venv` needs."
        if Path("/etc/debian_version").exists() and sys.executable.startswith("/usr/bin/"):
            package = _debian_package()
            return (
                f"{here} Install the package {package} and run the same command again: sudo apt-get install {package}"
            )
        return f"{here} Install it with your system's packages, or name another Python: make PYTHON=python3.13 run"
    del ensurepip, venv
    return ""


def _debian_package() -> str:
    default = Path("/usr/bin/python3").resolve() == Path(sys.executable).resolve()
    return "python3-venv" if default else f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"


def _make(folder: Path, find: list[Path]) -> None:
    """Make an environment with pip and nothing else, instead of any old one; after an error leave nothing."""
    if folder.exists():
        print(f"{folder} is not complete, so it is made again.", flush=True)
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True)
        (folder / _MARKER).touch()
        made = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "venv", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if made.returncode:
            lines = [line.strip() for line in made.stdout.splitlines() if line.strip()]
            why = lines[-1] if lines else f"exit code {made.returncode}"
            sys.exit(f"tailrace: {sys.executable} could not make {folder}: {why}")
        print_path = "import json, sysconfig; print(json.dumps(sysconfig.get_path('purelib')))"
        answer = subprocess.run([folder / "bin" / "python", "-c", print_path], capture_output=True, check=True)  # noqa: S603
        paths = "\n".join(str(path.resolve()) for path in find)
        Path(json.loads(answer.stdout), "tailrace.pth").write_text(paths)
        (folder / _MARKER).unlink()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _install(folder: Path, files: list[Path]) -> None:
    """Install the packages that the files lock. If pip is killed, the environment counts as incomplete.

    The files name all packages, so pip does not resolve anything (`--no-deps`). Otherwise it would look for the newest
    release of a package that another one requires with extras, and refuse it because it is not locked.
    """
    (folder / _MARKER).touch()
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    locked = [argument for file in files for argument in ("-r", str(file))]
    code = subprocess.run([*pip, "--no-deps", "--require-hashes", *locked]).returncode  # noqa: S603
    if code >= 0:
        (folder / _MARKER).unlink()
    if code:
        sys.exit(f"tailrace: pip could not install {' and '.join(map(str, files))} into {folder}; the reason is above.")


if __name__ == "__main__":
    main()
