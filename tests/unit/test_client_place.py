"""Where a client asks: what is named, else the environment, else this user's `make run`; and whose token goes there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tailrace.client.place import Place, places
from tailrace.errors import ClientError, ServerUnreachable

HERE = "http://127.0.0.1:8080"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where two `make run` have begun, one of which may have been killed."""
    (tmp_path / ".tailrace").mkdir()
    (tmp_path / ".tailrace" / "run-address").write_text(f"http://127.0.0.1:8081\n{HERE}")
    (tmp_path / ".tailrace" / "run-secret").write_text("the-secret-of-the-run")
    (tmp_path / "below" / "it").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "below" / "it")
    return tmp_path


def test_a_run_in_a_folder_above_is_found_with_its_secret_the_newest_first(project: Path) -> None:
    both = [Place(HERE, "the-secret-of-the-run"), Place("http://127.0.0.1:8081", "the-secret-of-the-run")]
    assert places(None, None, {}) == both
    assert places(None, None, {"TAILRACE_DATA_DIR": str(project / ".tailrace")}) == both


def test_a_run_never_gets_the_token_of_another_server(project: Path) -> None:
    assert {each.token for each in places(None, None, {"TAILRACE_TOKEN": "trk_elsewhere"})} == {"the-secret-of-the-run"}


def test_a_server_that_is_named_gets_the_token_that_is_named_with_it(project: Path) -> None:
    environ = {"TAILRACE_URL": "https://a.example/", "TAILRACE_TOKEN": "trk_a"}
    assert places(None, None, environ) == [Place("https://a.example", "trk_a")]
    assert places("https://b.example", "trk_b", environ) == [Place("https://b.example", "trk_b")]
    assert places("https://b.example", "", environ) == [Place("https://b.example", "")]
    assert places("http://localhost:8080", None, {}) == [Place("http://localhost:8080", "the-secret-of-the-run")]
    assert places("http://localhost:8082", None, {}) == [Place("http://localhost:8082", "")]


def test_a_server_may_be_behind_one_that_asks_for_a_password(project: Path) -> None:
    assert places("https://me:password@a.example", "", {}) == [Place("https://me:password@a.example", "")]


def test_files_of_another_user_lead_nowhere(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: project.stat().st_uid + 1)
    with pytest.raises(ServerUnreachable, match="No server is named"):
        places(None, None, {})


@pytest.mark.parametrize(
    "text", ["gateway.example", "ftp://gateway.example", "http://[::1", "http://a:port", "http://", "http://xn--/"]
)
def test_what_is_no_url_is_refused(project: Path, text: str) -> None:
    with pytest.raises(ClientError, match=r"but must be like https://tailrace\.example"):
        places(text, None, {})


@pytest.mark.parametrize("token", [" ", "trk_a\n", "trk_\r\nX-Other: 1", "trk_\x00", "trk_\udcff"])
def test_what_cannot_be_a_token_is_refused_and_not_shown(project: Path, token: str) -> None:
    with pytest.raises(ClientError, match="It must be the token alone") as caught:
        places("https://a.example", token, {})
    assert "trk_" not in str(caught.value)
