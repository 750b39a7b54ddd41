"""Every setting: its environment variable, default, unit and bounds, in one table.

`tests/unit/test_config.py` compares the table in docs/SETTINGS.md with this one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from tailrace.errors import ConfigError

_SECRET_LENGTH = 16
_ORIGIN = re.compile(r"https?://([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", re.ASCII)
_URL = re.compile(r"https?://[^\s/]\S*")
# A bearer token (RFC 6750, section 2.1).
_BEARER = re.compile(rf"[A-Za-z0-9._~+/-]{{{_SECRET_LENGTH},}}=*")


class Price(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a model's tokens cost, in dollars per million."""

    input: float
    output: float

    def __post_init__(self) -> None:
        for name, dollars in (("input", self.input), ("output", self.output)):
            if not 0 <= dollars < float("inf"):
                raise ValueError(f"Expected `{name}` in dollars per million tokens, at least 0, got {dollars}")


_read_prices = msgspec.json.Decoder(dict[str, Price]).decode


def _setting(
    variable: str, default: Any, unit: str, meaning: str, low: Any = None, high: Any = None, *, secret: bool = False
) -> Any:
    """A field of `Settings`, with its environment variable, and the bounds `low` and `high` of a number."""
    return field(
        default=default,
        repr=not secret,
        metadata={"variable": variable, "unit": unit, "meaning": meaning, "low": low, "high": high},
    )


def _secret(variable: str, meaning: str) -> Any:
    """A setting whose value never appears in a repr or an error."""
    return _setting(variable, "", f"{_SECRET_LENGTH} characters or more", meaning, secret=True)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a process. `Settings.load()` reads them from the environment.

    Raises:
        ConfigError: a value cannot be used. The message names its environment variable.
    """

    log: str = _setting("TAILRACE_LOG", "sqlite", "sqlite, dynamodb or memory", "where the log is kept")
    data_dir: str = _setting("TAILRACE_DATA_DIR", ".tailrace", "folder", "where `make run` keeps its log and uploads")
    table: str = _setting("TAILRACE_TABLE", "tailrace", "name", "the DynamoDB table of the log")
    checkpoint_table: str = _setting(
        "TAILRACE_CHECKPOINT_TABLE",
        "tailrace-checkpoints",
        "name",
        "the DynamoDB table of the graphs' checkpoints and memory",
    )
    ttl_days: float = _setting("TAILRACE_TTL_DAYS", 7.0, "days", "how long a task can be replayed", 0.001, 3650)
    port: int = _setting("TAILRACE_PORT", 8080, "port", "where `make run` serves the page and the API", 0, 65535)
    emit_interval_ms: int = _setting(
        "TAILRACE_EMIT_INTERVAL_MS",
        25,
        "ms",
        "how long an event may wait for others before it is written",
        10,
        100,
    )
    tail_fast_ms: int = _setting(
        "TAILRACE_TAIL_FAST_MS", 50, "ms", "how often the log is read while events come", 5, 10_000
    )
    tail_slow_ms: int = _setting(
        "TAILRACE_TAIL_SLOW_MS", 1000, "ms", "how often the log is read while none come", 5, 60_000
    )
    lease_s: float = _setting("TAILRACE_LEASE_S", 10.0, "s", "how long a lease holds", 0.2, 900)
    renew_s: float = _setting("TAILRACE_RENEW_S", 2.0, "s", "how often a lease is renewed", 0.05, 300)
    stall_s: float = _setting(
        "TAILRACE_STALL_S",
        300.0,
        "s",
        "how long a process keeps its leases while its event loop stands still; 0 is as long as a lease holds",
        0,
        3600,
    )
    handoff_s: float = _setting(
        "TAILRACE_HANDOFF_S", 30.0, "s", "how long before its deadline an attempt hands the run on", 0.05, 600
    )
    attempt_s: float = _setting(
        "TAILRACE_ATTEMPT_S",
        0.0,
        "s",
        "how long an attempt may run; 0 is as long as its process, on Lambda as long as its function",
        0,
        86_400,
    )
    analysis_s: float = _setting(
        "TAILRACE_ANALYSIS_S",
        120.0,
        "s",
        "CPU time that an analyst may use for a task; then it reports what it has read so far, and says so",
        0.1,
        3600,
    )
    dispatch: str = _setting(
        "TAILRACE_DISPATCH",
        "",
        "agent=place, comma-separated",
        "where an agent is asked to continue a task: a URL, or the name of a Lambda function",
    )
    sweep_s: float = _setting(
        "TAILRACE_SWEEP_S", 15.0, "s", "how often `make run` looks for orphaned tasks", 0.05, 3600
    )
    sweep_tasks: int = _setting(
        "TAILRACE_SWEEP_TASKS", 50, "tasks", "how many tasks one sweep dispatches at most", 1, 1000
    )
    pipe_events: int = _setting(
        "TAILRACE_PIPE_EVENTS",
        256,
        "events",
        "how far behind a slow viewer may be before it reads the log",
        1,
        100_000,
    )
    heartbeat_s: float = _setting(
        "TAILRACE_HEARTBEAT_S", 15.0, "s", "how often a silent stream gets a comment frame", 0.05, 300
    )
    rotate_s: float = _setting(
        "TAILRACE_ROTATE_S",
        840.0,
        "s",
        "a stream older than this is closed, and its reader comes back",
        0.1,
        86_400,
    )
    retry_ms: int = _setting(
        "TAILRACE_RETRY_MS", 2000, "ms", "how long a browser waits before it comes back", 0, 60_000
    )
    window_s: float = _setting(
        "TAILRACE_WINDOW_S",
        0.0,
        "s",
        "how long a stream is open for new events before it is closed; 0 keeps it open",
        0,
        300,
    )
    padding_bytes: int = _setting(
        "TAILRACE_PADDING_BYTES",
        0,
        "bytes",
        "size of the comment that begins a stream, against proxies that hold it back",
        0,
        100_000,
    )
    flush_ms: int = _setting(
        "TAILRACE_FLUSH_MS",
        0,
        "ms",
        "a comment follows a frame if nothing else follows it within this time; 0 is never",
        0,
        5000,
    )
    max_streams: int = _setting(
        "TAILRACE_MAX_STREAMS",
        1000,
        "streams",
        "how many streams a gateway's or an agent's process has open at most",
        1,
        100_000,
    )
    max_request_bytes: int = _setting(
        "TAILRACE_MAX_REQUEST_BYTES", 1_048_576, "bytes", "the largest request body", 1024, 6_000_000
    )
    bucket: str = _setting(
        "TAILRACE_BUCKET",
        "",
        "name",
        "the S3 bucket of uploads and large checkpoints; without one uploads go to a folder",
    )
    max_upload_bytes: int = _setting(
        "TAILRACE_MAX_UPLOAD_BYTES", 26_214_400, "bytes", "the largest file to upload, packed or not", 1, 1_073_741_824
    )
    push_internal: int = _setting(
        "TAILRACE_PUSH_INTERNAL",
        0,
        "0 or 1",
        "whether push notifications may go to addresses of this machine and its networks, and over plain HTTP",
        0,
        1,
    )
    access_secret: str = _secret(
        "TAILRACE_ACCESS_SECRET",
        "the secret that a request needs if the gateway is not on loopback; without one all are refused",
    )
    run_secret: str = _secret(
        "TAILRACE_RUN_SECRET",
        "the secret that a request to an agent needs (`Authorization: Bearer …`); `make run` makes one. Without one, "
        "agents have to be protected by other means",
    )
    hosts: str = _setting(
        "TAILRACE_HOSTS",
        "",
        "names, comma-separated",
        "names by which agents may be called: on loopback besides its own names, elsewhere only these, or any if empty",
    )
    model: str = _setting(
        "TAILRACE_MODEL", "", "provider:model", "the chat model that plans and reports; empty means none"
    )
    model_prices: str = _setting(
        "TAILRACE_MODEL_PRICES",
        "",
        "JSON",
        "what tokens of models cost, so that the page shows the cost of a task; see below",
    )
    orchestrator: str = _setting(
        "TAILRACE_ORCHESTRATOR",
        "orchestrator",
        "name",
        "the agent that gets the gateway's tasks, by the name in its card",
    )
    orchestrator_url: str = _setting(
        "TAILRACE_ORCHESTRATOR_URL", "http://127.0.0.1:8081/", "URL", "the URL of that agent"
    )
    specialist_urls: str = _setting(
        "TAILRACE_SPECIALIST_URLS", "", "URLs, comma-separated", "the A2A agents that the orchestrator may ask"
    )
    agent_urls: str = _setting(
        "TAILRACE_AGENT_URLS",
        "",
        "URLs, comma-separated",
        "this bundle's own agents besides the orchestrator; only they learn for whom we ask",
    )
    peer_origins: str = _setting(
        "TAILRACE_PEER_ORIGINS",
        "",
        "origins, comma-separated",
        "where other agents' cards may lead besides their own origin; internal addresses are allowed here",
    )
    specialist_s: float = _setting(
        "TAILRACE_SPECIALIST_S", 3600.0, "s", "how long a specialist may work before it is given up", 1, 604_800
    )

    @property
    def specialists(self) -> list[str]:
        """The URLs in `specialist_urls`."""
        return _split(self.specialist_urls)

    @property
    def agents(self) -> list[str]:
        """The URLs in `agent_urls`."""
        return _split(self.agent_urls)

    @property
    def all_agents(self) -> list[str]:
        """The URLs of all agents that an agent may ask by name, each once: the specialists and the bundle's own."""
        return list(dict.fromkeys([*self.specialists, *self.agents]))

    @property
    def own_hosts(self) -> frozenset[str]:
        """The names in `hosts`, in lower case."""
        return frozenset(host.lower() for host in _split(self.hosts))

    @property
    def peers(self) -> list[str]:
        """The origins in `peer_origins`."""
        return _split(self.peer_origins)

    @property
    def prices(self) -> dict[str, Price]:
        """The prices in `model_prices`, by model.

        Raises:
            ConfigError: they are no prices.
        """
        if not self.model_prices:
            return {}
        try:
            return _read_prices(self.model_prices)
        except msgspec.DecodeError as error:  # A `ValidationError` is one.
            right = '{"MODEL": {"input": DOLLARS, "output": DOLLARS}}, in dollars per million tokens'
            raise ConfigError("TAILRACE_MODEL_PRICES", self.model_prices, f"{right} ({error})") from None

    @property
    def dispatch_places(self) -> dict[str, str]:
        """The places in `dispatch`, by agent.

        Raises:
            ConfigError: one of them is not `agent=place`.
        """
        places: dict[str, str] = {}
        for pair in _split(self.dispatch):
            agent, equals, place = pair.partition("=")
            if not (agent and equals and place):
                raise ConfigError("TAILRACE_DISPATCH", pair, "agent=place")
            places[agent.strip()] = place.strip()
        return places

    def __post_init__(self) -> None:
        for each in fields(self):
            value, low, high = getattr(self, each.name), each.metadata["low"], each.metadata["high"]
            if low is not None and not low <= value <= high:
                raise ConfigError(
                    each.metadata["variable"], value, f"between {low} and {high} ({each.metadata['unit']})"
                )
        if self.log not in ("sqlite", "dynamodb", "memory"):
            raise ConfigError("TAILRACE_LOG", self.log, "sqlite, dynamodb or memory")
        if 0 < len(self.access_secret) < _SECRET_LENGTH:
            raise ConfigError("TAILRACE_ACCESS_SECRET", "(hidden)", f"{_SECRET_LENGTH} characters or more")
        if self.run_secret and not _BEARER.fullmatch(self.run_secret):
            right = f"{_SECRET_LENGTH} or more ASCII letters, digits or - . _ ~ + /"
            raise ConfigError("TAILRACE_RUN_SECRET", "(hidden)", right)
        if 0 < self.attempt_s <= self.handoff_s:
            raise ConfigError(
                "TAILRACE_ATTEMPT_S", self.attempt_s, f"0, or more than TAILRACE_HANDOFF_S ({self.handoff_s})"
            )
        self.dispatch_places, self.prices  # noqa: B018 - Raises at the start, not when it is needed first.
        for variable, urls in (
            ("TAILRACE_ORCHESTRATOR_URL", _split(self.orchestrator_url)),
            ("TAILRACE_SPECIALIST_URLS", self.specialists),
            ("TAILRACE_AGENT_URLS", self.agents),
        ):
            for url in urls:
                if not _URL.fullmatch(url):
                    raise ConfigError(variable, url, "a URL, like https://agent.example/a2a")
        for origin in self.peers:
            if not _ORIGIN.fullmatch(origin):
                raise ConfigError("TAILRACE_PEER_ORIGINS", origin, "an origin, like https://agent.example:8443")
        if self.renew_s > self.lease_s / 2:
            raise ConfigError("TAILRACE_RENEW_S", self.renew_s, f"at most half of TAILRACE_LEASE_S ({self.lease_s})")

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `environ`, by default the process's own. An empty variable counts as not set.

        Raises:
            ConfigError: a value is not a number, or out of its bounds. The message names its variable.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for each in fields(cls):
            variable = each.metadata["variable"]
            text = environ.get(variable, "")
            if text == "":
                continue
            kind: type[str] | type[int] | type[float] = type(each.default)  # type: ignore[assignment]
            try:
                values[each.name] = kind(text)
            except ValueError:
                right = "a whole number" if kind is int else "a number"
                raise ConfigError(variable, text, f"{right} ({each.metadata['unit']})") from None
        return cls(**values)


def _split(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def settings_table() -> list[tuple[str, str, str, str]]:
    """The settings as rows of variable, default, unit and meaning, in the order of `Settings`."""
    return [
        (f.metadata["variable"], str(f.default), f.metadata["unit"], f.metadata["meaning"]) for f in fields(Settings)
    ]
