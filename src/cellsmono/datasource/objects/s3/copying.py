"""Copies inside the server: whole objects in one call, larger ones range by range."""

from typing import Any

import msgspec

from cellsmono.datasource.objects.s3.endpoint import Connection
from cellsmono.datasource.objects.s3.facts import etag_of
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.requests import ask, ask_many, find_head
from cellsmono.datasource.objects.s3.staging import OpenUpload, begin_upload, read_sent
from cellsmono.kernel.errors import NotFound, PreconditionFailed, Unavailable

MOST_AT_ONCE = 5 * 1024**3
"""S3's largest object that one CopyObject copies."""

RANGE_BYTES = 512 * 1024**2
LEAST_PART_BYTES = 5 * 1024**2
"""S3's least size of a part that is not the last."""


class Version(msgspec.Struct, frozen=True):
    """One version of an object on the server."""

    place: Place
    key: str
    etag: str
    size: int

    @property
    def source(self) -> dict[str, Any]:
        """It as the source of a copy, pinned by its ETag."""
        return {"CopySource": self.place.at(self.key), "CopySourceIfMatch": self.etag}


class Piece(msgspec.Struct, frozen=True):
    """A range of a version: what one part of an upload is copied from."""

    version: Version
    start: int
    length: int


async def copy_version(
    connection: Connection, version: Version, place: Place, key: str, options: dict[str, Any] | None
) -> str:
    """Copy to a key of a place; the ETag of the copy. ``options`` None keeps the metadata, else they replace it.

    Raises NotFound, Unavailable (reason ``changing``) when the source was replaced.
    """
    if version.size > MOST_AT_ONCE:
        if options is None:
            options = await _read_options(connection, version)
        return await join_pieces(connection, split_version(version), place, key, options)
    arguments = {**place.at(key), **place.options(), **version.source, **(options or {})}
    arguments["MetadataDirective"] = "COPY" if options is None else "REPLACE"
    if "Tagging" in arguments:
        arguments["TaggingDirective"] = "REPLACE"
    try:
        answer = await ask(connection, "copy_object", version.key, **arguments)
    except PreconditionFailed as error:
        raise _changing(version) from error
    etag = etag_of(answer.get("CopyObjectResult", {}))
    if etag != version.etag and (place, key) != (version.place, version.key):
        await _confirm(connection, version)
    return etag


async def _confirm(connection: Connection, version: Version) -> None:
    """Raise Unavailable (reason ``changing``) unless the source is still the version that was to be copied.

    Some servers ignore the condition on a copy's source. What they copied then is another version, which the ETag
    shows; that of an object in parts, or under a key of the server's, differs in any case.
    """
    try:
        _, answer = await find_version(connection, version.place, version.key)
    except NotFound:
        raise _changing(version) from None
    if etag_of(answer) != version.etag:
        raise _changing(version)


def split_version(version: Version) -> list[Piece]:
    """The ranges in which a large object is copied."""
    starts = range(0, version.size, RANGE_BYTES)
    return [Piece(version, start, min(RANGE_BYTES, version.size - start)) for start in starts]


async def join_pieces(
    connection: Connection, pieces: list[Piece], place: Place, key: str, options: dict[str, Any]
) -> str:
    """Make one object of these ranges, in this order; its ETag. All but the last must have S3's least size."""
    upload = await begin_upload(connection, place, key, 0, options, checksums=False)
    try:
        await ask_many(lambda job: copy_piece(connection, upload, *job), enumerate(pieces, 1))
        return await upload.complete()
    except BaseException:
        await upload.abort()
        raise


async def copy_piece(connection: Connection, upload: OpenUpload, number: int, piece: Piece) -> None:
    """Make a range of a version the part of an upload with this number."""
    arguments = {**upload.arguments, **piece.version.source, "PartNumber": number}
    if piece.length < piece.version.size:
        arguments["CopySourceRange"] = f"bytes={piece.start}-{piece.start + piece.length - 1}"
    try:
        answer = await ask(connection, "upload_part_copy", piece.version.key, **arguments)
    except PreconditionFailed as error:
        raise _changing(piece.version) from error
    upload.parts[number] = read_sent(answer.get("CopyPartResult", {}))


async def _read_options(connection: Connection, version: Version) -> dict[str, Any]:
    answer = await ask(connection, "head_object", version.key, **version.place.at(version.key))
    names = ("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "Metadata")
    return {name: answer[name] for name in names if answer.get(name)}


def _changing(version: Version) -> Unavailable:
    return Unavailable(
        f"'{version.key}' changes while it is copied; repeat when it is complete.", reason="changing", path=version.key
    )


async def find_version(connection: Connection, place: Place, key: str) -> tuple[Version, dict[str, Any]]:
    """The version that is at a key now, and its headers. Raises NotFound."""
    answer = await find_head(connection, place, key)
    return Version(place, key, etag_of(answer), answer["ContentLength"]), answer
