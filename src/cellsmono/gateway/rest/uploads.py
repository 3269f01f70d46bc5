"""Uploads that can be resumed, as tus 1.0 has them (https://tus.io/protocols/resumable-upload).

One is an upload in parts of the workspace's datasource, as S3 makes them, so it outlives a restart, is cleaned up when
it grows stale, and nothing is visible before its last byte came. What arrives is stored in parts of one size; when a
connection breaks off, the part that was under way is lost, and the client goes on from the offset that it is told.
"""

import hashlib
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from cellsmono.gateway.http import Reply
from cellsmono.gateway.rest.bodies import stream_content
from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.content import refuse_folder
from cellsmono.gateway.rest.digests import Md5Digest
from cellsmono.gateway.rest.errors import RestError, bad_request
from cellsmono.gateway.rest.paths import NodePath, parse_path, require_inner
from cellsmono.gateway.rest.routes import BASE
from cellsmono.interfaces.datasource import NO_CONDITIONS, Conditions, WriteOptions
from cellsmono.interfaces.node import Node, NodeMeta, PartInfo
from cellsmono.interfaces.objects import Part, Upload
from cellsmono.kernel.errors import NotFound

VERSION: Final = "1.0.0"
OFFSET_TYPE: Final = "application/offset+octet-stream"
PART_BYTES: Final = 16 * 1024**2
"""Size of a part, unless there would be too many: what a broken connection loses at most."""
LEAST_BYTES: Final = 5 * 1024**2
"""The least of a request that is not the last: some storages take no smaller parts."""
_MOST_PARTS: Final = 9_000
_PAGE: Final = 1_000
_ALWAYS: Final = [("Tus-Resumable", VERSION), ("Cache-Control", "no-store")]


class UploadState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept with an upload. ``tus_size`` tells those that were begun here from those of S3."""

    tus_size: int = -1
    content_type: str | None = None
    mtime_ns: int | None = None
    only_new: bool = False


class Resumed(msgspec.Struct, frozen=True):
    """An upload as it stands: its parts by number, and how many bytes they have."""

    upload: Upload
    state: UploadState
    parts: tuple[Part, ...]

    @property
    def offset(self) -> int:
        """Bytes that are stored."""
        return sum(part.size for part in self.parts)

    @property
    def part_bytes(self) -> int:
        """The size of each part but the last."""
        return max(PART_BYTES, -(-self.state.tus_size // _MOST_PARTS))


async def create(rest: RestContext, call: Call, body: None) -> Reply:
    """POST /io/{Node}: the upload's address comes as Location."""
    _check_version(call)
    path = require_inner(parse_path(call.parameters["Node"]))
    if path.inner.endswith("/"):
        raise bad_request("A path that ends in / is a folder's", "path")
    size = _read_number(call, "Upload-Length")
    if size > rest.max_object_bytes:
        raise RestError(413, "too_large", f"A file has at most {rest.max_object_bytes} bytes here")
    await refuse_folder(rest, call, path)
    state = _read_state(call, size)
    options = WriteOptions(NodeMeta(content_type=state.content_type), state.mtime_ns, size)
    context = msgspec.json.encode(state)
    upload = await rest.router.create_upload(call.actor, path.root, path.leaf, context, options)
    if not size:
        await _store_nothing(rest, call, path, Resumed(upload, state, ()))
    location = f"{BASE}/upload/{path.root}/{upload.upload_id}"
    return Reply(201, [*_ALWAYS, ("Location", location), ("Upload-Offset", "0")])


async def _store_nothing(rest: RestContext, call: Call, path: NodePath, found: Resumed) -> None:
    """An empty file is there at once, since nobody sends the next bytes of it."""

    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    part = await rest.router.put_part(call.actor, path.root, found.upload.upload_id, 1, nothing(), Md5Digest(), 0)
    await _complete(rest, call, path.root, msgspec.structs.replace(found, parts=(part,)))


async def tell(rest: RestContext, call: Call, body: None) -> Reply:
    """HEAD and GET /upload/{Upload}: how many bytes are stored."""
    found = await _resume(rest, call)
    headers = [("Upload-Offset", str(found.offset)), ("Upload-Length", str(found.state.tus_size))]
    return Reply(200, _ALWAYS + headers)


async def go_on(rest: RestContext, call: Call, body: None) -> Reply:
    """PATCH /upload/{Upload}: the next bytes; with the last one the file is there."""
    _check_version(call)
    at = _split(call)
    if at.inner in rest.busy_uploads:
        raise RestError(423, "upload_busy", "Another request is at this upload; ask for its offset and go on later")
    rest.busy_uploads.add(at.inner)
    try:
        found = await _resume(rest, call)
        length = _check_piece(call, found)
        found = await _store(rest, call, found, length)
        headers = [*_ALWAYS, ("Upload-Offset", str(found.offset))]
        if found.offset == found.state.tus_size:
            node = await _complete(rest, call, at.root, found)
            headers.append(("ETag", f'"{node.effective_etag}"'))
        return Reply(204, headers)
    finally:
        rest.busy_uploads.discard(at.inner)


def _check_piece(call: Call, found: Resumed) -> int:
    """How long the body is. Raises RestError where it can not be what comes next."""
    if call.exchange.content_type != OFFSET_TYPE:
        raise RestError(415, "media_type", f"The body must be {OFFSET_TYPE}")
    if _read_number(call, "Upload-Offset") != found.offset:
        raise RestError(409, "offset", f"The upload stands at {found.offset}: go on from there")
    length, left = call.exchange.content_length, found.state.tus_size - found.offset
    if length is None:
        raise RestError(411, "length_required", "Say how long the body is (Content-Length)")
    if length > left:
        raise bad_request(f"Only {left} bytes are left of what the upload was begun with", "length")
    if length < min(left, LEAST_BYTES):
        raise bad_request(f"Send at least {LEAST_BYTES} bytes at once, or all that is left", "length")
    return length


async def abort(rest: RestContext, call: Call, body: None) -> Reply:
    """DELETE /upload/{Upload}: forget it, and what was stored."""
    _check_version(call)
    found = await _resume(rest, call)
    await rest.router.abort_upload(call.actor, _split(call).root, found.upload.upload_id)
    return Reply(204, list(_ALWAYS))


async def _store(rest: RestContext, call: Call, found: Resumed, length: int) -> Resumed:
    """Store what the body brings, part by part. What was stored stays when it breaks off."""
    source = _Source(stream_content(call.exchange))
    root, upload_id = _split(call).root, found.upload.upload_id
    while length:
        # None is smaller than storages take, but the last one of all.
        size = length if length < found.part_bytes + LEAST_BYTES else found.part_bytes
        taken = source.take(size)
        part = await rest.router.put_part(call.actor, root, upload_id, len(found.parts) + 1, taken, Md5Digest(), size)
        found = msgspec.structs.replace(found, parts=(*found.parts, part))
        length -= size
    return found


class _Source:
    """A body that is taken in pieces of given sizes."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self._waiting = b""

    async def take(self, size: int) -> AsyncIterator[bytes]:
        """The next ``size`` bytes. Raises RestError (400) when the body ends before."""
        while size:
            if not self._waiting:
                self._waiting = await anext(self._stream, b"")
            if not self._waiting:
                raise bad_request("The body ended before it was complete", "incomplete")
            piece, self._waiting = self._waiting[:size], self._waiting[size:]
            size -= len(piece)
            yield piece


async def _complete(rest: RestContext, call: Call, root: str, found: Resumed) -> Node:
    state, parts = found.state, found.parts
    whole = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False)
    meta = NodeMeta(content_type=state.content_type, parts=tuple(PartInfo(part.number, part.size) for part in parts))
    conditions = Conditions(if_none_match="*") if state.only_new else NO_CONDITIONS
    options = WriteOptions(meta, state.mtime_ns, state.tus_size, conditions)
    etag = f"{whole.hexdigest()}-{len(parts)}"
    upload_id = found.upload.upload_id
    return await rest.router.complete_upload(call.actor, root, upload_id, parts, etag, options)


async def _resume(rest: RestContext, call: Call) -> Resumed:
    """The upload that the path names. Raises NotFound for any that was not begun here."""
    at = _split(call)
    upload = await rest.router.read_upload(call.actor, at.root, at.inner)
    try:
        state = msgspec.json.decode(upload.context, type=UploadState)
    except msgspec.DecodeError:
        state = UploadState()
    if state.tus_size < 0:
        raise NotFound(f"There is no upload {at.inner!r}", reason="upload")
    parts: list[Part] = []
    while page := await rest.router.list_parts(
        call.actor, at.root, upload.upload_id, parts[-1].number if parts else 0, _PAGE
    ):
        parts += page
        if len(page) < _PAGE:
            break
    return Resumed(upload, state, tuple(parts))


def _split(call: Call) -> NodePath:
    path = parse_path(call.parameters["Upload"])
    if not path.inner:
        raise NotFound("There is no such upload", reason="upload")
    return path


def _check_version(call: Call) -> None:
    if call.exchange.headers.get("Tus-Resumable", VERSION) != VERSION:
        raise RestError(412, "tus_version", f"Tus-Resumable must be {VERSION}", [("Tus-Version", VERSION)])


def _read_number(call: Call, name: str) -> int:
    text = call.exchange.headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 19):  # noqa: PLR2004 - digits of a 64-bit number
        raise bad_request(f"{name} must be a number of bytes", "tus")
    return int(text)


def _read_state(call: Call, size: int) -> UploadState:
    """What Upload-Metadata says: pairs of a name and a value in base64."""
    told: dict[str, str] = {}
    for pair in call.exchange.headers.get("Upload-Metadata", "").split(","):
        name, _, value = pair.strip().partition(" ")
        try:
            told[name] = b64decode(value.strip(), validate=True).decode()
        except ValueError:
            raise bad_request("Upload-Metadata must hold names, each with a value in base64", "tus") from None
    mtime = told.get("mtime", "")
    if mtime and not (mtime.isascii() and mtime.isdigit() and len(mtime) <= 10):  # noqa: PLR2004 - digits of seconds
        raise bad_request("mtime in Upload-Metadata must be seconds since the epoch", "tus")
    only_new = call.exchange.headers.get("If-None-Match", "").strip() == "*"
    kind = told.get("filetype") or told.get("type")
    return UploadState(size, kind or None, int(mtime) * 1_000_000_000 if mtime else None, only_new)
