"""The sample that the page offers: the committed recording, and a short one made anew."""

import csv
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "frontend" / "sample"
NAMES = ["access.log", "error.log", "app.log", "metrics.csv"]
COMMAND = [sys.executable, "-m", "local.record_sample"]
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_nginx = pytest.mark.skipif(
    NGINX is None or sys.platform != "linux",
    reason="needs Linux with nginx: on Debian or Ubuntu, `apt-get install nginx-light`",
)
Lines = list[tuple[datetime, str]]  # when, and the line (access log: its status)


def read(folder: Path, name: str) -> str:
    return gzip.decompress((folder / f"{name}.gz").read_bytes()).decode()


def sample_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "sample.json").read_text())
    return found


def statuses(folder: Path) -> Lines:
    form = re.compile(r'^127\.[\d.]+ - - \[([^]]+)\] "[A-Z]+ \S+ HTTP/1\.1" (\d{3}) \d+ "[^"]*" "[^"]*" rt=')
    found = [form.match(line) for line in read(folder, "access.log").splitlines()]
    return [(datetime.strptime(m[1], "%d/%b/%Y:%H:%M:%S %z"), m[2]) for m in found if m]


def metrics(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(read(folder, "metrics.csv"))))


def done(folder: Path) -> dict[str, datetime]:
    return {step["what"]: datetime.fromisoformat(step["time"]) for step in sample_of(folder)["recorded"]["done"]}


def check_recording(folder: Path) -> None:
    """Everything that must hold for any recording, however short."""
    sample = sample_of(folder)
    assert [file["filename"] for file in sample["files"]] == NAMES
    assert sum((folder / file["href"]).stat().st_size for file in sample["files"]) < 180_000
    assert sum(path.stat().st_size for path in folder.iterdir()) < 200_000
    named = {path.name for path in folder.iterdir()} - {"run.json"}  # the run on the page's first view
    assert named == {"sample.json", *(f"{name}.gz" for name in NAMES)}
    for file in sample["files"]:
        data = read(folder, file["filename"]).encode()
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert (folder / file["href"]).read_bytes()[4:8] == b"\0\0\0\0"  # no time inside: the same bytes each time
        # A folder of somebody's machine; a URL's path follows a space, a port or a quote, never a name like these.
        assert not re.search(r"/(tmp|home|root|usr|var|etc|opt|work|Users|proc|private)/", data.decode())

    access = statuses(folder)
    assert len(access) == len(read(folder, "access.log").splitlines())
    assert access == sorted(access, key=lambda line: line[0])
    lines = [json.loads(line) for line in read(folder, "app.log").splitlines()]
    assert {line["service"] for line in lines} == {"shop", "orders-db", "reprice"}
    assert all(line["level"] in {"info", "warning", "error"} and line["message"] for line in lines)

    rows = metrics(folder)
    assert 10 <= len(rows[0]) - 1 <= 16
    times = [datetime.fromisoformat(row["time"]) for row in rows]
    assert times == sorted(set(times))
    assert all(cell == "" or float(cell) >= 0 for row in rows for name, cell in row.items() if name != "time")
    step = 2 * (times[1] - times[0]) + timedelta(seconds=1)
    assert times[0] - step <= access[0][0] <= access[-1][0] <= times[-1] + step

    start, end = (datetime.fromisoformat(sample["alert"][name]) for name in ("start", "end"))
    assert access[0][0] < start < end <= access[-1][0]


def check_outage(folder: Path) -> None:
    """The shop was really killed and really came back: nginx, its error log and the metrics agree."""
    steps = done(folder)
    killed, restarted = steps["the shop is killed"], steps["the shop is started again"]
    second = timedelta(seconds=1)
    refused = [when for when, status in statuses(folder) if status == "502"]
    assert len(refused) >= 5
    assert killed - second <= min(refused)
    assert max(refused) <= restarted + 5 * second
    for line in read(folder, "error.log").splitlines():
        if "111: Connection refused" in line:
            when = datetime.strptime(line[:19], "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
            assert killed - second <= when <= restarted + 5 * second
            assert 'host: "shop.example"' in line
    rows = [(datetime.fromisoformat(row["time"]), row["upstream_rss_mb"] == "") for row in metrics(folder)]
    # A busy machine may take no sample while the shop is gone.
    assert all(is_gone for when, is_gone in rows if killed + second / 5 <= when <= restarted)
    assert all(killed <= when <= restarted + 5 * second for when, is_gone in rows if is_gone)
    assert any(float(row["nginx_5xx_per_second"]) > 1 for row in metrics(folder))
    assert any(line for line in read(folder, "app.log").splitlines() if '"reprice stopped by SIGTERM' in line)
    assert read(folder, "app.log").count('"shop started') == 2


def test_the_sample_is_whole() -> None:
    check_recording(SAMPLE)


def test_the_outage_is_in_the_sample() -> None:
    check_outage(SAMPLE)


def test_the_sample_is_calm_before_the_outage_and_after_it() -> None:
    steps = done(SAMPLE)
    job, stopped = steps["the price job starts"], steps["the price job is stopped"]
    access = statuses(SAMPLE)
    began, ended = access[0][0], access[-1][0]
    assert timedelta(minutes=6) <= ended - began <= timedelta(minutes=8)
    assert job - began > (ended - began) * 0.6
    failed = [when for when, status in access if status >= "500"]
    assert min(failed) >= job - timedelta(seconds=1)
    assert max(failed) <= stopped + timedelta(seconds=10)
    assert ended - max(failed) > timedelta(seconds=30)


def test_the_sample_has_the_chain_from_the_job_to_the_refused_connection() -> None:
    """The job starts, queries are slow, the pool is exhausted, requests time out, the shop is gone."""
    app = [json.loads(line) for line in read(SAMPLE, "app.log").splitlines()]
    errors = read(SAMPLE, "error.log")

    def first(text: str) -> datetime:
        return min(datetime.fromisoformat(line["time"]) for line in app if text in line["message"])

    job, stuck, locked = first("reprice started"), first("connection pool exhausted"), first("database is locked")
    assert job < stuck < done(SAMPLE)["the shop is killed"]
    assert job < locked
    for text in ("110: Connection timed out", "prematurely closed", "111: Connection refused"):
        assert text in errors
    counts = Counter(status for _, status in statuses(SAMPLE))
    assert min(counts["502"], counts["503"], counts["504"]) >= 10


def test_the_alert_follows_from_its_rule() -> None:
    alert = sample_of(SAMPLE)["alert"]
    assert "more than 5% of at least 10 requests answered with 5xx over 30 s" in alert["rule"]
    access = statuses(SAMPLE)
    of_second = defaultdict[datetime, list[str]](list)
    for when, status in access:
        of_second[when].append(status)

    def held(last: datetime) -> bool:
        window = [status for n in range(30) for status in of_second[last - timedelta(seconds=n)]]
        return len(window) >= 10 and sum(status >= "500" for status in window) / len(window) > 0.05

    seconds = [access[0][0] + timedelta(seconds=n) for n in range((access[-1][0] - access[0][0]).seconds + 1)]
    firing = [second for second in seconds if held(second)]
    assert datetime.fromisoformat(alert["start"]) == firing[0] + timedelta(seconds=1)
    assert datetime.fromisoformat(alert["end"]) == firing[-1] + timedelta(seconds=2)
    assert f"{datetime.fromisoformat(alert['start']):%H:%M} UTC" in sample_of(SAMPLE)["text"]


@pytest.mark.slow
@needs_nginx
def test_the_sample_can_be_recorded_anew(tmp_path: Path) -> None:
    out = tmp_path / "sample"
    command = [*COMMAND, "--minutes", "0.3", "--interval", "0.5", "--out", str(out)]
    made = subprocess.run(command, cwd=ROOT, env=elsewhere(tmp_path), capture_output=True, text=True, timeout=90)
    assert (made.returncode, made.stderr) == (0, "")
    check_recording(out)
    check_outage(out)
    assert not processes_of(tmp_path)


@needs_nginx
@pytest.mark.slow
@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupted_recording_leaves_nothing_behind(tmp_path: Path, sign: int, status: int) -> None:
    recorder = start(tmp_path)
    assert len(processes_of(tmp_path)) >= 3
    recorder.send_signal(sign)
    _, said = recorder.communicate(timeout=120)
    assert recorder.returncode == status
    assert not (tmp_path / "sample").exists()
    if sign != signal.SIGKILL:
        assert "nothing was written." in said
        assert "Traceback" not in said
        assert list((tmp_path / "work").iterdir()) == []
    elif shutil.which("setpriv"):
        wait_until_gone(tmp_path)
    assert sign == signal.SIGKILL or not processes_of(tmp_path)


@pytest.mark.slow
@needs_nginx
def test_a_service_that_dies_is_named_in_a_sentence(tmp_path: Path) -> None:
    recorder = start(tmp_path)
    [database] = [pid for pid, line in processes_of(tmp_path).items() if "recording.database" in line]
    os.kill(database, signal.SIGKILL)
    _, said = recorder.communicate(timeout=120)
    assert (recorder.returncode, said) == (1, "record_sample: database ended by itself with status -9.\n")
    assert not (tmp_path / "sample").exists()
    assert not processes_of(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--nginx", "/nowhere/nginx"], 1, "on Debian or Ubuntu, install it with `apt-get install nginx-light`"),
        (["--nginx", sys.executable], 1, "is not an nginx with stub_status: Debian's `nginx-light` has it"),
        (["--out", __file__], 1, "test_sample.py is not a folder that can be written to"),
        (["--minutes", "0"], 2, "0 is not between 0.25 and 30 minutes"),
        (["--minutes", "soon"], 2, "soon"),
        (["--rate", "1000"], 2, "1000 is not between 1 and 60 requests/s"),
    ],
)
def test_a_recording_that_cannot_be_made_is_refused_in_a_sentence(
    tmp_path: Path, arguments: list[str], status: int, text: str
) -> None:
    command = [*COMMAND, "--out", str(tmp_path / "sample"), *arguments]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert refused.returncode == status
    assert text in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "sample").exists()


def test_recording_says_that_it_needs_linux(tmp_path: Path) -> None:
    code = (
        "import platform, sys\n"
        "from local.record_sample import main\n"
        "platform.system = lambda: 'Darwin'\n"
        f"sys.exit(main(['--out', {str(tmp_path / 'sample')!r}]))\n"
    )
    refused = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (refused.returncode, refused.stderr) == (
        1, "record_sample: recording needs Linux: the metrics are read from /proc.\n"
    )  # fmt: skip


def elsewhere(tmp_path: Path) -> dict[str, str]:
    """The environment for a recorder whose temporary folder is inside `tmp_path`."""
    (tmp_path / "work").mkdir()
    return {**os.environ, "TMPDIR": str(tmp_path / "work")}


def start(tmp_path: Path) -> subprocess.Popen[str]:
    """A recorder that has begun to record."""
    recorder = subprocess.Popen(
        [*COMMAND, "--minutes", "1", "--out", str(tmp_path / "sample")],
        cwd=ROOT, env=elsewhere(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert recorder.stdout is not None
    assert "the recording starts" in recorder.stdout.readline()
    return recorder


def processes_of(folder: Path) -> dict[int, str]:
    """The recorder's processes whose temporary folder is in `folder`, without itself: pid to command line."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            inherited = (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line + inherited and ("local.recording" in line or "nginx" in line):
            found[int(entry.name)] = line
    return found


def wait_until_gone(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while processes_of(folder):
        assert time.monotonic() < deadline, processes_of(folder)
        time.sleep(0.1)
