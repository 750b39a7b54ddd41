"""`python -m deploy.cost`: the bill of a run, by the model and by log lines. No line is dropped in silence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cost import prices
from deploy.cost.lines import measure
from deploy.cost.model import HELD, SLEEPING, Run, awake_s, held_s, reads_in, usage_of
from deploy.cost.month import Container, container, fixed, open_stream
from deploy.cost.usage import FunctionUse, Usage, bill, printed, total

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "deploy" / "cost" / "sample.jsonl"

times = st.floats(0, 1e6)
runs = st.builds(
    Run,
    stream_s=times,
    active_s=times,
    bursts=st.integers(0, 50),
    specialist_s=times,
    events=st.integers(0, 10_000),
    event_bytes=st.integers(0, 100_000),
    gateway_mb=st.sampled_from([128, 256, 512, 1024]),
    sleeps=st.booleans(),
    pause_s=st.floats(1, 10),
)


def dollars_of(run: Run) -> dict[str, float]:
    return {line.name: line.dollars for line in bill(usage_of(run), 1000)}


def test_a_held_run_costs_what_was_reckoned_by_hand() -> None:
    # 1,000 ten-minute streams with one viewer and two specialist-minutes; prices of November 2026.
    lines = dollars_of(HELD)
    by_hand = {
        "Lambda, gateway": 4.00,
        "Lambda, orchestrator": 8.00,
        "Lambda, specialists": 1.60,
        "DynamoDB writes, events": 0.375,
        "DynamoDB reads, tail": 0.075,
    }
    assert {name: lines[name] for name in by_hand} == pytest.approx(by_hand, rel=0.001)
    assert sum(lines.values()) == pytest.approx(14.3, abs=0.1)


def test_with_pauses_sleep_and_a_small_gateway_a_run_costs_at_most_five_dollars() -> None:
    assert sum(dollars_of(SLEEPING).values()) <= 5.0
    assert sum(dollars_of(msgspec.structs.replace(SLEEPING, logs=2)).values()) <= 5.0


def test_a_quiet_stream_costs_at_most_fifteen_per_cent_of_one_that_is_held() -> None:
    quiet = Run(sleeps=True, active_s=0, bursts=20, events=20)
    assert held_s(quiet) <= 0.15 * held_s(msgspec.structs.replace(quiet, sleeps=False))


def test_a_container_costs_as_much_as_three_streams_that_are_always_open() -> None:
    month = total(container(Container()))
    assert month == pytest.approx(51, abs=0.5)
    assert month / open_stream(512, 1) == pytest.approx(2.9, abs=0.1)
    assert open_stream(256, 1) == pytest.approx(open_stream(512, 1) / 2)


def test_ten_deploys_of_three_agents_keep_snapshots_for_119_dollars_a_month() -> None:
    (snapshots,) = [line for line in fixed(3, 10, 1024) if line.name == "snapshots"]
    assert snapshots.dollars == pytest.approx(119, abs=0.5)


@given(runs)
def test_nothing_in_a_run_is_negative_and_nobody_works_longer_than_the_viewer_watches(run: Run) -> None:
    assert all(line.dollars >= 0 for line in bill(usage_of(run)))
    assert 0 <= held_s(run) <= run.stream_s
    assert 0 <= awake_s(run) <= run.stream_s


@given(runs)
def test_pauses_and_sleep_never_hold_a_function_for_longer(run: Run) -> None:
    held = msgspec.structs.replace(run, sleeps=False)
    assert held_s(run) <= held_s(held)
    assert awake_s(run) <= awake_s(held)


@given(runs, st.floats(0, 1e5), st.floats(0, 1e5))
def test_measured_numbers_take_the_place_of_the_models(run: Run, seconds: float, count: float) -> None:
    told = msgspec.structs.replace(
        run,
        gateway_held_s=seconds,
        orchestrator_awake_s=seconds,
        tail_reads=count,
        lease_renewals=count,
        watch_reads=count,
    )
    usage = usage_of(told)
    assert usage.functions["gateway"].seconds == usage.functions["orchestrator"].seconds == seconds
    assert usage.writes["leases"] == usage.reads["watch"] == count
    assert usage.reads["tail"] in (count, count / 2)


@given(st.floats(0, 1e4), st.floats(0, 1e4))
def test_a_longer_silence_has_no_fewer_reads(first: float, second: float) -> None:
    shorter, longer = sorted((first, second))
    assert reads_in(shorter, 0.05, 1.0) <= reads_in(longer, 0.05, 1.0)
    assert longer / 1.0 - 1 <= reads_in(longer, 0.05, 1.0) <= longer / 0.05


@given(runs, st.integers(1, 1000))
def test_a_bill_grows_with_the_number_of_runs(run: Run, times: int) -> None:
    assert total(bill(usage_of(run), times)) == pytest.approx(times * total(bill(usage_of(run))))


def report(ms: float, mb: int, **metrics: float) -> str:
    measured = {"billedDurationMs": ms, "memorySizeMB": mb, **metrics}
    return json.dumps({"type": "platform.report", "record": {"requestId": "r", "metrics": measured}})


def of(function: str, line: str) -> str:
    """Return the line as `sam logs --output json` has it."""
    agent = function.removesuffix("Function")
    called = f"tailrace-{function}-1A2B3C4D5E6F" if agent in ("Gateway", "Sweeper") else f"tailrace_{agent}"
    name = f"2026/11/29/{called}[7][0123456789abcdef]"
    return json.dumps({"logStreamName": name, "timestamp": 1, "message": line})


reports = st.lists(
    st.tuples(
        st.sampled_from(["GatewayFunction", "MyAgentFunction"]),
        st.integers(1, 900_000),
        st.sampled_from([128, 512, 1024]),
    )
)


@given(reports)
def test_billed_time_and_memory_are_added_up_for_each_function(given_reports: list[tuple[str, int, int]]) -> None:
    measured = measure("\n".join(of(function, report(ms, mb)) for function, ms, mb in given_reports))
    for name in ("GatewayFunction", "MyAgentFunction"):
        mine = [(ms, mb) for function, ms, mb in given_reports if function == name]
        use = measured.usage.functions.get(name, FunctionUse())
        assert use.invocations == len(mine)
        assert use.gb_s == pytest.approx(sum(ms / 1000 * mb / 1024 for ms, mb in mine))
    assert measured.usage.edge_requests == sum(function == "GatewayFunction" for function, _, _ in given_reports)


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)))
def test_every_line_is_known_or_counted_by_what_it_is(lines: list[str]) -> None:
    measured = measure("\n".join(lines))
    assert measured.known + sum(measured.unknown.values()) == len(lines)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("REPORT RequestId: 1 Duration: 2 ms", "a line that is no JSON object"),
        ("[1, 2]", "a line that is no JSON object"),
        ('{"a": 1}', "a JSON object that is no log line of Lambda or of ours"),
        ('{"type": "platform.logsDropped", "record": {}}', "platform.logsDropped"),
        ('{"type": "platform.report", "record": {}}', "platform.report without metrics"),
        (
            json.dumps({"level": "INFO", "message": '{"event": "stream_ended", "bytes": "many"}'}),
            "stream_ended with other fields",
        ),
    ],
)
def test_an_unknown_line_is_named(line: str, name: str) -> None:
    for text in (line, of("GatewayFunction", line), f"2026-11-29T08:00 2026/11/29/gateway[7]ab {line}"):
        if text.startswith("2026") and "{" not in line:
            continue  # Without JSON there is nothing to tell a stream's name from.
        measured = measure(text)
        assert (measured.known, dict(measured.unknown)) == (0, {name: 1})


def test_the_forms_in_which_aws_gives_lines_are_the_same() -> None:
    line, stream = report(1500, 512), "2026/11/29/tailrace-GatewayFunction-1A2B3C4D5E6F[7][0123456789abcdef]"
    forms = [
        of("GatewayFunction", line),
        f"2026-11-29T08:00:00.000000+00:00 {stream} {line}",
        json.dumps({"events": [{"logStreamName": stream, "timestamp": 1, "message": line + "\n"}]}, indent=4),
    ]
    assert [measure(form).usage.functions for form in forms] == [
        {"GatewayFunction": FunctionUse(invocations=1, seconds=1.5, gb_s=0.75)}
    ] * 3


def test_a_restore_and_what_a_line_of_ours_says_are_on_the_bill() -> None:
    said = {"event": "stream_ended", "task": "t", "bytes": 5000, "readUnits": 7, "writeUnits": 3, "ms": 1}
    ours = json.dumps({"level": "INFO", "message": json.dumps(said)})
    measured = measure("\n".join([of("LogAnalystFunction", report(10, 2048, restoreDurationMs=300.5)), ours]))
    usage = measured.usage
    assert (usage.functions["LogAnalystFunction"].restored_gb, usage.edge_bytes) == (2, 5000)
    assert (usage.reads["measured"], usage.writes["measured"], measured.tasks) == (7, 3, {"t"})


def test_the_printed_total_is_the_sum_of_the_lines() -> None:
    usage = Usage(edge_requests=2_000_000, log_bytes=1_000_000_000)
    text = printed(bill(usage))
    assert text.splitlines()[-1].split() == ["total", "$2.700"]
    assert {len(line) for line in text.splitlines()} == {len(text.splitlines()[0])}


def cost(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.cost", *arguments], cwd=ROOT, input=stdin, capture_output=True, text=True
    )


def test_what_was_measured_on_an_emulator_only_is_said_where_it_counts() -> None:
    measured = "Measured on an emulator; `lines` measures on AWS."
    assert measured in cost("model").stdout
    named = cost("model", "--wake-s", "2").stdout
    assert "to sleep and wake takes 2 s (--wake-s)." in named
    assert measured not in named
    assert "takes a reader" not in cost("model", "--held").stdout


def test_the_sample_in_the_docs_is_priced_whole() -> None:
    out = cost("lines", str(SAMPLE)).stdout
    assert "as the 1 of these lines\nLambda, GatewayFunction" in out
    assert "0 are not." in out
    for function in ("OrchestratorFunction", "LogAnalystFunction", "MetricAnalystFunction", "SweeperFunction"):
        assert f"Lambda, {function}" in out


@pytest.mark.parametrize(
    ("arguments", "stdin", "what"),
    [
        (["lines", "no-such-file"], "", "no-such-file cannot be read"),
        (["lines", "-"], "hello", "no `platform.report`"),
        (["lines", "-"], report(1, 1), "--runs N"),
        (["model", "--gateway-mb", "0"], "", "--gateway-mb"),
        (["model", "--stream-s", "nan"], "", "--stream-s"),
    ],
)
def test_a_wrong_call_is_answered_in_words(arguments: list[str], stdin: str, what: str) -> None:
    done = cost(*arguments, stdin=stdin)
    assert done.returncode != 0
    assert what in done.stderr
    assert "Traceback" not in done.stderr


def test_the_docs_say_what_the_program_prints() -> None:
    operations, scale = ((ROOT / "docs" / name).read_text() for name in ("OPERATIONS.md", "SCALE.md"))
    month = fixed(3, 1, 1024)
    assert f"| **together** | **${total(month):.2f}** |" in operations
    sweeper = sum(line.dollars for line in month if line.name.startswith("sweeper"))
    for each in (sweeper, *(line.dollars for line in month if not line.name.startswith("sweeper"))):
        assert f" | ${each:.2f} |\n" in operations
    assert f"costs ${prices.API_REQUESTS.dollars:.2f} for a million requests to API Gateway" in operations
    held, sleeping = (sum(dollars_of(run).values()) for run in (HELD, SLEEPING))
    assert f"| **together** | **${held:.2f}** | **${sleeping:.2f}** |" in operations
    larger, twice = (msgspec.structs.replace(SLEEPING, **each) for each in ({"gateway_mb": 512}, {"logs": 2}))
    assert f"`--gateway-mb 512` makes ${sum(dollars_of(larger).values()):.2f}" in operations
    assert f"${sum(dollars_of(twice).values()):.2f}. `--held`" in operations
    assert f"| ${total(container(Container())):.2f} |" in scale
    assert f"| ${open_stream(512, 1):.2f}; ${open_stream(256, 1):.2f} |" in scale


def test_prices_have_a_date_and_each_is_on_the_list() -> None:
    out = cost("prices").stdout
    assert prices.DATE in out
    assert all(price.unit in out for price in prices.PRICES)
