"""An agent is called what its author likes, and its name leads nowhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace import AgentApp
from tailrace.a2a.directory import without_card
from tailrace.config import Settings
from tailrace.errors import ConfigError
from tailrace.naming import plain_name
from tests.sample_agents.hello_world import hello_world
from tests.support.events import message
from tests.support.in_process import CARD, agent
from tests.support.jsonrpc import rpc

names = st.text(max_size=80) | st.from_regex(r"[\w. ~-]{1,70}", fullmatch=True)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a/../../b",
        "..\\b",
        "a=b",
        "a,b",
        "a\0b",
        "a\nb",
        "a\x1b[31mb",
        " a",
        "a ",
        "\ud800",
        "a\u202eb",
        "x" * 65,
    ],
)
def test_a_name_that_cannot_be_is_refused_when_the_app_is_made(name: str) -> None:
    card = msgspec.structs.replace(CARD, name=name)
    with pytest.raises(ConfigError) as refused:
        AgentApp(hello_world(), card, settings=Settings(log="memory"))
    assert str(refused.value).startswith(f"The agent's name (AgentCard.name) has value {name!r}, but must be 1 to 64")


@pytest.mark.parametrize(
    "name", ["hello_world", "My Agent", "Ärzte-Agent (v2)", "日本語", "..", "{id}", "a~b", "C:", "x" * 64]
)
async def test_a_name_for_people_is_taken_and_its_files_are_in_the_data_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "inner" / "data"
    os.makedirs(folder)
    card = msgspec.structs.replace(CARD, name=name)
    async with agent(hello_world(), card=card, store="sqlite", data_dir=str(folder)) as served:
        sent = await served.result("SendMessage", {"message": message("hello")})
        (event, *_) = await served.events(sent["task"]["id"])
        assert event["task"]["metadata"]["urn:tailrace:a2a:resume:1"]["agent"] == name
        place = f"{served.url}/agents/{plain_name(name)}/"
        answer = await served.http.post(place, json=rpc("ListTasks"), headers={"A2A-Version": "1.0"})
        assert answer.json()["result"]["totalSize"] == 1
    assert files_below(tmp_path) == {f"inner/data/checkpoints-{plain_name(name)}.sqlite3"}


@given(names)
def test_what_is_made_of_a_name_is_plain(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(~[0-9a-f]{16})?", plain_name(name))


@given(names, names)
def test_what_is_made_of_two_names_differs(one: str, other: str) -> None:
    assert (plain_name(one) == plain_name(other)) is (one == other)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("url", ["https://u:secret@peer.example/?key=secret", "https://peer.example:8080/secret"])
def test_an_agent_without_a_card_is_named_without_the_secrets_in_its_url(url: str) -> None:
    assert (without_card(url), without_card("greeter")) == ("peer.example", "greeter")
