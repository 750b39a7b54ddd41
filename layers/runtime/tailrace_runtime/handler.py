"""The function's handler: how it is loaded and called, and how its result is encoded."""

from __future__ import annotations

import contextlib
import decimal
import gc
import importlib
import inspect
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from tailrace_runtime import lazy_packages
from tailrace_runtime.asgi import App
from tailrace_runtime.context import Context
from tailrace_runtime.encoding import to_json
from tailrace_runtime.faults import Fault, RuntimeFault
from tailrace_runtime.invocation import Invocation

logger = logging.getLogger("tailrace.runtime")

Handler = Callable[[Any, Context], Any]
Result = TypeVar("Result")


def load(name: str) -> Handler:
    """Return the handler `module.attribute`; slashes in the module's name are dots.

    Raises:
        RuntimeFault: it cannot be loaded; the error types are the managed runtime's (awslambdaric, bootstrap.py).
        Exception: the module raises it.
    """
    module_name, dot, attribute = name.rpartition(".")
    if not dot:
        raise RuntimeFault("Runtime.MalformedHandlerName", f"Bad handler '{name}': it must be module.attribute")
    module_name = module_name.replace("/", ".")
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise RuntimeFault(
            "Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module"
        )
    lazy_packages.set_up()
    try:
        with _without_garbage_collections():
            module = importlib.import_module(module_name)
    except ImportError as error:
        stack = Fault.of(error).stack
        raise RuntimeFault(
            "Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}", stack
        ) from error
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise RuntimeFault(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", [where]
        ) from error
    try:
        handler: Handler = getattr(module, attribute)
    except AttributeError:
        raise RuntimeFault(
            "Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{module_name}'"
        ) from None
    return handler


@contextlib.contextmanager
def _without_garbage_collections() -> Iterator[None]:
    """Import without automatic collections, which cost a fifth of a large import and find almost nothing.

    Later collections do not visit what was imported. A module's own settings of the collector stay.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(0)
    try:
        yield
    finally:
        gc.freeze()
        if gc.get_threshold()[0] == 0:
            gc.set_threshold(*thresholds)


def app_of(handler: Handler) -> App | None:
    """Return the handler's ASGI app, which Mangum keeps in `.app`; None if it has none."""
    app = getattr(handler, "app", None)
    return app if callable(app) else None


@dataclass(frozen=True)
class HandlerResult:
    """An ordinary handler's result, encoded."""

    body: bytes
    content_type: str


@dataclass(frozen=True)
class Call:
    """An invocation of an ordinary handler."""

    invocation: Invocation
    event: Any
    context: Context
    handler: Handler

    def call(self, run: Callable[[Awaitable[Any]], Any]) -> HandlerResult | Fault:
        """Call the handler and return its result. If it returns an awaitable, `run` runs that to its end."""
        try:
            result = self.handler(self.event, self.context)
            return _encoded(run(_finished(result)) if inspect.isawaitable(result) else result)
        except Exception as error:
            return _failed(error)

    async def call_async(self) -> HandlerResult | Fault:
        """Call a handler that is a coroutine function, and return its result."""
        try:
            return _encoded(await self.handler(self.event, self.context))
        except Exception as error:
            return _failed(error)


async def _finished(awaitable: Awaitable[Result]) -> Result:
    return await awaitable


def _failed(error: Exception) -> Fault:
    logger.error("The handler failed.", exc_info=error)
    return Fault.of(error)


def _encoded(result: Any) -> HandlerResult:
    if isinstance(result, bytes):
        return HandlerResult(result, "application/unknown")
    try:
        return HandlerResult(to_json(result, _default), "application/json")
    except (TypeError, ValueError, RecursionError) as error:
        raise RuntimeFault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error


def _default(value: Any) -> int | float:
    if isinstance(value, decimal.Decimal):
        # DynamoDB's numbers are decimals. Whole ones stay exact, however many digits they have.
        return int(value) if value.as_tuple().exponent == 0 else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
