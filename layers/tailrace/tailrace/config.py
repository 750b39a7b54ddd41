"""Every setting: its environment variable, default, unit and bounds, in one table.

`tests/unit/test_config.py` compares the table in docs/SETTINGS.md with this one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from tailrace.access_settings import AccessSettings
from tailrace.errors import ConfigError
from tailrace.places import URL, places_in, without_user
from tailrace.prices import Price, prices_in
from tailrace.setting import SECRET_LENGTH, secret, setting, split

# A silence is looked for four times in its length: a shorter one would keep a processor busy.
_SHORTEST_SILENCE_S = 0.01
_ORIGIN = re.compile(r"https?://([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", re.ASCII)
_PATH = re.compile(r"(/[\w.-]+)+", re.ASCII)
# A bearer token (RFC 6750, section 2.1).
_BEARER = re.compile(rf"[A-Za-z0-9._~+/-]{{{SECRET_LENGTH},}}=*")


@dataclass(frozen=True, kw_only=True)
class Settings(AccessSettings):
    """All settings of a process. `Settings.load()` reads them from the environment.

    Raises:
        ConfigError: a value cannot be used. The message names its environment variable.
    """

    log: str = setting("TAILRACE_LOG", "sqlite", "sqlite, dynamodb or memory", "where the log is kept")
    data_dir: str = setting("TAILRACE_DATA_DIR", ".tailrace", "folder", "where `make run` keeps its log and uploads")
    table: str = setting("TAILRACE_TABLE", "tailrace", "name", "the DynamoDB table of the log")
    checkpoint_table: str = setting(
        "TAILRACE_CHECKPOINT_TABLE",
        "tailrace-checkpoints",
        "name",
        "the DynamoDB table of the graphs' checkpoints and memory",
    )
    ttl_days: float = setting("TAILRACE_TTL_DAYS", 7.0, "days", "how long a task can be replayed", 0.001, 3650)
    port: int = setting("TAILRACE_PORT", 8080, "port", "where `make run` serves the page and the API", 0, 65535)
    emit_interval_ms: int = setting(
        "TAILRACE_EMIT_INTERVAL_MS",
        25,
        "ms",
        "how long an event may wait for others before it is written",
        10,
        100,
    )
    tail_fast_ms: int = setting(
        "TAILRACE_TAIL_FAST_MS", 50, "ms", "how often the log is read while events come", 5, 10_000
    )
    tail_slow_ms: int = setting(
        "TAILRACE_TAIL_SLOW_MS", 1000, "ms", "how often the log is read while none come", 5, 60_000
    )
    lease_s: float = setting("TAILRACE_LEASE_S", 10.0, "s", "how long a lease holds", 0.2, 900)
    renew_s: float = setting("TAILRACE_RENEW_S", 2.0, "s", "how often a lease is renewed", 0.05, 300)
    stall_s: float = setting(
        "TAILRACE_STALL_S",
        300.0,
        "s",
        "how long a process keeps its leases while its event loop stands still, and a task while its start hangs; "
        "0 is as long as a lease holds",
        0,
        3600,
    )
    handoff_s: float = setting(
        "TAILRACE_HANDOFF_S", 30.0, "s", "how long before its deadline an attempt hands the run on", 0.05, 600
    )
    attempt_s: float = setting(
        "TAILRACE_ATTEMPT_S",
        0.0,
        "s",
        "how long an attempt may run; 0 is as long as its process, on Lambda as long as its function",
        0,
        86_400,
    )
    sleep_after_s: float = setting(
        "TAILRACE_SLEEP_AFTER_S",
        0.0,
        "s",
        "a run that only waits for agents of this bundle gives its process back when they are silent for so long; "
        "0 is never",
        0,
        3600,
    )
    analysis_s: float = setting(
        "TAILRACE_ANALYSIS_S",
        120.0,
        "s",
        "CPU time that an analyst may use for a task; then it reports what it has read so far, and says so",
        0.1,
        3600,
    )
    dispatch: str = setting(
        "TAILRACE_DISPATCH",
        "",
        "agent=place, comma-separated",
        "where an agent is asked to begin or continue a task: a URL, or the name of a Lambda function",
    )
    sweep_s: float = setting("TAILRACE_SWEEP_S", 15.0, "s", "how often `make run` looks for orphaned tasks", 0.05, 3600)
    sweep_tasks: int = setting(
        "TAILRACE_SWEEP_TASKS", 50, "tasks", "how many tasks one sweep dispatches at most", 1, 1000
    )
    pipe_events: int = setting(
        "TAILRACE_PIPE_EVENTS",
        256,
        "events",
        "how far behind a slow viewer may be before it reads the log",
        1,
        100_000,
    )
    heartbeat_s: float = setting(
        "TAILRACE_HEARTBEAT_S", 15.0, "s", "how often a silent stream shows that it is alive", 0.05, 300
    )
    rotate_s: float = setting(
        "TAILRACE_ROTATE_S",
        840.0,
        "s",
        "a stream older than this is closed, and its reader comes back",
        0.1,
        86_400,
    )
    retry_ms: int = setting("TAILRACE_RETRY_MS", 2000, "ms", "how long a browser waits before it comes back", 0, 60_000)
    window_s: float = setting(
        "TAILRACE_WINDOW_S",
        0.0,
        "s",
        "how long a stream is open for new events before it is closed; 0 keeps it open",
        0,
        300,
    )
    quiet_s: float = setting(
        "TAILRACE_QUIET_S",
        0.0,
        "s",
        "a browser's stream is closed for a pause when no event has come for this long; 0 keeps it open",
        0,
        300,
    )
    pause_min_ms: int = setting(
        "TAILRACE_PAUSE_MIN_MS", 1000, "ms", "the shortest such pause, after which the browser looks again", 50, 60_000
    )
    pause_max_ms: int = setting(
        "TAILRACE_PAUSE_MAX_MS", 10_000, "ms", "the longest such pause: no event is later than this", 50, 300_000
    )
    padding_bytes: int = setting(
        "TAILRACE_PADDING_BYTES",
        0,
        "bytes",
        "size of the comment that begins a stream, against proxies that hold it back",
        0,
        100_000,
    )
    flush_ms: int = setting(
        "TAILRACE_FLUSH_MS",
        0,
        "ms",
        "a comment follows a frame if nothing else follows it within this time; 0 is never",
        0,
        5000,
    )
    max_streams: int = setting(
        "TAILRACE_MAX_STREAMS",
        1000,
        "streams",
        "how many streams a gateway's or an agent's process has open at most",
        1,
        100_000,
    )
    max_request_bytes: int = setting(
        "TAILRACE_MAX_REQUEST_BYTES", 1_048_576, "bytes", "the largest request body", 1024, 6_000_000
    )
    bucket: str = setting(
        "TAILRACE_BUCKET",
        "",
        "name",
        "the S3 bucket of uploads and large checkpoints; without one uploads go to a folder",
    )
    max_upload_bytes: int = setting(
        "TAILRACE_MAX_UPLOAD_BYTES", 26_214_400, "bytes", "the largest file to upload, packed or not", 1, 1_073_741_824
    )
    push_internal: int = setting(
        "TAILRACE_PUSH_INTERNAL",
        0,
        "0 or 1",
        "whether push notifications may go to addresses of this machine and its networks, and over plain HTTP",
        0,
        1,
    )
    run_secret: str = secret(
        "TAILRACE_RUN_SECRET",
        "the secret that a request to an agent needs (`Authorization: Bearer …`); `make run` makes one. Without one, "
        "agents have to be protected by other means",
    )
    hosts: str = setting(
        "TAILRACE_HOSTS",
        "",
        "names, comma-separated",
        "names by which agents may be called: on loopback besides its own names, elsewhere only these, or any if empty",
    )
    model: str = setting(
        "TAILRACE_MODEL", "", "provider:model", "the chat model that plans and reports; empty means none"
    )
    model_key: str = setting(
        "TAILRACE_MODEL_KEY",
        "",
        "name",
        "the secret in AWS Secrets Manager that holds the model's key; empty means the provider's own variable",
    )
    model_prices: str = setting(
        "TAILRACE_MODEL_PRICES",
        "",
        "JSON",
        "what tokens of models cost, so that the page shows the cost of a task; see below",
    )
    registry: str = setting(
        "TAILRACE_REGISTRY",
        "",
        "path",
        "the path of SSM parameters where our own agents are registered on AWS; the settings below come first",
    )
    registered_as: str = setting(
        "TAILRACE_REGISTERED_AS",
        "",
        "name",
        "the name under which this agent is there, without what is no letter or digit",
    )
    orchestrator: str = setting(
        "TAILRACE_ORCHESTRATOR",
        "orchestrator",
        "name",
        "the agent that gets the gateway's tasks, by the name in its card",
    )
    orchestrator_url: str = setting(
        "TAILRACE_ORCHESTRATOR_URL", "http://127.0.0.1:8081/", "URL", "the URL of that agent"
    )
    specialist_urls: str = setting(
        "TAILRACE_SPECIALIST_URLS", "", "URLs, comma-separated", "the A2A agents that the orchestrator may ask"
    )
    agent_urls: str = setting(
        "TAILRACE_AGENT_URLS",
        "",
        "URLs, comma-separated",
        "this bundle's own agents besides the orchestrator; only they learn for whom we ask",
    )
    peer_origins: str = setting(
        "TAILRACE_PEER_ORIGINS",
        "",
        "origins, comma-separated",
        "where other agents' cards may lead besides their own origin; internal addresses are allowed here",
    )
    specialist_s: float = setting(
        "TAILRACE_SPECIALIST_S", 3600.0, "s", "how long a specialist may work before it is given up", 1, 604_800
    )

    @property
    def specialists(self) -> list[str]:
        """The URLs in `specialist_urls`."""
        return split(self.specialist_urls)

    @property
    def agents(self) -> list[str]:
        """The URLs in `agent_urls`."""
        return split(self.agent_urls)

    @property
    def has_orchestrator_url(self) -> bool:
        """Whether `orchestrator_url` is set."""
        return self.orchestrator_url != type(self).orchestrator_url

    @property
    def own_hosts(self) -> frozenset[str]:
        """The names in `hosts`, in lower case."""
        return frozenset(host.lower() for host in split(self.hosts))

    @property
    def peers(self) -> list[str]:
        """The origins in `peer_origins`."""
        return split(self.peer_origins)

    @property
    def prices(self) -> dict[str, Price]:
        """The prices in `model_prices`, by model.

        Raises:
            ConfigError: they are no prices.
        """
        return prices_in(self.model_prices)

    @cached_property
    def dispatch_places(self) -> dict[str, str]:
        """The places in `dispatch`, by agent.

        Raises:
            ConfigError: one of them is not `agent=place`.
        """
        return places_in(self.dispatch)

    def __post_init__(self) -> None:
        for each in fields(self):
            value, low, high = getattr(self, each.name), each.metadata["low"], each.metadata["high"]
            if low is not None and not low <= value <= high:
                raise ConfigError(
                    each.metadata["variable"], value, f"between {low} and {high} ({each.metadata['unit']})"
                )
        if self.log not in ("sqlite", "dynamodb", "memory"):
            raise ConfigError("TAILRACE_LOG", self.log, "sqlite, dynamodb or memory")
        self.check_access()
        if self.run_secret and not _BEARER.fullmatch(self.run_secret):
            right = f"{SECRET_LENGTH} or more ASCII letters, digits or - . _ ~ + /"
            raise ConfigError("TAILRACE_RUN_SECRET", "(hidden)", right)
        if 0 < self.attempt_s <= self.handoff_s:
            right = f"0, or more than TAILRACE_HANDOFF_S ({self.handoff_s})"
            raise ConfigError("TAILRACE_ATTEMPT_S", self.attempt_s, right)
        for variable, silence_s in (("TAILRACE_SLEEP_AFTER_S", self.sleep_after_s), ("TAILRACE_QUIET_S", self.quiet_s)):
            if 0 < silence_s < _SHORTEST_SILENCE_S:
                raise ConfigError(variable, silence_s, f"0, or at least {_SHORTEST_SILENCE_S} (s)")
        self.dispatch_places, self.prices  # noqa: B018 - Raises at the start, not when it is needed first.
        for variable, urls in (
            ("TAILRACE_ORCHESTRATOR_URL", split(self.orchestrator_url)),
            ("TAILRACE_SPECIALIST_URLS", self.specialists),
            ("TAILRACE_AGENT_URLS", self.agents),
        ):
            for url in urls:
                if not URL.fullmatch(url):
                    right = "a URL without a user, like https://agent.example/a2a"
                    raise ConfigError(variable, without_user(url), right)
        if self.registry and not _PATH.fullmatch(self.registry):
            right = "the path of SSM parameters, like /tailrace/STACK/agents"
            raise ConfigError("TAILRACE_REGISTRY", self.registry, right)
        for origin in self.peers:
            if not _ORIGIN.fullmatch(origin):
                raise ConfigError("TAILRACE_PEER_ORIGINS", origin, "an origin, like https://agent.example:8443")
        if self.pause_max_ms < self.pause_min_ms:
            right = f"at least TAILRACE_PAUSE_MIN_MS ({self.pause_min_ms})"
            raise ConfigError("TAILRACE_PAUSE_MAX_MS", self.pause_max_ms, right)
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


def settings_table() -> list[tuple[str, str, str, str]]:
    """The settings as rows of variable, default, unit and meaning; those of `AccessSettings` come last."""
    inherited = {each.name for each in fields(AccessSettings)}
    return [
        (f.metadata["variable"], str(f.default), f.metadata["unit"], f.metadata["meaning"])
        for f in sorted(fields(Settings), key=lambda each: each.name in inherited)
    ]
