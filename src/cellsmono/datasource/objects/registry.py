"""The register of multipart uploads: which there are, and where the bytes of each part lie."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from cellsmono.interfaces.objects import Part, Upload
from cellsmono.kernel.errors import NotFound


class StoredPart(msgspec.Struct, frozen=True):
    """A part and its place: ``start`` in the file of this name, or in the assembly file when the name is empty."""

    part: Part
    file: str
    start: int


class UploadRegistry(Protocol):
    """What must survive a restart about uploads. Every method is all or nothing."""

    async def add_upload(self, upload: Upload) -> None:
        """Begin to know an upload."""

    async def find_upload(self, upload_id: str) -> tuple[Upload, int] | None:
        """An upload and the distance of its parts in the assembly file (0: not fixed yet)."""

    async def list_uploads(self, bucket: str, prefix: str, after_key: str, after_id: str, limit: int) -> list[Upload]:
        """Uploads of a bucket by key and id, after the given pair (without an id: after all uploads of that key)."""

    async def list_ids(self, bucket: str) -> set[str]:
        """Ids of all uploads of a bucket."""

    async def remove_upload(self, upload_id: str) -> bool:
        """Forget an upload and its parts; False when there was none. From now on its id is a finished one."""

    async def list_finished(self, bucket: str) -> list[str]:
        """Ids of uploads that were removed and whose folders may still be there."""

    async def forget_finished(self, upload_ids: Sequence[str]) -> None:
        """The folders of these finished uploads are gone."""

    async def put_part(self, upload_id: str, stored: StoredPart, part_bytes: int) -> StoredPart | None:
        """Enter a part, and return the one that it replaced.

        ``part_bytes`` other than 0 is kept as the distance of parts. Raises NotFound (reason ``upload``).
        """

    async def list_parts(self, upload_id: str, after: int, limit: int) -> list[StoredPart]:
        """Parts by number, after this one."""


def no_upload(upload_id: str) -> NotFound:
    """The error for an upload that is not there."""
    return NotFound(f"There is no upload '{upload_id}': it was completed, aborted, or never begun.", reason="upload")


def is_after(upload: Upload, start: tuple[bytes, str]) -> bool:
    """Whether an upload comes after a marker; a key alone passes over all uploads of that key."""
    key, upload_id = start
    at = upload.key.encode()
    return at > key or (bool(upload_id) and at == key and upload.upload_id > upload_id)


class MemoryRegistry:
    """A register that lives as long as the process."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}
        self._part_bytes: dict[str, int] = {}
        self._parts: dict[str, dict[int, StoredPart]] = {}
        self._finished: dict[str, str] = {}

    async def add_upload(self, upload: Upload) -> None:
        """Begin to know an upload."""
        self._uploads[upload.upload_id] = upload
        self._parts[upload.upload_id] = {}

    async def find_upload(self, upload_id: str) -> tuple[Upload, int] | None:
        """An upload and the distance of its parts."""
        upload = self._uploads.get(upload_id)
        return None if upload is None else (upload, self._part_bytes.get(upload_id, 0))

    async def list_uploads(self, bucket: str, prefix: str, after_key: str, after_id: str, limit: int) -> list[Upload]:
        """Uploads of a bucket by key and id."""
        start = (after_key.encode(), after_id)
        found = (u for u in self._uploads.values() if u.bucket == bucket and u.key.startswith(prefix))
        return sorted((u for u in found if is_after(u, start)), key=lambda u: (u.key.encode(), u.upload_id))[:limit]

    async def list_ids(self, bucket: str) -> set[str]:
        """Ids of all uploads of a bucket."""
        return {upload_id for upload_id, upload in self._uploads.items() if upload.bucket == bucket}

    async def remove_upload(self, upload_id: str) -> bool:
        """Forget an upload and its parts."""
        self._parts.pop(upload_id, None)
        self._part_bytes.pop(upload_id, None)
        upload = self._uploads.pop(upload_id, None)
        if upload is None:
            return False
        self._finished[upload_id] = upload.bucket
        return True

    async def list_finished(self, bucket: str) -> list[str]:
        """Ids of uploads that were removed."""
        return [upload_id for upload_id, of_bucket in self._finished.items() if of_bucket == bucket]

    async def forget_finished(self, upload_ids: Sequence[str]) -> None:
        """The folders of these finished uploads are gone."""
        for upload_id in upload_ids:
            self._finished.pop(upload_id, None)

    async def put_part(self, upload_id: str, stored: StoredPart, part_bytes: int) -> StoredPart | None:
        """Enter a part."""
        parts = self._parts.get(upload_id)
        if parts is None:
            raise no_upload(upload_id)
        if part_bytes:
            self._part_bytes[upload_id] = part_bytes
        before = parts.get(stored.part.number)
        parts[stored.part.number] = stored
        return before

    async def list_parts(self, upload_id: str, after: int, limit: int) -> list[StoredPart]:
        """Parts by number."""
        parts = self._parts.get(upload_id, {})
        return [parts[number] for number in sorted(parts) if number > after][:limit]
