"""The claim check: a file that is too large for a message is uploaded, and the message refers to it.

1. `POST /api/uploads` takes the file's name, type, size and SHA-256. It answers with the one request that uploads the
   file (on AWS to S3, past the gateway) and with the A2A part that stands for the file in a message.
2. Where uploads are in a folder, that request is `PUT /api/uploads/{token}` here.
3. `GET /api/uploads` lists the files of the caller, and `DELETE /api/uploads/{id}` deletes one.
4. A message is refused if it refers to an upload that is not there, or that is another owner's.
"""

from __future__ import annotations

import asyncio
from functools import cached_property, partial
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.api_route import ApiRoute, Operation
from gateway.callers import Callers
from gateway.limits import Limits
from gateway.problems import NO_STORE, Problem
from gateway.requests import read_json
from tailrace.config import Settings
from tailrace.errors import RequestError, RequestTooLarge, UploadUnknown, shorten
from tailrace.events import Message, Part, encode, timestamp
from tailrace.inputs.decode import check, has_files
from tailrace.inputs.turns import in_turn
from tailrace.uploads import SHA256, ReceivingUploads, Upload, Uploads, open_uploads

_MAX_NAME = 1024
_Name = Annotated[str, msgspec.Meta(extra_json_schema={"minLength": 1, "maxLength": _MAX_NAME})]
_EXAMPLE = '{"filename": "app.log", "mediaType": "text/plain", "size": 123, "sha256": "…"}'


class UploadBody(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    filename: _Name
    size: Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 1})]
    sha256: Annotated[str, msgspec.Meta(extra_json_schema={"pattern": f"^{SHA256.pattern}$"})]
    media_type: _Name = "text/plain"

    def __post_init__(self) -> None:
        for name, text in (("filename", self.filename), ("mediaType", self.media_type)):
            if not 0 < len(text) <= _MAX_NAME:
                raise ValueError(f"Expected `{name}` with 1 to {_MAX_NAME} characters, got {len(text)}")
        if self.size < 1:
            raise ValueError(f"Expected `size` in bytes, at least 1, got {self.size}")
        if not SHA256.fullmatch(self.sha256):
            raise ValueError(f"Expected `sha256` as 64 lower-case hexadecimal digits, got {shorten(self.sha256)!r}")


class UploadRequest(msgspec.Struct):
    """The one request that uploads the file: its body is the file. `expires` is ISO 8601."""

    method: str
    url: str
    headers: dict[str, str]
    expires: str


class Granted(msgspec.Struct):
    """How a file is uploaded, and the part that stands for it in a message."""

    upload: UploadRequest
    part: Part


class StoredUpload(msgspec.Struct):
    """A file of the caller's that is stored."""

    id: str
    url: str
    size: int
    sha256: str


class StoredUploads(msgspec.Struct):
    """Up to 1,000 of them."""

    uploads: list[StoredUpload]


class Uploading:
    """The routes of uploads. The store is opened at the first upload."""

    def __init__(self, settings: Settings, callers: Callers, limits: Limits) -> None:
        self._settings = settings
        self._callers = callers
        self._limits = limits

    @property
    def routes(self) -> list[BaseRoute]:
        listed = Operation(self.list, "List your files that are stored.", answers=StoredUploads)
        create = Operation(
            self.create, "Have a file granted that is too large for a message.", UploadBody, Granted, 201
        )
        receive = Operation(
            *(self.receive, "Upload a file to the address that was granted."),
            status=204,
            also={400: "It is not the file that was granted.", 413: "It is too large."},
        )
        delete = Operation(self.delete, "Delete a file, by the last part of its `url`.", status=204)
        return [
            ApiRoute("/api/uploads", GET=listed, POST=create),
            ApiRoute("/api/uploads/{token}", DELETE=delete, PUT=receive),
        ]

    async def list(self, request: Request) -> Response:
        """GET /api/uploads"""
        found = await asyncio.to_thread(self._store.of, (await self._callers.owner(request)).id)
        shown = StoredUploads([StoredUpload(each.id, each.url, each.size, each.sha256) for each in found])
        return Response(encode(shown), media_type="application/json", headers=NO_STORE)

    async def delete(self, request: Request) -> Response:
        """DELETE /api/uploads/{id}"""
        owner, wanted = (await self._callers.owner(request)).id, request.path_params["token"]
        found = [each for each in await asyncio.to_thread(self._store.of, owner) if each.id == wanted]
        if not found:
            raise Problem(404, f"You have no upload {shorten(wanted)!r}.")
        await asyncio.to_thread(self._store.delete, found[0])
        return Response(status_code=204, headers=NO_STORE)

    async def create(self, request: Request) -> Response:
        """POST /api/uploads"""
        caller = await self._callers.caller(request)
        body = await read_json(request, self._settings.max_request_bytes, UploadBody, _EXAMPLE)
        limit = self._settings.max_upload_bytes
        if body.size > limit:
            raise RequestTooLarge(f"The file {shorten(body.filename)!r}", body.size, limit)
        await self._limits.upload(caller, body.size)
        upload = Upload.new(caller.owner.id, body.size, body.sha256)
        grant = await asyncio.to_thread(self._store.grant, upload)
        answer = Granted(
            UploadRequest(grant.method, grant.url, grant.headers, timestamp(grant.expires * 1000)),
            upload.part(body.filename, body.media_type),
        )
        return Response(encode(answer), 201, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def receive(self, request: Request) -> Response:
        """PUT /api/uploads/{token}"""
        owner, store = (await self._callers.owner(request)).id, self._store
        if not isinstance(store, ReceivingUploads):
            raise Problem(404, "Uploads do not go through this gateway; POST /api/uploads says where they go.")
        upload = await asyncio.to_thread(store.granted, request.path_params["token"])
        if upload is None or not upload.readable_by(owner):
            raise Problem(
                403, "The upload was not granted, or the grant has expired; POST /api/uploads grants another."
            )
        declared = request.headers.get("content-length")
        if declared is not None and declared != str(upload.size):
            raise RequestError(f"Content-Length has value {shorten(declared)!r}, but must be {upload.size}.")
        await store.receive(upload, request.stream())
        return Response(status_code=204)

    async def check(self, message: Message, owner: str) -> None:
        """Check that the owner's message can be used, and that the uploads it refers to are there.

        Raises:
            RequestError, UploadsUnavailable: as `tailrace.inputs.decode.request_of` does.
            UploadUnknown: an upload is not there.
        """
        if not has_files(message):
            return
        uploads = await in_turn(partial(check, owner=owner), [message])
        holds = await asyncio.gather(*(asyncio.to_thread(self._store.holds, upload) for upload in uploads))
        for upload, is_held in zip(uploads, holds, strict=True):
            if not is_held:
                raise UploadUnknown(upload.url)

    @cached_property
    def _store(self) -> Uploads:
        return open_uploads(self._settings)
