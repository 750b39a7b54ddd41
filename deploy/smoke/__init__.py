"""`python -m deploy.smoke URL`: checks of a deployment that no emulator can make. Each failure says what to do."""

from deploy.smoke.report import SmokeError
from deploy.smoke.run import check

__all__ = ["SmokeError", "check"]
