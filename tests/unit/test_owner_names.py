"""An owner's name is data: whatever it is, what is made of it is plain, short and nobody else's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from tailrace.owner import OWNER_HEADER, Owner, identify_by_header, identify_by_name, owner_within, owners_behind

TASK = "285f2b9d-78fd-48d5-8238-1b95fa756dc2"
SECRET = "correct-horse-battery-staple"
names = st.text(max_size=90) | st.from_regex(r"o-[0-9a-f]{32}", fullmatch=True) | st.from_regex(r"[\w.@/-]{1,66}")


def request(**headers: str) -> Request:
    """A request as a server gives it: what a header has is bytes, read as Latin-1."""
    told = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "headers": told})


@given(names)
def test_an_id_is_ascii_and_short_and_its_owner_keeps_its_name(name: str) -> None:
    owner = Owner.named(name)
    assert re.fullmatch(r"[A-Za-z0-9._@-]{1,64}", owner.id)
    assert owner.name == name


@given(names, names)
def test_two_names_never_have_one_id(one: str, other: str) -> None:
    assert (Owner.named(one).id == Owner.named(other).id) is (one == other)


@given(names)
def test_a_name_that_looks_like_an_id_that_was_made_is_somebody_else(name: str) -> None:
    made = Owner.named(name).id
    assert made == name or Owner.named(made).id != made


@pytest.mark.parametrize("name", ["local", "shared", "alice", "alice@example.com", TASK, "user_7.b"])
def test_a_plain_name_is_its_own_id_as_before(name: str) -> None:
    assert Owner.named(name).id == name


@pytest.mark.parametrize("name", [f"iss/{TASK}", "a\0b", "jürgen", "", " alice", "alice ", "a\n", "o-", "x" * 65])
def test_any_other_name_has_an_id_that_was_made(name: str) -> None:
    assert re.fullmatch(r"o-[0-9a-f]{32}", Owner.named(name).id)


@given(names, st.lists(st.uuids().map(str), min_size=1, max_size=40))
def test_a_name_that_goes_from_agent_to_agent_stays_short_and_leads_to_who_began(name: str, tasks: list[str]) -> None:
    began = owner = Owner.named(name).id
    for task in tasks:
        owner = owner_within(owner, task)
    assert owner == f"{began}/{tasks[-1]}"
    assert list(owners_behind(owner)) == [owner, began]
    assert len(owner) <= 64 + 37
    known = identify_by_header("")(request(**{OWNER_HEADER: owner}))
    assert known is not None
    assert known.id == owner


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=300))
def test_whatever_the_header_has_leads_to_an_owner(said: str) -> None:
    known = identify_by_header("")(request(**{OWNER_HEADER: said}))
    assert known is not None
    assert known.id.isascii()
    assert len(known.id) <= 64 + 8 * 37


def test_a_name_of_the_author_s_is_never_taken_for_a_task_s_work() -> None:
    known = identify_by_name(lambda _: f"alice/{TASK}")(request())
    assert known is not None
    assert list(owners_behind(known.id)) == [known.id]
    assert identify_by_name(lambda _: None)(request()) is None
    assert identify_by_name(lambda _: "")(request()) is None


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", "Bearer x", f"Basic {SECRET}", SECRET, f"Bearer {SECRET}x", "\xff"]
)
def test_who_does_not_know_the_secret_of_the_run_is_nobody(given: str) -> None:
    assert identify_by_header(SECRET)(request(authorization=given)) is None
    assert identify_by_header(SECRET)(request()) is None


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_who_knows_the_secret_of_the_run_says_for_whom_it_asks(scheme: str) -> None:
    asked = request(authorization=f"{scheme} {SECRET}", **{OWNER_HEADER: "alice"})
    assert identify_by_header(SECRET)(asked) == Owner("alice", "alice")


@given(names, names, names)
def test_the_id_of_a_person_at_an_issuer_is_nobodys_name(issuer: str, subject: str, name: str) -> None:
    person = Owner.of_subject(issuer, subject, "Ada")
    assert re.fullmatch(r"u-[a-z2-7]{52}", person.id)
    assert Owner.named(person.id).id != person.id
    assert Owner.named(name).id != person.id
    sent = identify_by_header("")(request(x_tailrace_owner=person.id))
    assert sent == Owner(person.id, person.id)
