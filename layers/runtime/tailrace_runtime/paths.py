"""`sys.path` as the managed runtime's bootstrap has it (AWS: "Python library search path" in "Working with .zip file
archives for Python Lambda functions")."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

LAYER = Path(__file__).parents[1]


def set_search_path() -> None:
    """First the function, then the layers, then what the managed runtime brings, then the interpreter's own.

    `.pth` files in the function and in the layers count. A function that sets PYTHONPATH itself has its layers only
    where it says so.
    """
    root = os.environ.get("LAMBDA_TASK_ROOT", os.getcwd())
    site_packages = LAYER / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    layers = [] if "PYTHONPATH" in os.environ else [str(site_packages), str(LAYER)]
    runtime = [path] if (path := os.environ.get("LAMBDA_RUNTIME_DIR")) else []
    rest = [each for each in sys.path if each not in (root, *layers, *runtime)]
    sys.path[:] = [root, *layers, *runtime, *rest]
    for folder in filter(os.path.isdir, (root, *layers)):
        site.addsitedir(folder)
    if runtime:
        os.environ.setdefault("PYTHONPATH", runtime[0])
