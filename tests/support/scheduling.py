"""Which of pytest-xdist's workers runs which files of tests, and when: `make test` keeps all cores busy."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

CONTAINERS = "tests/deploy/test_sam_local.py"
BROWSERS = ("tests/e2e/", "tests/runtime/test_main_job.py")

_BUILDS = ("tests/deploy/test_build.py", "tests/deploy/test_build_door.py")
# Files that share processes, or what the template becomes, go to one worker, because both take long to make.
_TOGETHER = {
    "assistant": (
        *("tests/e2e/test_artifacts_on_the_page.py", "tests/e2e/test_conversations_on_the_page.py"),
        *("tests/e2e/test_example_page.py", "tests/e2e/test_firefox.py", "tests/e2e/test_two_windows.py"),
    ),
    # The same processes once more: all of these files would take one worker too long.
    "assistant again": (
        *("tests/e2e/test_a_conversation_in_odd_orders.py", "tests/e2e/test_accessibility.py"),
        *("tests/e2e/test_questions_on_the_page.py", "tests/e2e/test_several_questions_on_the_page.py"),
    ),
    "page": (
        *("tests/e2e/test_faults", "tests/e2e/test_files_to_send.py"),
        *("tests/e2e/test_findings_on_the_page.py", "tests/e2e/test_keyboard_and_history.py"),
        *("tests/e2e/test_other_sites.py", "tests/e2e/test_page.py", "tests/e2e/test_upload.py"),
    ),
    "dynamodb": (
        *("tests/contract/local_log/", "tests/contract/test_checkpointers.py", "tests/contract/test_credentials.py"),
        *("tests/contract/test_dynamodb_log.py", "tests/contract/test_memory_stores.py"),
        *("tests/contract/test_missing_tables.py", "tests/contract/test_webhooks.py"),
    ),
    "sam build": (CONTAINERS, *_BUILDS),
    "template": ("tests/deploy/test_added_agent.py", "tests/deploy/test_expand.py", "tests/deploy/test_template"),
    "shipped": (
        *("tests/deploy/test_smoke.py", "tests/integration/test_claim_check.py"),
        "tests/integration/test_command_in_a_terminal.py",
        *("tests/integration/test_four_processes.py", "tests/integration/test_local.py"),
    ),
}
# What takes long comes first, so that no worker ends with it alone.
_LONGEST_FIRST = (
    *(*BROWSERS, "tests/contract/local_log/", "tests/contract/test_dynamodb_log.py", "tests/deploy/", "tests/chaos/"),
    *("tests/runtime/", "tests/interop/", "tests/integration/", "tests/resume/", "tests/tck/", "tests/contract/"),
    "tests/unit/",
)
# These wait for leases, clocks and containers most of their time, and compute little. One of four workers runs them
# from the beginning on, while the others compute. Containers come when the browsers are done, and before what is short,
# which all workers share at the end.
_WAITING = (
    *("tests/chaos/test_chaos.py", "tests/runtime/test_survival_on_lambda.py"),
    *("tests/integration/test_survival.py", "tests/integration/test_conversations_killed.py"),
    *(CONTAINERS, *_BUILDS, "tests/unit/test_sample.py"),
    *("tests/integration/test_answers_survive.py", "tests/integration/test_levels_survive.py"),
    *("tests/integration/test_standstill.py", "tests/integration/test_depth.py", "tests/runtime/test_runs.py"),
    *("tests/integration/test_cancel_without_the_agent.py", "tests/integration/test_stuck_at_the_gateway.py"),
    "tests/integration/test_push_sweep.py",
)
ALL_PATHS = (*(path for paths in _TOGETHER.values() for path in paths), *_LONGEST_FIRST, *_WAITING)


def workers(cores: int) -> int:
    """How many workers run all tests: two for each core, because every other one waits for something."""
    return 2 * cores


def place(nodeid: str) -> int:
    """Return where the files of a test come in the order of all files; what waits has an order of its own."""
    waits = _first(nodeid, _WAITING)
    return waits if waits is not None else len(_WAITING) + (_first(nodeid, _LONGEST_FIRST) or 0)


def _first(nodeid: str, paths: tuple[str, ...]) -> int | None:
    return next((number for number, path in enumerate(paths) if nodeid.startswith(path)), None)


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Workers take whole files, in the order of `place`, and one of four takes what waits."""

    def _split_scope(self, nodeid: str) -> str:
        scopes = (scope for scope, paths in _TOGETHER.items() if nodeid.startswith(paths))
        return next(scopes, super()._split_scope(nodeid))

    def _assign_work_unit(self, node: Any) -> None:
        waiting = {scope for scope, tests in self.workqueue.items() if next(iter(tests)).startswith(_WAITING)}
        if waiting and len(waiting) < len(self.workqueue):
            lane = self._waits(node) or sum(map(self._waits, self.nodes)) < max(1, self.numnodes // 4)
            scope = next(scope for scope in self.workqueue if (scope in waiting) == lane)
            self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)

    def _waits(self, node: Any) -> bool:
        """Whether the last files that the worker was given wait."""
        given = list(self.assigned_work[node].values())
        return bool(given) and next(iter(given[-1])).startswith(_WAITING)
