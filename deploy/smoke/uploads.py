"""An upload, and the refusal of another file by the same grant: what an emulated S3 does not check."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx

from deploy.smoke.api import Api, value_in
from deploy.smoke.report import Rows, SmokeError

_CONTENT = b"2026-01-01T10:00:00Z INFO a line for the smoke test\n" * 40
_OTHER = _CONTENT.replace(b"INFO", b"WARN")


async def check_uploads(api: Api, rows: Rows, *, emulated: bool) -> None:
    """Upload a file; then try another one of the same size by the same grant.

    Raises:
        SmokeError: the file was refused, or the other one was not.
    """
    about = {"filename": "smoke.log", "size": len(_CONTENT), "sha256": hashlib.sha256(_CONTENT).hexdigest()}
    granted = await api.post("/api/uploads", about)
    if granted.status_code != 201:
        raise SmokeError(
            f"POST /api/uploads answered {granted.status_code}: {granted.text[:300]}",
            "look into the gateway's log group; its TAILRACE_BUCKET must be the stack's output FilesBucket.",
        )
    upload: dict[str, Any] = value_in(granted, "POST /api/uploads", "upload")
    if not emulated:
        # Before the file is there: a second file by the same grant would be refused by a condition on its key alone.
        refused = await _put(api, upload, _OTHER)
        if refused.status_code not in (400, 403):
            raise SmokeError(
                f"Another file of the same size was answered {refused.status_code} instead of 400 or 403.",
                "do not let strangers upload: the grant must sign `x-amz-checksum-sha256` (UPLOADS.md, section 3).",
            )
    done = await _put(api, upload, _CONTENT)
    if done.status_code not in (200, 204):
        raise SmokeError(
            f"The upload was answered {done.status_code}: {done.text[:300]}",
            "with 403 the gateway's role lacks s3:PutObject on the bucket, or the clock of this machine is wrong.",
        )
    outcome = "not checked: an emulated S3 refuses nothing" if emulated else str(refused.status_code)
    rows += [("upload", str(done.status_code)), ("another file by the same grant", outcome)]


async def _put(api: Api, upload: dict[str, Any], content: bytes) -> httpx.Response:
    # To S3 without the secret; a folder of `make run` is behind the gateway.
    url = api.http.base_url.join(str(upload["url"]))
    known = api.known if url.host == api.http.base_url.host else {}
    return await api.http.put(url, content=content, headers={**known, **upload["headers"]})
