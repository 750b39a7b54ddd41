from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_analyst.readers.masking import Masker
from log_analyst.readers.paths import FANOUT, collapsed


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("took 12 ms", "took <num> ms"),
        ("began [29/Nov/2026:12:22:07.378]", "began [<time>]"),
        ("took 12ms, 1.5s and 3.25e-7", "took <num>, <num> and <num>"),
        ("user=42 worker-7", "user=<num> worker-<num>"),
        ("from 10.1.2.3:443 to fe80::1", "from <ip> to <ip>"),
        ("trace 4bf92f3577b34da6a3ce929d0e0e4736", "trace <hex>"),
        ("at 0xdeadBEEF", "at <hex>"),
        ("id 123e4567-e89b-12d3-a456-426614174000.", "id <uuid>."),
        ("mail to a.b@example.org", "mail to <email>"),
        ("see https://x.org/a?b=1, please", "see <url>, please"),
        ("wrote /var/lib/shop/s-12.db", "wrote <path>"),
        ("open C:\\Temp\\x.txt", "open <path>"),
        ("column \"price\" of 'orders'", "column <str> of <str>"),
        ("can't and won't", "can't and won't"),
        ('level=error msg="disk 3 is full"', "level=error msg=disk <num> is full"),
        ("request status=503 done", "request status=5xx done"),
        ("status code: 404", "status code: 4xx"),
        ('"GET /api/orders/17?a=b HTTP/1.1" 500 12', '"GET /api/orders/<id>" 5xx <num>'),
        ("at 09:00:01.5 on 2024-03-05", "at <time> on <time>"),
        ("HTTP/1.1 over x86_64 in UTF-8", "HTTP/1.1 over x86_64 in UTF-8"),
        ("std::vector and a:b", "std::vector and a:b"),
        ("   white \t space ", "white space"),
    ],
)
def test_variable_parts_are_masked(text: str, masked: str) -> None:
    assert Masker().text(text) == masked


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/orders/17", "/api/orders/<id>"),
        ("/api/orders/17/items?x=1", "/api/orders/<id>/items"),
        ("/u/123e4567-e89b-12d3-a456-426614174000", "/u/<id>"),
        ("/v1/users", "/v1/users"),
        ("/images/3c9e.png", "/images/<id>"),
        ("/images/face.png", "/images/face.png"),
        ("/static/" + "x" * 900, "/static/<id>"),
        ("/a;jsessionid=8", "/a"),
        ("/", "/"),
    ],
)
def test_a_route_has_no_ids_and_no_query(path: str, route: str) -> None:
    assert Masker().route(path) == route


@given(st.text(max_size=400))
def test_masking_is_the_same_every_time(text: str) -> None:
    masker = Masker()
    first = masker.text(text)
    assert masker.text(text) == first == Masker().text(text)
    masker.route(text)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_lines_that_differ_only_in_numbers_are_masked_alike(one: int, other: int) -> None:
    masker = Masker()
    assert masker.text(f"order {one} failed (code={one})") == masker.text(f"order {other} failed (code={other})")


def test_few_routes_are_kept_as_they_are() -> None:
    routes = {f"/a/{at}": 1 for at in range(FANOUT)}
    assert collapsed(routes) == {route: route for route in routes}


def test_only_the_most_frequent_of_many_routes_are_kept() -> None:
    routes = {f"/a/x{at}": 1 for at in range(500)} | {"/a/cart": 1000, "/b": 1}
    short = collapsed(routes)
    assert short["/a/cart"] == "/a/cart"
    assert short["/b"] == "/b"
    assert len(set(short.values())) < 20
    assert short["/a/x499"] == "/a/<*>"


@given(st.dictionaries(st.text(alphabet="/ab", max_size=30), st.integers(1, 9), max_size=60))
def test_every_route_is_mapped_to_a_kept_or_collapsed_one(routes: dict[str, int]) -> None:
    assert collapsed(routes).keys() == routes.keys()


def test_a_quoted_text_that_is_too_long_is_a_value_as_a_short_one_is() -> None:
    texts = (f'query "SELECT {"column, " * words} 1" failed' for words in (1, 400))
    assert {Masker().text(text)[:11] for text in texts} == {"query <str>"}
