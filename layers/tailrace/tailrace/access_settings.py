"""The settings that say who may come in: people by OpenID Connect, machines by tokens."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from tailrace.errors import ConfigError
from tailrace.setting import SECRET_LENGTH, secret, setting, split

# Browsers leave a scheme's own port out.
_ORIGIN = re.compile(r"(?!https:.*:443\Z|http:.*:80\Z)https?://[a-z0-9.\[\]:-]+")
_SHA256 = re.compile(r"([0-9a-f]{64})?")
# Where the client's secret is: its kind and its name there.
_REFERENCE = re.compile(r"(?P<kind>secretsmanager|ssm|file|env):(?P<name>\S+)")


@dataclass(frozen=True, kw_only=True)
class AccessSettings:
    """A part of `Settings`, which documents them."""

    access_secret: str = secret(
        "TAILRACE_ACCESS_SECRET",
        "a secret that lets everybody in who knows it, all as one owner; for one more release",
    )
    access_secret_sha256: str = setting(
        "TAILRACE_ACCESS_SECRET_SHA256",
        "",
        "hex",
        "the SHA-256 of that secret, in its place: who sees the settings of a function then does not see the secret",
        hidden=True,
    )
    access_table: str = setting(
        "TAILRACE_ACCESS_TABLE", "tailrace-access", "name", "the DynamoDB table of sessions and tokens"
    )
    oidc_issuer: str = setting(
        "TAILRACE_OIDC_ISSUER", "", "URL", "the OpenID Connect issuer where people sign in; empty is no sign-in"
    )
    oidc_client_id: str = setting("TAILRACE_OIDC_CLIENT_ID", "", "id", "the gateway's client id at the issuer")
    oidc_client_secret: str = setting(
        "TAILRACE_OIDC_CLIENT_SECRET",
        "",
        "kind:name",
        "where the client's secret is: `secretsmanager:NAME`, `ssm:NAME`, `file:PATH` or `env:VARIABLE`; empty is a "
        "client without one",
    )
    oidc_claims: str = setting(
        "TAILRACE_OIDC_CLAIMS",
        "",
        "claim=value, comma-separated",
        "who may sign in: each claim that is named must have one of its values; `email=@example.com` is a domain. "
        "Empty is everybody whom the issuer knows",
    )
    oidc_audience: str = setting(
        "TAILRACE_OIDC_AUDIENCE",
        "",
        "audience",
        "the `aud` of tokens (JWT) that the issuer signs for this gateway, and that programs may send; empty is none",
    )
    auth: str = setting(
        "TAILRACE_AUTH",
        "",
        "file:name",
        "an author's own way to know callers: a `langgraph_sdk.Auth` in a file, like auth.py:auth; empty is none",
    )
    public_agents: str = setting(
        "TAILRACE_PUBLIC_AGENTS",
        "",
        "names, comma-separated",
        "the agents that other people's A2A clients may ask at the gateway besides the default one, by the names in "
        "their cards",
    )
    cors_origins: str = setting(
        "TAILRACE_CORS_ORIGINS",
        "",
        "origins, comma-separated",
        "other sites whose pages may ask the agents at the gateway, with a token; empty is none",
    )
    session_idle_s: float = setting(
        "TAILRACE_SESSION_IDLE_S",
        43_200.0,
        "s",
        "a session that began with a sign-in ends when it was not used for this long",
        1,
        2_592_000,
    )
    session_s: float = setting(
        "TAILRACE_SESSION_S",
        604_800.0,
        "s",
        "a session ends this long after the sign-in, or after its address was opened at `make run`",
        1,
        31_536_000,
    )
    session_check_s: float = setting(
        "TAILRACE_SESSION_CHECK_S", 60.0, "s", "how often an open stream looks if its session still holds", 0.05, 900
    )

    owner_tasks: int = setting(
        "TAILRACE_OWNER_TASKS",
        600,
        "tasks an hour",
        "how many tasks an owner with a session or a token may begin; 0 is any number, here and in the next four",
        0,
        1_000_000,
    )
    owner_running: int = setting(
        "TAILRACE_OWNER_RUNNING", 50, "tasks", "how many tasks of such an owner run at once", 0, 100
    )
    owner_streams: int = setting(
        "TAILRACE_OWNER_STREAMS", 100, "streams", "how many streams such an owner has open, in all processes", 0, 1000
    )
    owner_upload_bytes: int = setting(
        "TAILRACE_OWNER_UPLOAD_BYTES", 5_368_709_120, "bytes a day", "how much such an owner may upload", 0, 10**15
    )
    owner_webhooks: int = setting(
        "TAILRACE_OWNER_WEBHOOKS", 200, "webhooks a day", "how many webhooks such an owner may set", 0, 1_000_000
    )

    @property
    def access_digest(self) -> bytes:
        """The SHA-256 of the shared secret; nothing without one."""
        if self.access_secret:
            return hashlib.sha256(self.access_secret.encode()).digest()
        return bytes.fromhex(self.access_secret_sha256)

    @property
    def knows_people(self) -> bool:
        """Whether people sign in, so that nobody comes in for being on this machine."""
        return bool(self.oidc_issuer or self.auth)

    @property
    def oidc_secret_place(self) -> tuple[str, str]:
        """The kind and the name in `oidc_client_secret`; two empty texts without one."""
        match = _REFERENCE.fullmatch(self.oidc_client_secret)
        return (match["kind"], match["name"]) if match else ("", "")

    @property
    def public(self) -> list[str]:
        """The names in `public_agents`."""
        return split(self.public_agents)

    @property
    def cors(self) -> list[str]:
        """The origins in `cors_origins`."""
        return split(self.cors_origins)

    @property
    def allowed_claims(self) -> dict[str, list[str]]:
        """The values in `oidc_claims`, by claim."""
        allowed: dict[str, list[str]] = {}
        for pair in split(self.oidc_claims):
            claim, _, value = pair.partition("=")
            allowed.setdefault(claim.strip(), []).append(value.strip())
        return allowed

    def check_access(self) -> None:
        """Refuse what cannot be used.

        Raises:
            ConfigError
        """
        if 0 < len(self.access_secret) < SECRET_LENGTH:
            raise ConfigError("TAILRACE_ACCESS_SECRET", "(hidden)", f"{SECRET_LENGTH} characters or more")
        if not _SHA256.fullmatch(self.access_secret_sha256) or (self.access_secret and self.access_secret_sha256):
            # Somebody may have written the secret itself.
            right = "64 digits of 0-9a-f, and not set together with TAILRACE_ACCESS_SECRET"
            raise ConfigError("TAILRACE_ACCESS_SECRET_SHA256", "(hidden)", right)
        if self.oidc_issuer and not _is_issuer(self.oidc_issuer):
            right = "an https URL without a query, as the issuer names itself"
            raise ConfigError("TAILRACE_OIDC_ISSUER", self.oidc_issuer, right)
        if bool(self.oidc_issuer) != bool(self.oidc_client_id):
            right = "set together with TAILRACE_OIDC_ISSUER, or not at all"
            raise ConfigError("TAILRACE_OIDC_CLIENT_ID", self.oidc_client_id, right)
        if self.oidc_audience and not self.oidc_issuer:
            raise ConfigError(
                "TAILRACE_OIDC_AUDIENCE", self.oidc_audience, "set with TAILRACE_OIDC_ISSUER, or left out"
            )
        if self.oidc_client_secret and not _REFERENCE.fullmatch(self.oidc_client_secret):
            # Somebody may have written the secret itself.
            right = "secretsmanager:NAME, ssm:NAME, file:PATH or env:VARIABLE"
            raise ConfigError("TAILRACE_OIDC_CLIENT_SECRET", "(hidden)", right)
        for origin in self.cors:
            if not _ORIGIN.fullmatch(origin):
                right = (
                    "origins as browsers write them: like https://example.com, in lower case, without a path or :443"
                )
                raise ConfigError("TAILRACE_CORS_ORIGINS", origin, right)
        for claim, values in self.allowed_claims.items():
            if not claim or not all(values):
                raise ConfigError("TAILRACE_OIDC_CLAIMS", self.oidc_claims, "claim=value, with commas in between")


def _is_issuer(url: str) -> bool:
    """Whether it can be an issuer (OpenID Connect Discovery, section 4). Plain HTTP only on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.query or parts.fragment or not host or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
