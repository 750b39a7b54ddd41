"""The contract of every store of credentials."""

from __future__ import annotations

import asyncio
import uuid

import msgspec
import pytest

from tailrace.access import Credential, Credentials, Presented
from tailrace.access.credential import TOKENS, new_session, new_token, presented_session, presented_token
from tailrace.owner import Owner
from tests.contract.log_tasks import Clock

IDLE_S, LASTS_S = 600, 3600
WINDOW_S = 60


def somebody() -> Owner:
    return Owner.of_subject("https://issuer.example", str(uuid.uuid4()), "Ada")


def signed_in(owner: Owner, clock: Clock, *, idle_s: int = IDLE_S) -> tuple[Credential, Presented]:
    session, cookie = new_session(owner, now=int(clock()), idle_s=idle_s, lasts_s=LASTS_S)
    presented = presented_session(cookie)
    assert presented is not None
    return session, presented


class CredentialsContract:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    async def test_a_session_is_known_by_its_cookie_alone(self, store: Credentials, clock: Clock) -> None:
        ada, bob = somebody(), somebody()
        session, presented = signed_in(ada, clock)
        other, _ = signed_in(bob, clock)
        await store.keep(session)
        await store.keep(other)
        assert await store.known(presented) == session
        for guess in (
            Presented(presented.holder, presented.id, other.digest),
            Presented(bob.id, presented.id, presented.digest),
            Presented(presented.holder, other.id, presented.digest),
            Presented(bob.id, other.id, presented.digest),
        ):
            assert await store.known(guess) is None

    async def test_a_token_is_known_by_its_id_and_secret(self, store: Credentials, clock: Clock) -> None:
        token, text = new_token(f"ci {uuid.uuid4()}", ("read",), now=int(clock()), lasts_s=LASTS_S)
        await store.keep(token)
        presented = presented_token(text)
        assert presented is not None
        assert await store.known(presented) == token
        assert await store.known(msgspec.structs.replace(presented, digest="0" * 64)) is None
        assert token in await store.of(TOKENS)
        assert await store.of(token.owner) == []

    async def test_what_is_kept_does_not_have_the_secret(self, store: Credentials, clock: Clock) -> None:
        session, cookie = new_session(somebody(), now=int(clock()), idle_s=0, lasts_s=LASTS_S)
        token, text = new_token("ci", ("read",), now=int(clock()), lasts_s=LASTS_S)
        assert cookie.partition(".")[2] not in repr(session)
        assert text.split("_", 2)[2] not in repr(token)

    async def test_a_session_ends_when_it_is_idle(self, store: Credentials, clock: Clock) -> None:
        session, presented = signed_in(somebody(), clock)
        await store.keep(session)
        for _ in range(4):
            clock.now += IDLE_S - 1
            known = await store.known(presented)
            assert known is not None, "its use did not keep it"
            assert known.used == int(clock())
        clock.now += IDLE_S
        assert await store.known(presented) is None
        assert not await store.is_valid(session)
        assert await store.of(session.holder) == []

    async def test_looking_if_a_session_holds_does_not_use_it(self, store: Credentials, clock: Clock) -> None:
        session, presented = signed_in(somebody(), clock)
        await store.keep(session)
        clock.now += IDLE_S - 1
        assert await store.is_valid(session)
        clock.now += 1
        assert not await store.is_valid(session)
        assert await store.known(presented) is None

    async def test_a_session_ends_in_any_case(self, store: Credentials, clock: Clock) -> None:
        session, presented = signed_in(somebody(), clock)
        await store.keep(session)
        end = clock.now + LASTS_S
        while clock.now < end - IDLE_S / 2:
            clock.now += IDLE_S / 2
            assert await store.known(presented) is not None
        clock.now = end
        assert await store.known(presented) is None

    async def test_a_session_that_is_ended_is_ended_for_good(self, store: Credentials, clock: Clock) -> None:
        session, presented = signed_in(somebody(), clock)
        await store.keep(session)
        clock.now += IDLE_S - 1
        # Its use is noted while it is ended.
        await asyncio.gather(store.known(presented), store.end(session.holder, session.id), store.known(presented))
        assert await store.known(presented) is None
        assert not await store.is_valid(session)
        assert not await store.end(session.holder, session.id)

    async def test_the_sessions_of_an_owner_are_listed_and_ended(self, store: Credentials, clock: Clock) -> None:
        ada, bob = somebody(), somebody()
        first, _ = signed_in(ada, clock)
        await store.keep(first)
        clock.now += 1
        second, _ = signed_in(ada, clock)
        others, of_other = signed_in(bob, clock)
        await store.keep(second)
        await store.keep(others)
        assert await store.of(ada.id) == [second, first]
        assert await store.end_all_of(ada.id) == 2
        assert await store.of(ada.id) == []
        assert await store.known(of_other) == others

    async def test_failures_are_counted_for_a_time(self, store: Credentials, clock: Clock) -> None:
        clock.now -= clock.now % WINDOW_S
        key, other = str(uuid.uuid4()), str(uuid.uuid4())
        counts = await asyncio.gather(*(store.count(key, WINDOW_S) for _ in range(5)))
        assert sorted(counts) == [1, 2, 3, 4, 5]
        assert await store.count(other, WINDOW_S) == 1
        clock.now += WINDOW_S - 1
        assert await store.count(key, WINDOW_S) == 6
        clock.now += 1
        assert await store.count(key, WINDOW_S) == 1

    async def test_no_more_is_spent_than_the_limit_in_a_window(self, store: Credentials, clock: Clock) -> None:
        clock.now -= clock.now % WINDOW_S
        key, other = str(uuid.uuid4()), str(uuid.uuid4())
        spent = await asyncio.gather(*(store.spend(key, WINDOW_S, 3, 10) for _ in range(6)))
        assert sorted(spent) == [False, False, False, True, True, True]
        assert (await store.spent(key, WINDOW_S), await store.spent(other, WINDOW_S)) == (9, 0)
        assert not await store.spend(key, WINDOW_S, 2, 10)
        assert not await store.spend(other, WINDOW_S, 11, 10)
        assert await store.spend(key, WINDOW_S, 1, 10)
        clock.now += WINDOW_S - 1
        assert (store.window_left_s(WINDOW_S), await store.spent(key, WINDOW_S)) == (1, 10)
        clock.now += 1
        assert await store.spend(key, WINDOW_S, 10, 10)

    async def test_what_is_refunded_can_be_spent_again_in_its_window_and_no_more_than_was_spent(
        self, store: Credentials, clock: Clock
    ) -> None:
        clock.now -= clock.now % WINDOW_S
        key, spent_at = str(uuid.uuid4()), store.now()
        assert await store.spend(key, WINDOW_S, 3, 3)
        await store.refund(key, WINDOW_S, 4, spent_at)
        await store.refund(str(uuid.uuid4()), WINDOW_S, 1, spent_at)
        assert await store.spent(key, WINDOW_S) == 3
        await asyncio.gather(*(store.refund(key, WINDOW_S, 1, spent_at) for _ in range(2)))
        assert await store.spent(key, WINDOW_S) == 1
        assert await store.spend(key, WINDOW_S, 2, 3)
        clock.now += WINDOW_S
        assert await store.spend(key, WINDOW_S, 3, 3)
        await store.refund(key, WINDOW_S, 1, spent_at)  # that window is over
        assert await store.spent(key, WINDOW_S) == 3

    async def test_a_slot_is_taken_by_one_and_free_again_also_after_a_crash(
        self, store: Credentials, clock: Clock
    ) -> None:
        clock.now = int(clock.now)
        key, other = str(uuid.uuid4()), str(uuid.uuid4())
        slots = [f"{n:08x}" for n in range(6)]
        got = await asyncio.gather(*(store.take(key, slot, 4, 60) for slot in slots))
        assert sum(got) == 4
        assert await store.taken(key) == 4
        mine = slots[got.index(True)]
        assert await store.take(key, mine, 4, 60), "a request that is made again"
        assert await store.take(other, slots[0], 1, 60)
        await store.give_back(key, mine)
        await store.give_back(key, mine)
        await store.give_back(str(uuid.uuid4()), mine)
        assert await store.taken(key) == 3
        clock.now += 30
        assert await store.take(key, "ffff", 4, 60)
        assert not await store.take(key, "eeee", 4, 60)
        clock.now += 30
        assert await store.taken(key) == 1
        assert await store.take(key, "eeee", 2, 60)
        assert not await store.take(key, "dddd", 2, 60)
