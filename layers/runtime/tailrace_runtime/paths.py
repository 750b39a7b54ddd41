"""`sys.path` as in the managed runtime.

AWS: "Working with .zip file archives for Python Lambda functions", section "Python library search path".
"""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

LAYER = Path(__file__).parents[1]


def set_search_path() -> None:
    """Set `sys.path`: the function, then the layers, then the managed runtime's packages, then the interpreter's.

    `.pth` files in the function and in the layers are read. If the function sets PYTHONPATH, only that decides whether
    its layers are on the path.
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
