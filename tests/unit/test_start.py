"""`tailrace new` and `tailrace add agent` write what they say, or nothing (docs/START.md)."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest

from deploy.agents import examined
from tailrace.cli import main
from tailrace_start import bundle
from tailrace_start.agents import MOST_AGENTS, add_agent
from tailrace_start.command import run
from tailrace_start.errors import StartError
from tailrace_start.project import agent_files, new_project
from tailrace_start.template import entries_in, entry_of, stack_of, with_entry
from tests.support.processes import ROOT

# Files of the project that are not as in the repository.
OWN = {
    *(".gitignore", "Makefile", "README.md", "pyproject.toml", "samconfig.toml", "template.yaml"),
    *("functions/greeter/handler.py", "tests/test_greeter.py", "layers/LICENSE"),
}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that no test changes."""
    folder = tmp_path_factory.mktemp("start") / "my_agents"
    new_project(folder)
    return folder


@pytest.fixture
def project(tmp_path: Path, written: Path) -> Path:
    """What `tailrace add agent` needs of a project."""
    for path in ("template.yaml", "requirements/run.txt", "functions/greeter/handler.py", "functions/gateway/app.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((written / path).read_bytes())
    return tmp_path


def test_a_project_has_the_repositorys_files_as_they_are(written: Path) -> None:
    files = files_of(written)
    assert files.keys() >= {*OWN, "functions/gateway/handler.py", "frontend/index.html", "deploy/arm64/Makefile"}
    same = {path: (ROOT / path).read_bytes() for path in files.keys() - OWN}
    assert same == {path: files[path] for path in same}
    assert files["layers/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert (written / "layers/runtime/tailrace-runtime").stat().st_mode & 0o111


def test_its_template_is_the_repositorys_but_for_the_agents(written: Path) -> None:
    ours, theirs = ((folder / "template.yaml").read_text().splitlines() for folder in (ROOT, written))
    assert entries_in((written / "template.yaml").read_text()) == ["Greeter"]
    added = ["    Greeter: { MB: 1024 }", "      - Greeter", "          TAILRACE_ORCHESTRATOR: greeter"]
    assert [line for line in theirs if line not in ours] == added
    assert not re.search("orchestratorfunction|analyst", "\n".join(theirs), re.IGNORECASE)
    assert 'stack_name = "my-agents"' in (written / "samconfig.toml").read_text()
    assert list(examined("my-agents", written / "functions", written / "template.yaml")) == []


def test_a_pages_name_in_a_projects_file_is_that_of_a_page_it_has(written: Path) -> None:
    for path, content in files_of(written).items():
        if path.partition("/")[0] not in ("docs", "frontend") and b"docs/" in content:
            for page in re.findall(rb"\bdocs/[A-Z]+\.md", content):
                assert (written / page.decode()).is_file(), f"{path} names {page.decode()}"


def test_a_link_of_a_projects_page_leads_to_what_the_project_has(written: Path) -> None:
    pages = [*written.glob("docs/*.md"), written / "README.md"]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
            path, _, section = target.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), f"{page.name} links to {target}"
            if section:
                titles = re.findall(r"^#+ (.*)", linked.read_text(), re.MULTILINE)
                anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
                assert section in anchors, f"{page.name} links to {target}"


def test_the_new_agent_is_that_of_the_readme() -> None:
    code, test = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert dict(agent_files("greeter")) == {"functions/greeter/handler.py": code, "tests/test_greeter.py": test}


@pytest.mark.parametrize(
    ("folder", "stack"),
    [("my-agents", "my-agents"), ("My agents_2", "My-agents-2"), ("1", "my-agents"), ("ü" * 50, "my-agents")],
)
def test_a_stack_has_a_name_that_cloudformation_takes(folder: str, stack: str) -> None:
    assert stack_of(folder) == stack


def test_a_project_is_begun_without_the_packages_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "tailrace.cli.commands", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.setattr(sys, "argv", ["tailrace", "new", str(tmp_path / "missing" / "my-agents")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "Make that first" in capsys.readouterr().err


def test_a_folder_with_files_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert run(["new", str(tmp_path)]) == 2
    assert f"{tmp_path} exists and is not empty. Name another folder" in capsys.readouterr().err
    assert files_of(tmp_path) == {"notes.txt": b"mine"}


@pytest.mark.parametrize(
    ("folder", "right"),
    [
        ("", "Name a folder; `.` is this one"),
        ("new\nline", "cannot be printed"),
        ("\udcff", "cannot be printed"),
        ("a" * 300, "a cannot be used: File name too long"),
    ],
)
def test_a_folder_that_cannot_be_is_refused_in_a_line(
    folder: str, right: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["new", folder]) == 2
    assert right in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_sam_fills_its_folder_from_a_clone_of_any_name(tmp_path: Path) -> None:
    clone, made = tmp_path / 'clone "of $(touch stray) `touch stray`', tmp_path / "my agents"
    clone.symlink_to(ROOT)
    made.mkdir()
    (made / "placeholder.txt").touch()
    script = (ROOT / "hooks" / "post_gen_project.sh").read_text()
    script = script.replace("{{ cookiecutter._repo_dir }}", clone.name)
    script = script.replace("{{ cookiecutter._output_dir }}", str(tmp_path))
    variables = {**os.environ, "PYTHON": sys.executable}
    ended = subprocess.run(["sh", "-c", script], cwd=made, env=variables, capture_output=True, text=True, check=True)
    assert "cd 'my agents'\n    make run" in ended.stdout
    assert (made / "functions" / "greeter" / "handler.py").is_file()
    assert sorted(tmp_path.iterdir()) == [clone, made]
    assert not (made / "placeholder.txt").exists()
    assert not (made / "stray").exists()


def test_sam_is_told_which_python_it_takes(tmp_path: Path) -> None:
    script = (ROOT / "hooks" / "post_gen_project.sh").read_text()
    script = script.replace("{{ cookiecutter._repo_dir }}", str(ROOT))
    variables = {**os.environ, "PYTHON": "false"}
    ended = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("tailrace: false is not Python 3.11 or newer. Name one that is: PYTHON=")


def test_the_commands_that_come_next_can_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tailrace_start.command.new_project", lambda _: None)
    assert run(["new", "it's $HOME"]) == 0
    assert shlex.split(capsys.readouterr().out.splitlines()[2]) == ["cd", "it's $HOME"]


@pytest.mark.parametrize("folder", ["notes.txt", "notes.txt/inside", "missing/my-agents"])
def test_a_place_where_no_folder_can_be_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(StartError, match="is no folder"):
        new_project(tmp_path / folder)
    assert list(tmp_path.iterdir()) == [tmp_path / "notes.txt"]


def test_a_project_that_could_not_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copied(file: Path, to: Path) -> None:
        if "frontend" in to.parts:
            raise OSError(28, "No space left on device")
        to.parent.mkdir(parents=True, exist_ok=True)
        to.touch()

    monkeypatch.setattr("tailrace_start.project._copy", copied)
    (tmp_path / "empty").mkdir()
    for folder in ("new", "empty"):
        with pytest.raises(StartError, match="could not be written: No space left on device"):
            new_project(tmp_path / folder)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["empty"]


def test_a_projects_own_copy_of_tailrace_begins_no_other_one(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "root", lambda: written)
    with pytest.raises(StartError, match="belongs to a project"):
        new_project(tmp_path / "second")
    assert list(tmp_path.iterdir()) == []


def test_an_agent_that_is_added_has_a_folder_a_test_and_an_entry(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(project)
    monkeypatch.chdir(project)
    assert run(["add", "agent", "my_billing"]) == 0
    after = files_of(project)
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == set(capsys.readouterr().out.splitlines()[:-1])
    assert entries_in((project / "template.yaml").read_text()) == ["Greeter", "MyBilling"]
    assert 'AgentCard(name="my_billing"' in (project / "functions/my_billing/handler.py").read_text()
    ast.parse((project / "functions/my_billing/handler.py").read_text())
    assert "from my_billing.handler import app" in (project / "tests/test_my_billing.py").read_text()
    assert list(examined("my-agents", project / "functions", project / "template.yaml")) == []


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    - &agents # mine\n      - Greeter\n", "    - &agents # mine\n      - Greeter\n      - Billing\n"),
        ("    - &agents \n        - Greeter\n", "    - &agents \n        - Greeter\n        - Billing\n"),
        (
            "    - &agents\n\n      # a\n      - 'Greeter' # b\n\n      - Other \n    # next\n\n",
            "    - &agents\n\n      # a\n      - 'Greeter' # b\n\n      - Other \n      - Billing\n    # next\n\n",
        ),
    ],
)
def test_a_list_of_agents_that_was_edited_gets_one_line_more(before: str, after: str, newline: str) -> None:
    def template(entries: str) -> str:
        return f"Fn::ForEach::Agents:\n    - Name\n{entries}    - Function: {{}}\n".replace("\n", newline)

    assert with_entry(template(before), "Billing") == template(after)
    assert entries_in(template(after)) == [*entries_in(template(before)), "Billing"]
    assert "Greeter" in entries_in(template(before))


def test_all_other_bytes_of_a_template_stay_as_they_are(project: Path) -> None:
    file = project / "elsewhere.yaml"
    (project / "template.yaml").rename(file)
    file.write_bytes(before := file.read_bytes().replace(b"\n", b"\r\n"))
    (project / "template.yaml").symlink_to(file)
    add_agent("billing", project)
    assert file.read_bytes() == before.replace(b"- Greeter\r\n", b"- Greeter\r\n      - Billing\r\n")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("value", ["greeter", "'greeter' # ours", '"greeter"\r', "greeter   # ours"])
def test_make_run_asks_the_default_agent_of_an_edited_template(value: str, written: Path, tmp_path: Path) -> None:
    for name in ("Makefile", "samconfig.toml"):
        shutil.copy(written / name, tmp_path)
    for name in ("deploy", "requirements"):
        (tmp_path / name).symlink_to(written / name)
    (tmp_path / "template.yaml").write_text(f"          TAILRACE_ORCHESTRATOR: {value}\n", newline="")
    made = subprocess.run(["make", "-n", "run"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert made.stdout.endswith("TAILRACE_ORCHESTRATOR=greeter  .venv/bin/python -m local\n")


def test_agents_that_are_added_at_the_same_time_are_all_there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    all_have_read = Barrier(3)

    def read(template: str, entry: str) -> str:
        with suppress(BrokenBarrierError):
            all_have_read.wait(timeout=0.2)
        return with_entry(template, entry)

    monkeypatch.setattr("tailrace_start.agents.with_entry", read)
    names = ["one1", "two2", "three3"]
    with ThreadPoolExecutor() as pool:
        list(pool.map(add_agent, names, [project] * 3))
    assert set(entries_in((project / "template.yaml").read_text())) == {"Greeter", *map(entry_of, names)}


def test_an_agent_can_be_added_to_a_clone_of_the_repository(tmp_path: Path) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "template.yaml").write_text((ROOT / "template.yaml").read_text())
    add_agent("billing", tmp_path)
    entries = entries_in((tmp_path / "template.yaml").read_text())
    assert entries == ["Orchestrator", "LogAnalyst", "MetricAnalyst", "Billing"]


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("", "must have letters, digits and _"),
        ("../billing", "must have letters, digits and _"),
        ("my-billing", "must have letters, digits and _"),
        ("2nd", "start with a letter"),
        ("b" * 41, "at most 40 of them"),
        ("bücher", "must have letters, digits and _"),
        ("class", "is a word of Python's"),
        ("Gate_way", "Tailrace's own function gateway"),
        ("Greeter", "is taken: functions/ or template.yaml has greeter"),
        ("gree_ter", "is taken: functions/ or template.yaml has greeter"),
        ("email", "is also a module's"),
        ("langgraph", "is also a module's"),
        ("function", "is also a module's"),
        ("local", "is also a module's"),
        ("noted", "test_noted.py exists"),
    ],
)
def test_a_name_that_no_agent_can_have_is_refused_and_nothing_changes(name: str, right: str, project: Path) -> None:
    (project / "tests").mkdir()
    (project / "tests" / "test_noted.py").touch()
    before = files_of(project)
    with pytest.raises(StartError) as refused:
        add_agent(name, project)
    assert str(refused.value).startswith(f"The agent's name {name!r} ")
    assert right in str(refused.value)
    assert files_of(project) == before


def test_a_stack_takes_no_more_agents_than_it_has_room_for(project: Path) -> None:
    template = project / "template.yaml"
    for number in range(1, MOST_AGENTS):
        template.write_text(with_entry(template.read_text(), f"Agent{number}"))
    with pytest.raises(StartError, match=f"has {MOST_AGENTS} agents, and a stack has room for {MOST_AGENTS}"):
        add_agent("billing", project)
    assert not (project / "functions" / "billing").exists()


@pytest.mark.parametrize("template", [None, "", "Resources: {}\n", b"\xff"])
def test_a_folder_that_is_no_project_is_refused(template: str | bytes | None, tmp_path: Path) -> None:
    (tmp_path / "functions").mkdir()
    if template is not None:
        (tmp_path / "template.yaml").write_bytes(template if isinstance(template, bytes) else template.encode())
    with pytest.raises(StartError, match=r"template\.yaml"):
        add_agent("billing", tmp_path)
    assert list((tmp_path / "functions").iterdir()) == []


@pytest.mark.parametrize(
    "error", [OSError(13, "Permission denied", "template.yaml"), OSError(28, "No space left on device")]
)
def test_an_agent_that_could_not_be_written_leaves_nothing(
    error: OSError, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(project)

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("tailrace_start.agents.os.replace", fails)
    with pytest.raises(StartError, match=rf"template\.yaml.* could not be written: {error.strerror}"):
        add_agent("billing", project)
    assert files_of(project) == before
