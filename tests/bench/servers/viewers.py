"""A gateway over DynamoDB with a meter of its requests: `GET /meter`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.app import create_app
from tailrace.config import Settings
from tailrace.log.dynamodb import DynamoDBLog
from tailrace.stores.dynamodb import new_client
from tests.bench.dynamodb import Meter

_settings = Settings.load()
_client = new_client(threads=32)
_meter = Meter(_client, consistent=False)


async def meter(_: Request) -> JSONResponse:
    return JSONResponse({"requests": _meter.requests, "read": _meter.read, "written": _meter.written})


app = create_app(_settings, log=DynamoDBLog(_settings.table, client=_client))
app.router.routes.append(Route("/meter", meter))
