"""Uploads in parts that are uploads in parts on the server, too, so that completing one moves no bytes.

The server's upload is begun with ours, because it takes the metadata then; its id is the end of ours. A part is sent on
under its own number, but for two kinds: a small one can only be the last, which nobody knows yet, and a very large one
does not wait here until it is whole. Those become hidden objects, and are copied in by the completion.
"""

from collections.abc import Sequence

import msgspec

from cellsmono.datasource.objects.registry import StoredPart
from cellsmono.datasource.objects.s3.copying import LEAST_PART_BYTES
from cellsmono.datasource.objects.s3.endpoint import Connection
from cellsmono.datasource.objects.s3.metadata import ETAG_OF_SERVER, write_metadata
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.staging import OpenUpload, SentPart, begin_upload
from cellsmono.interfaces.node import NodeAttributes
from cellsmono.interfaces.objects import Target, Upload
from cellsmono.kernel.errors import Invalid

MOST_WAITING_BYTES = 64 * 1024**2
"""A part up to this size waits in the temporary folder until it is whole."""

_SEPARATOR = "~"
_MARK = "="


async def begin_native(connection: Connection, place: Place, upload: Upload, target: Target) -> Upload:
    """Begin an upload on the server; ours, with the server's id at the end of its own."""
    mtime_ns = upload.initiated_ns if target.mtime_ns is None else target.mtime_ns
    options = write_metadata(mtime_ns, NodeAttributes(0, mtime_ns, ETAG_OF_SERVER, target.meta))
    begun = await begin_upload(connection, place, upload.key, mtime_ns, options)
    upload_id = f"{upload.upload_id}{_SEPARATOR}{begun.arguments['UploadId']}"
    return msgspec.structs.replace(upload, upload_id=upload_id)


def open_native(connection: Connection, place: Place, upload: Upload) -> OpenUpload | None:
    """The server's side of an upload, None for one that is kept in hidden objects alone."""
    _, is_native, upload_id = upload.upload_id.partition(_SEPARATOR)
    return OpenUpload(connection, place, upload.key, upload_id, upload.initiated_ns) if is_native else None


def bare_id(upload_id: str) -> str:
    """Our own part of an upload's id, below which its hidden parts lie."""
    return upload_id.partition(_SEPARATOR)[0]


def name_sent(sent: SentPart) -> str:
    """What stands in place of the name of a hidden object, for a part that the server holds."""
    return _MARK + msgspec.json.encode(sent).decode()


def sent_part(stored: StoredPart) -> SentPart | None:
    """What the server said about a part, None for one that is a hidden object."""
    return msgspec.json.decode(stored.file[1:], type=SentPart) if stored.file.startswith(_MARK) else None


def is_joined_natively(parts: Sequence[StoredPart]) -> bool:
    """Whether the server holds any of these parts, so that only it can join them.

    Raises Invalid (reason ``part_size``) when it will refuse to.
    """
    if not any(sent_part(one) for one in parts):
        return False
    for one in parts[:-1]:
        if one.part.size < LEAST_PART_BYTES:
            raise Invalid(
                f"Part {one.part.number} has less than {LEAST_PART_BYTES} bytes and is not the last one.",
                reason="part_size",
            )
    return True
