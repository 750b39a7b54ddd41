"""The output of `sam build` is complete, small, compiled, and for the right architecture."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.programs import ARCHITECTURE, ROOT, make, run

MB = 1_000_000
LAYERS = {
    "Gateway": ("RuntimeLayer", "TailraceLayer"),
    "Orchestrator": ("RuntimeLayer", "TailraceLayer", "AgentsLayer"),
    "LogAnalyst": ("RuntimeLayer", "TailraceLayer", "AgentsLayer"),
    "MetricAnalyst": ("RuntimeLayer", "TailraceLayer", "AgentsLayer"),
    "Sweeper": ("RuntimeLayer", "TailraceLayer"),
}
# The flags in a .pyc (PEP 552) for a hash that is not checked.
UNCHECKED_HASH = 0b01


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def in_function(
    build: Path, python313: str, function: str, code: str, *extra: Path, **variables: str
) -> tuple[Any, str]:
    """Run `code` where only the function and its layers can be imported; return its JSON output and its stderr."""
    path = [build / f"{function}Function", *(build / layer / "python" for layer in LAYERS[function]), *extra]
    prelude = f"import json, sys; sys.path[:0] = {[str(each) for each in path]!r}\n"
    done = run(python313, "-I", "-S", "-c", prelude + code, TAILRACE_LOG="memory", **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.parametrize("function", LAYERS)
def test_a_function_and_its_layers_are_small(build: Path, function: str) -> None:
    total = size(build / f"{function}Function") + sum(size(build / layer) for layer in LAYERS[function])
    assert total < (100 if "AgentsLayer" in LAYERS[function] else 30) * MB


def test_all_bytecode_is_built_and_survives_packaging(build: Path) -> None:
    """A .pyc that is checked against its source's time is ignored after packaging has changed that time."""
    sources = [path for path in build.rglob("*.py") if path.is_file()]
    assert len(sources) > 1000
    for source in sources:
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
        assert compiled.exists(), source
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == UNCHECKED_HASH, compiled
    others = [path for path in build.rglob("*.pyc") if not path.name.endswith(".cpython-313.pyc")]
    assert not others


def test_what_only_a_users_machine_runs_is_in_no_layer(build: Path) -> None:
    library = build / "TailraceLayer" / "python" / "tailrace"
    assert {path.name for path in library.iterdir()}.isdisjoint({"__main__.py", "cli", "conformance"})
    assert (library / "client").exists()


@pytest.mark.parametrize(
    ("function", "module"),
    [
        ("Gateway", "gateway.handler"),
        ("Orchestrator", "orchestrator.handler"),
        ("LogAnalyst", "log_analyst.handler"),
        ("MetricAnalyst", "metric_analyst.handler"),
        ("Sweeper", "sweeper.handler"),
    ],
)
def test_a_function_imports_only_from_its_layers(build: Path, python313: str, function: str, module: str) -> None:
    code = f"import {module}; assert {module}.handler; print(json.dumps(sorted(sys.modules)))"
    modules, stderr = in_function(build, python313, function, code)
    assert not stderr
    if "AgentsLayer" not in LAYERS[function]:
        assert not [name for name in modules if name.split(".")[0] in ("langgraph", "langchain_core", "pydantic")]


def test_the_runtime_package_is_where_the_wrapper_expects_it(build: Path) -> None:
    wrapper = build / "RuntimeLayer" / "tailrace-runtime"
    assert os.access(wrapper, os.X_OK)
    assert (build / "RuntimeLayer" / "python" / "tailrace_runtime" / "__main__.py").exists()
    # The emulator of `sam local` would run it.
    assert not list(build.rglob("bootstrap"))


@pytest.mark.parametrize(
    ("function", "module"), [("LogAnalyst", "log_analyst.handler"), ("MetricAnalyst", "metric_analyst.handler")]
)
def test_an_agents_run_needs_nothing_that_was_pruned(build: Path, python313: str, function: str, module: str) -> None:
    """A whole run with LangGraph needs only the layers."""
    event = ROOT / "events" / f"{module.split('.')[0]}-send.json"
    code = f"""
import {module}
with open({str(event)!r}) as file:
    answer = {module}.handler(json.load(file), None)
print(answer["body"])
"""
    answer, _ = in_function(build, python313, function, code, AWS_LAMBDA_FUNCTION_NAME=function)
    task = answer["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert {artifact["name"] for artifact in task["artifacts"]} == {"report", "findings"}


def test_checkpoints_in_dynamodb_need_only_the_layers_and_boto3(build: Path, python313: str, runtime: Path) -> None:
    code = """
import tailrace.agent.checkpoints.dynamodb
print(json.dumps("zstandard" in sys.modules))
"""
    assert in_function(build, python313, "Orchestrator", code, runtime)[0] is False


@pytest.mark.parametrize(("architecture", "machine"), [("arm64", 183), ("x86_64", 62)])
def test_layers_are_for_the_templates_architecture(
    build: Path, tmp_path: Path, architecture: str, machine: int
) -> None:
    """The ELF headers show it, whatever this machine's architecture is."""
    layer = build / "TailraceLayer"
    if architecture != ARCHITECTURE:
        layer = make("TailraceLayer", ROOT / "layers" / "tailrace", tmp_path / "layer", architecture=architecture)
    built = list(layer.rglob("*.so"))
    assert built
    for library in built:
        assert int.from_bytes(library.read_bytes()[18:20], "little") == machine, f"{library} on {platform.machine()}"


@pytest.mark.parametrize(
    ("model", "key"),
    [("openai:gpt-5.1", {"OPENAI_API_KEY": "none"}), ("bedrock_converse:us.amazon.nova-lite-v1:0", {})],
)
def test_a_models_layer_has_what_its_provider_needs_and_all_layers_fit(
    build: Path, python313: str, runtime: Path, tmp_path: Path, model: str, key: dict[str, str]
) -> None:
    provider = model.partition(":")[0]  # its folder is what `sam build` takes: see test_template_model.py
    layer = make("ModelLayer", ROOT / "layers" / "models" / provider, tmp_path / "layer")
    # Lambda allows 250 MB, unzipped, for a function and its layers.
    folders = [build / "OrchestratorFunction", *(build / each for each in LAYERS["Orchestrator"]), layer]
    assert sum(map(size, folders)) < 200 * MB
    code = """
from tailrace.chat_model import chat_model
print(json.dumps(type(chat_model()).__name__))
"""
    loaded, _ = in_function(
        *(build, python313, "Orchestrator", code, layer / "python", runtime),
        **{"TAILRACE_MODEL": model, "AWS_REGION": "us-east-1", **key},
    )
    assert loaded in ("ChatOpenAI", "ChatBedrockConverse")


def test_without_a_model_its_layer_has_one_file_that_says_so(build: Path) -> None:
    assert [path.name for path in (build / "ModelLayer").rglob("*") if path.is_file()] == ["no-model.txt"]


def test_an_agents_own_packages_are_in_its_function_only(build: Path) -> None:
    assert [path.parent.name for path in build.glob("*/iniconfig")] == ["MyGreeterFunction"]
