"""Uploads: files that are too large for a message, in a folder or in S3."""

from __future__ import annotations

from pathlib import Path

from tailrace.config import Settings
from tailrace.uploads.base import Grant, ReceivingUploads, Uploads, verified
from tailrace.uploads.reference import SHA256, UPLOADS, Upload, upload_in

__all__ = [
    "SHA256",
    "UPLOADS",
    "Grant",
    "ReceivingUploads",
    "Upload",
    "Uploads",
    "open_uploads",
    "upload_in",
    "verified",
]


def open_uploads(settings: Settings) -> Uploads:
    """The store that `settings` name. Only the packages of that store are imported, and nothing is opened yet."""
    if settings.bucket:
        from tailrace.uploads.s3 import S3Uploads

        return S3Uploads(settings.bucket)
    from tailrace.uploads.folder import FolderUploads

    return FolderUploads(Path(settings.data_dir) / "uploads", ttl_s=settings.ttl_days * 86_400)
