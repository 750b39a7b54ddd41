"""The exec wrapper runs this file as a script, because the layer is not on `sys.path` yet."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tailrace_runtime.bootstrap import main

    main()
