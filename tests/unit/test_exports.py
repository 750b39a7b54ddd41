"""What authors import, pinned; and what the gateway must never import."""

from __future__ import annotations

import subprocess
import sys

import tailrace


def test_the_exported_names_are_these() -> None:
    classes = [
        "AgentApp",
        "AgentCard",
        "Answer",
        "DelegationFailed",
        "Extension",
        "Question",
        "Rejected",
        "Request",
        "Skill",
    ]
    functions = ["ask", "delegate", "draining", "file", "progress", "request", "result", "time_left", "write"]
    assert tailrace.__all__ == [*classes, *functions]
    for name in tailrace.__all__:
        assert getattr(tailrace, name) is not None


def test_the_gateway_imports_none_of_the_agents_packages_and_nothing_for_what_is_not_set() -> None:
    code = (
        "import sys, gateway.app; gateway.app.create_app(); "
        "print(sorted(m for m in sys.modules if m.split('.')[0] in "
        "('langgraph', 'langchain_core', 'langsmith', 'pydantic', 'boto3', 'botocore', 'opentelemetry', 'httpcore') "
        "or m in ('gateway.sign_in', 'gateway.oidc', 'gateway.client_secret')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_outside_a_graph_emitting_does_nothing() -> None:
    tailrace.progress("nobody listens", done=1, total=2)
    tailrace.write("nobody reads")
    tailrace.result("findings", {})
    tailrace.file("notes.txt", "nobody keeps it")
