"""A function without dependencies: an ASGI app as `handler.app`, as in Mangum, and a handler.

The path selects what it does. It waits for the test at the loopback port `GATE`.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import logging
import os
import sys
import time
from urllib.parse import parse_qs

logger = logging.getLogger("sample")
STARTED = []


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
    name = scope["path"].strip("/").split("/")[0].replace("-", "_") or "hello"
    await ROUTES[name](scope, receive, send, **query)


async def lifespan(scope, receive, send):
    while True:
        match (await receive())["type"]:
            case "lifespan.startup":
                if os.environ.get("FAIL_STARTUP"):
                    await send({"type": "lifespan.startup.failed", "message": "no database"})
                    return
                STARTED.append(time.time())
                scope["state"]["since"] = len(STARTED)
                await send({"type": "lifespan.startup.complete"})
            case "lifespan.shutdown":
                print("lifespan: shut down")
                await send({"type": "lifespan.shutdown.complete"})
                return


async def start(send, status=200, *headers):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def body(send, data=b"", more=True):
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def whole(send, data, *headers, status=200):
    await start(send, status, *headers)
    await body(send, data, more=False)


async def body_of(receive):
    data = b""
    while True:
        message = await receive()
        data += message["body"]
        if not message["more_body"]:
            return data


async def gate(line):
    """Wait until the test lets it pass."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["GATE"]))
    writer.write(f"{line}\n".encode())
    try:
        await reader.readexactly(1)
    finally:
        writer.transport.abort()


async def hello(scope, receive, send):
    await whole(send, b"hello", (b"Content-Type", b"text/plain"))


async def echo(scope, receive, send, **_):
    """Responds with the request and its context."""
    data = await body_of(receive)
    context = scope["aws.context"]
    answer = {
        **{key: scope[key] for key in ("type", "asgi", "http_version", "method", "scheme", "path", "client", "state")},
        "raw_path": scope["raw_path"].decode(),
        "query_string": scope["query_string"].decode(),
        "server": scope["server"],
        "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
        "body": base64.b64encode(data).decode(),
        "event": scope["aws.event"].get("version"),
        "context": described(context),
        "environ": sorted(os.environ),
    }
    await whole(send, json.dumps(answer).encode(), (b"content-type", b"application/json"))


def described(context):
    client = context.client_context
    return {
        "remaining": context.get_remaining_time_in_millis(),
        "deadline_ms": context.deadline_ms,
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "trace_id": context.trace_id,
        "environ_trace_id": os.environ.get("_X_AMZN_TRACE_ID"),
        "tenant": context.tenant_id,
        "custom": client.custom if client else None,
        "app_title": client.client.app_title if client else None,
        "w3c": context.w3c(),
        "identity": context.identity.cognito_identity_id,
        "function": [context.function_name, context.function_version, context.memory_limit_in_mb],
        "logs": [context.log_group_name, context.log_stream_name],
        "pid": os.getpid(),
        "argv": sys.argv,
        "path": sys.path,
    }


async def stream(scope, receive, send, n="3"):
    """Sends events and waits at the gate before each one."""
    await start(send, 200, (b"content-type", b"text/event-stream"))
    for i in range(int(n)):
        await gate(f"event {i}")
        await body(send, b"id: %d\ndata: {}\n\n" % i)
    await body(send, more=False)


async def cookies(scope, receive, send):
    await whole(
        send,
        b"crumbs",
        (b"Set-Cookie", b"a=1; Path=/"),
        (b"set-cookie", b"b=2; HttpOnly"),
        (b"Vary", b"Accept"),
        (b"Vary", b"Cookie"),
        (b"X-Umlaut", b"\xe4"),
        (b"Connection", b"close"),
    )


async def binary(scope, receive, send):
    await start(send, 200, (b"content-type", b"application/octet-stream"))
    await body(send, bytes(range(256)) * 4)
    await body(send, bytes(8))
    await body(send, b"\r\n0\r\n\r\n", more=False)


async def empty(scope, receive, send):
    await whole(send, b"", (b"content-type", b"text/plain"))


async def none(scope, receive, send):
    await whole(send, b"", status=204)


async def redirect(scope, receive, send):
    await whole(send, b"", (b"location", b"/hello"), status=307)


async def post_only(scope, receive, send):
    await whole(send, b"no", (b"allow", b"POST"), status=405)


async def big(scope, receive, send, mb="1", piece="65536"):
    """Sends so many MB, then logs by how much its peak memory grew."""
    await start(send, 200, (b"content-type", b"application/octet-stream"))
    before, left, data = memory("VmRSS"), int(mb) * 1024 * 1024, bytes(int(piece))
    while left > 0:
        await body(send, data[:left])
        left -= len(data)
    await body(send, more=False)
    print(json.dumps({"grown_kb": memory("VmHWM") - before}))


async def flood(scope, receive, send, mb="20"):
    """Sends more than the test reads, and tells the gate which send had to wait first."""
    waited = False
    await start(send, 200, (b"content-type", b"application/octet-stream"))
    for i in range(int(mb) * 16):
        sending = asyncio.create_task(body(send, bytes(65536)))
        for _ in range(2000):
            await asyncio.sleep(0)
            if sending.done() or waited:
                break
        else:
            waited = True
            await gate(f"waits at {i}")
        await sending
    await body(send, more=False)


def memory(field):
    """Return a field of /proc/self/status in KB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))


async def rss(scope, receive, send):
    await whole(send, str(memory("VmRSS")).encode())


async def fail_before(scope, receive, send):
    raise LookupError("nothing here")


async def fail_after_start(scope, receive, send):
    await start(send)
    raise LookupError("still nothing here")


async def fail_in_body(scope, receive, send, long="0"):
    await start(send)
    await body(send, b"the beginning")
    raise LookupError("and then nothing" + "!" * int(long))


async def fail_after_end(scope, receive, send):
    await whole(send, b"all of it")
    raise LookupError("too late to matter")


async def incomplete(scope, receive, send):
    await start(send)
    await body(send, b"the beginning")


async def silent(scope, receive, send):
    pass


async def twice(scope, receive, send):
    await start(send)
    try:
        await start(send)
    except RuntimeError as error:
        await body(send, str(error).encode(), more=False)


async def crash_before(scope, receive, send):
    os._exit(3)


async def crash_in_body(scope, receive, send):
    await start(send)
    await body(send, b"the beginning")
    await gate("has begun")
    os._exit(3)


async def gone(scope, receive, send):
    """Streams until its reader disconnects. Its run continues."""
    scope["aws.context"].pending.add(asyncio.create_task(run_of_the_gone()))
    await start(send)
    await body(send, b"hello?")
    await gate("streams")
    while True:
        await body(send, b"." * 1024)
        await asyncio.sleep(0)


async def run_of_the_gone():
    await gate("runs")
    logger.warning("the run went on")


async def waits_for_disconnect(scope, receive, send):
    await body_of(receive)
    await start(send)
    await body(send, b"hello?")
    message = await receive()
    await gate(message["type"])


async def run(scope, receive, send):
    """Responds at once; its runs take longer."""
    pending = scope["aws.context"].pending

    async def second():
        await gate("second run")
        logger.warning("second run done")

    async def first():
        await gate("first run")
        pending.add(asyncio.create_task(second()))

    pending.add(asyncio.create_task(first()))
    await whole(send, b"accepted")


async def failing_run(scope, receive, send):
    async def fail():
        raise LookupError("the run failed")

    scope["aws.context"].pending.add(asyncio.create_task(fail()))
    await whole(send, b"accepted")


async def overdue_run(scope, receive, send):
    """A run that would never end, but cleans up when it is stopped."""

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            print("the lease is let go")

    scope["aws.context"].pending.add(asyncio.create_task(forever()))
    await whole(send, b"accepted")


async def overdue(scope, receive, send):
    await start(send)
    await body(send, b"the beginning")
    await asyncio.Event().wait()


async def deaf(scope, receive, send):
    """Blocks the process, so that only Lambda can end it."""
    await start(send)
    await body(send, b"the beginning")
    time.sleep(600)  # noqa: ASYNC251


async def stuck(scope, receive, send):
    time.sleep(600)  # noqa: ASYNC251


async def meet(scope, receive, send, n="8"):
    """Responds once so many invocations have arrived."""
    here = MEETING.setdefault("here", [])
    MEETING.setdefault("all", asyncio.Event())
    here.append(scope["aws.context"].aws_request_id)
    logger.warning("one came")
    if len(here) == int(n):
        MEETING["all"].set()
    await MEETING["all"].wait()
    await whole(send, json.dumps({"pid": os.getpid(), "trace": os.environ.get("_X_AMZN_TRACE_ID")}).encode())


MEETING = {}


async def log(scope, receive, send):
    logger.info("not at the level")
    logger.warning("three %s", "words", extra={"task": "t-1"})
    logger.warning({"event": "stream_opened", "seq": 7})
    try:
        raise LookupError("lost")
    except LookupError:
        logger.exception("it failed")
    print("printed")
    await whole(send, b"logged")


ROUTES = {name: value for name, value in globals().items() if inspect.iscoroutinefunction(value)}


class Handler:
    """Like Mangum: callable with any event, with the app as an attribute."""

    app = staticmethod(app)
    lifespan = "auto"

    def __call__(self, event, context):
        return {"called": True, "version": event.get("version"), "context": described(context)}


handler = Handler()
