from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_analyst.detectors.timeline import timeline_of
from log_analyst.grid import all_times, grid_for
from log_analyst.readers import levels, mining
from log_analyst.readers.formats import Entry
from log_analyst.readers.mining import Miner, Template
from log_analyst.readers.shapes import Shape
from tests.unit.log_analyst.log_fixtures import T0


def mined(*texts: str, level: int = levels.UNKNOWN, access: bool = False) -> list[Template]:
    miner = Miner()
    for at, text in enumerate(texts):
        miner.add(Entry(T0 + at, level, text, access), 0, (0, at, at + 1))
    return miner.templates()


def test_lines_of_one_shape_are_one_template() -> None:
    [template] = mined(*(f"INFO order {n} accepted in {n * 3}ms" for n in range(20)))
    assert (template.text, template.count, template.at) == ("INFO order <num> accepted in <num>", 20, (0, 0, 1))


def test_words_that_vary_without_end_are_no_templates_of_their_own() -> None:
    names = ["anna", "bert", "carl", "dora", "emil", "fritz", "gerd", "hans", "ida", "jan", "karl", "lena"]
    [template] = mined(*(f"INFO user {name} logged in from web" for name in names))
    assert (template.text, template.count) == ("INFO user <*> logged in from web", 12)


def test_an_error_does_not_hide_in_the_template_of_another() -> None:
    texts = mined("ERROR connection to db lost", "ERROR connection to cache lost", "ERROR connection to db lost")
    assert {t.text: t.count for t in texts} == {"ERROR connection to db lost": 2, "ERROR connection to cache lost": 1}


def test_errors_that_vary_without_end_are_merged_after_all() -> None:
    words = [f"{a}{b}lo" for a in "bcdfg" for b in "aeiou"]
    [template] = mined(*(f"ERROR connection to {word} lost" for word in words * 2))
    assert (template.text, template.count) == ("ERROR connection to <*> lost", 50)
    assert len(template.times) == 50


def test_a_line_of_another_level_is_another_template() -> None:
    assert len(mined("INFO upstream answered late", "ERROR upstream answered late")) == 2


def test_the_most_serious_templates_come_first() -> None:
    found = mined("INFO a b c", "INFO a b c", "FATAL heap exhausted", "WARN slow disk here", "ERROR lost it all")
    assert [t.level for t in found] == [levels.CRITICAL, levels.ERROR, levels.WARNING, levels.INFO]


def test_a_template_has_the_same_id_in_every_run() -> None:
    one = mined("INFO a 1", "ERROR b 2")
    other = mined("ERROR b 7", "ERROR b 8", "INFO a 9")
    assert {t.text: t.id for t in one} == {t.text: t.id for t in other}
    assert len({t.id for t in one}) == 2


def test_the_paths_a_scanner_tries_are_few_templates() -> None:
    rng = random.Random(1)
    tried = [f"GET /{''.join(rng.choices('abcdefghij', k=8))}.php 404" for _ in range(400)]
    found = mined(*tried, *["GET /cart 200"] * 50, level=levels.NOTICE, access=True)
    assert len(found) < 15
    assert sum(t.count for t in found) == 450
    assert {t.text: t.count for t in found}["GET /cart 200"] == 50


def test_lines_of_too_many_shapes_are_counted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mining, "SHAPES", 1_000)
    rng = random.Random(2)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(3000)]
    found = mined(*(f"ERROR {word} {word[1:]} {word[2:]} {word[::-1]}" for word in words))
    assert sum(t.count for t in found) == 3000
    assert any(t.coarse for t in found)
    assert len(found) < 2000


@given(st.lists(st.tuples(st.text(max_size=40), st.integers(-1, 5), st.booleans()), max_size=60))
def test_counts_add_up_to_the_entries(entries: list[tuple[str, int, bool]]) -> None:
    miner = Miner()
    for at, (text, level, access) in enumerate(entries):
        time = T0 + at if at % 3 else None
        miner.add(Entry(time, level, f"GET /{text} 200" if access else text, access), at % 2, (0, at, at))
    found = miner.templates()
    assert sum(t.count for t in found) == len(entries) == miner.entries
    assert len({t.id for t in found}) == len(found)
    assert sum(len(t.times) for t in found) == sum(len(times) for times in miner.times.values())


@given(
    st.lists(st.floats(T0, T0 + 10 * 86_400), min_size=1, max_size=80),
    st.none() | st.tuples(st.floats(T0, T0 + 86_400), st.floats(1, 86_400)),
)
def test_every_timed_line_is_in_the_timeline(times: list[float], span: tuple[float, float] | None) -> None:
    miner = Miner()
    for at, time in enumerate(times):
        miner.add(Entry(time, levels.INFO, "INFO tick" if at % 2 else "INFO tock tock"), 0, (0, 0, 0))
    templates = miner.templates()
    window = (span[0], span[0] + span[1]) if span else None
    grid = grid_for(sorted(times), window)
    table = timeline_of(templates, grid, {0: ("x", miner.times[0], 0)}, entries=miner.entries)
    assert grid.size <= 700
    inside = sum(sum(row.series) for row in table.rows)
    assert inside + sum(row.older + row.later for row in table.rows) == len(times)
    assert sum(table.totals) == inside
    if window is None:
        assert inside == len(times)
    else:
        assert any(abs(grid.start(at) - window[0]) < 0.01 for at in range(grid.size + 1))


def test_a_broken_clock_does_not_stretch_the_timeline() -> None:
    templates = mined(*["INFO tick"] * 500)
    templates[0].times.append(86_400.0)
    times = all_times([template.times for template in templates])
    assert len(times) == 500
    assert times[0] == T0


def test_a_gap_of_a_night_is_no_broken_clock() -> None:
    templates = mined(*["INFO tick"] * 500)
    templates[0].times.extend(T0 - 40_000 + at for at in range(500))
    assert len(all_times([template.times for template in templates])) == 1000


def test_a_scanner_that_never_asks_for_a_route_twice_takes_bounded_memory() -> None:
    miner = Miner()
    asked_for = 3 * mining.ROUTES
    for i in range(asked_for):
        name = "".join(chr(97 + i // 26**k % 26) for k in range(4))
        miner.add(Entry(T0 + i, levels.NOTICE, f"GET /{name} 404", True), 0, (0, i, i + 1))
    assert len(miner.remembered) <= mining.REMEMBERED + 1
    found = miner.templates()
    assert len(found) <= mining.ROUTES + 1
    assert sum(template.count for template in found) == asked_for
    assert ("GET <*> 404", True) in {(template.text, template.coarse) for template in found}


def test_shapes_without_end_are_reconciled_once_while_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = 0
    original = mining.reconciled

    def counted(shapes: list[Shape]) -> tuple[dict[Shape, Shape], set[Shape]]:
        nonlocal passes
        passes += 1
        return original(shapes)

    monkeypatch.setattr(mining, "reconciled", counted)
    monkeypatch.setattr(mining, "SHAPES", 100)
    rng, miner = random.Random(3), Miner()
    for at in range(400):
        text = " ".join("".join(rng.choices("abcdefgh", k=7)) for _ in range(6))
        miner.add(Entry(T0 + at, levels.INFO, text), 0, (0, at, at + 1))
    assert passes == 1
    assert sum(template.count for template in miner.templates()) == 400
