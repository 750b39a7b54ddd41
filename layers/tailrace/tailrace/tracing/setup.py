"""The SDK: it is set up as the environment says (OTEL_*), and sends what it has before a process freezes.

An SDK that is there already stays: an author has set it up in handler.py, or `opentelemetry-instrument` before Python
began. Otherwise it is set up here if the environment says where to send to: by the distribution of OpenTelemetry that
is installed, as `opentelemetry-instrument` does (the entry points `opentelemetry_distro` and
`opentelemetry_configurator`), or as the SDK itself does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from tailrace.tracing.context import is_on

logger = logging.getLogger("tailrace.tracing")

# How long a server of traces may keep the process from its next request, and from its end: a supervisor kills a process
# that takes too long to stop.
_FLUSH_S, _LAST_FLUSH_S = 5.0, 1.5
# Any of these asks for an SDK.
_ASKING = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_TRACES_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_CONFIG_FILE",
    "OTEL_PYTHON_CONFIGURATOR",
)
_NEEDED = "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"

_tried: list[str] = []
# What is sent now, or was sent last.
_sending: list[Future[None]] = []


def set_up(service: str) -> None:
    """Set the SDK up if the environment asks for it and nobody has. `service` is the process's `service.name`.

    The environment may have another one (OTEL_SERVICE_NAME). What cannot be set up is logged: traces are never worth a
    process.
    """
    asked = [name for name in _ASKING if os.environ.get(name)]
    if not asked or _tried or is_on() or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return
    _tried.append(service)
    if "service.name=" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        _default("OTEL_SERVICE_NAME", service)
    try:
        _set_up()
    except ModuleNotFoundError as error:
        logger.warning("%s is set, but nothing is sent: %s. Install %s.", asked[0], error, _NEEDED)
    except Exception as error:  # of anybody's distribution, or a wrong value of any of its variables
        logger.warning("%s is set, but nothing is sent: %s: %s", asked[0], type(error).__name__, error)


async def flush(*, last: bool = False) -> None:
    """Wait until what there is so far was sent, for at most `_FLUSH_S`, or `_LAST_FLUSH_S` at the process's end.

    On Lambda a process freezes between two requests, and may never go on. Uvicorn ends with the signal that stopped it,
    so the SDK's own `atexit` does not run. This never raises.
    """
    if "langchain_core.tracers.langchain" not in sys.modules and "opentelemetry.trace" not in sys.modules:
        return
    try:
        async with asyncio.timeout(_LAST_FLUSH_S if last else _FLUSH_S):
            while _sending and not _sending[0].done():  # Threads that hang must not become many.
                with suppress(Exception):  # Who has begun it says so.
                    await asyncio.wrap_future(_sending[0])
            _sending[:] = [_flush_in_thread()]
            await asyncio.wrap_future(_sending[0])
    except Exception as error:  # Traces are never worth a task.
        logger.warning("traces were not sent: %s: %s", type(error).__name__, error)


def _flush_in_thread() -> Future[None]:
    """Send all there is in a thread that nothing waits for: asyncio and Python would wait for one of asyncio's pool."""
    sent = Future[None]()
    sent.set_running_or_notify_cancel()  # Who waits no longer cancels nothing.

    def send() -> None:
        try:
            _flush()
        except BaseException as error:
            sent.set_exception(error)
        else:
            sent.set_result(None)

    threading.Thread(target=send, name="traces", daemon=True).start()
    return sent


def _set_up() -> None:
    """Raises what the packages of OpenTelemetry raise."""
    if (distribution := _entry_point("distro")) is not None:
        distribution().configure()
    if (installed := _entry_point("configurator")) is not None:
        installed().configure()
        return
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator

    class Configurator(_OTelSDKConfigurator):
        """As a distribution does it: "distros should subclass this Configurator" (its docstring)."""

    _default("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")  # The SDK's own default needs gRPC.
    for signal in ("TRACES", "METRICS"):
        if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"):
            _default(f"OTEL_{signal}_EXPORTER", "otlp")
    configurator: Any = Configurator
    configurator().configure()


def _default(name: str, value: str) -> None:
    """Set a variable that is not set. An empty one is not (OpenTelemetry, "Environment Variable Specification")."""
    if not os.environ.get(name):
        os.environ[name] = value


def _entry_point(kind: str) -> Any:
    """The class that is installed for `kind`, and that OTEL_PYTHON_… names if it is set; None if there is none."""
    from importlib.metadata import entry_points

    name = os.environ.get(f"OTEL_PYTHON_{kind.upper()}")
    found = entry_points(group=f"opentelemetry_{kind}")
    return next((each.load() for each in found if name in (None, "", each.name)), None)


def _flush() -> None:
    if langsmith := sys.modules.get("langchain_core.tracers.langchain"):
        langsmith.wait_for_all_tracers()
    for signal, provider in (("trace", "get_tracer_provider"), ("metrics", "get_meter_provider")):
        api = sys.modules.get(f"opentelemetry.{signal}")
        if api is not None and hasattr(sdk := getattr(api, provider)(), "force_flush"):
            sdk.force_flush(round(_FLUSH_S * 1000))
