"""Moto's server. What moto finds out for each request is found out once: that took a third of its time.

The server's own process asks it without a connection: two parsers of HTTP took as long as moto itself. Other processes
ask it over HTTP.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import moto.backends
import moto.core.responses
from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session
from moto.core.botocore_stubber import MockRawResponse
from moto.dynamodb.responses import DynamoHandler
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.test import EnvironBuilder, run_wsgi_app


class _Quiet(MotoRequestHandler):
    def log_request(self, *_: Any) -> None:
        """Write no line for a request: pytest would format each, and they would hide why a test failed."""


@functools.cache
def _app() -> Any:
    """Moto, which serves one request at a time, because its conditional writes are not atomic across threads.

    One app is enough for all servers: moto's backends belong to the process.
    """
    services = tuple(moto.backends.list_of_moto_modules())
    moto.backends.list_of_moto_modules = lambda: services
    responses: Any = moto.core.responses
    responses.method_names_from_class = functools.cache(responses.method_names_from_class)
    _repeat_no_transaction()
    app, one = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def in_turn(environ: Any, start_response: Any) -> Any:
        with one:
            return list(app(environ, start_response))

    return in_turn


def _repeat_no_transaction() -> None:
    """Let moto know a transaction by its token, as DynamoDB does: repeated, it changes nothing and succeeds again."""
    handler: Any = DynamoHandler
    carry_out, carried_out = handler.transact_write_items, dict[str, Any]()

    def once(self: Any) -> Any:
        token = self.body.get("ClientRequestToken")
        if token not in carried_out:
            response = carry_out(self)
            if token is None:
                return response
            carried_out[token] = response
        return carried_out[token]

    handler.transact_write_items = once


# Where this process serves moto, as `host:port`.
_OWN: set[str] = set()
_session: Any = URLLib3Session
_send = _session.send


def _send_to_own(session: URLLib3Session, request: Any) -> Any:
    """Send a request of botocore. A server of this process answers it in this thread."""
    url = urlsplit(request.url)
    if url.netloc not in _OWN:
        return _send(session, request)
    headers = [(name, value.decode() if isinstance(value, bytes) else value) for name, value in request.headers.items()]
    target, base = f"{url.path}?{url.query}", f"http://{url.netloc}"
    environ = EnvironBuilder(target, base, method=request.method, headers=headers, data=request.body).get_environ()
    answer, status, its_headers = run_wsgi_app(_app(), environ)
    response: Any = AWSResponse
    return response(request.url, int(status.split()[0]), its_headers, MockRawResponse(b"".join(answer)))


@contextmanager
def moto_server() -> Iterator[str]:
    """Serve DynamoDB, S3 and more, over HTTP with a thread for each connection; yield the endpoint."""
    _session.send = _send_to_own
    server = make_server("127.0.0.1", 0, _app(), threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    own = f"127.0.0.1:{server.server_port}"
    _OWN.add(own)
    try:
        yield f"http://{own}"
    finally:
        _OWN.discard(own)
        server.shutdown()
        thread.join()
        server.server_close()
