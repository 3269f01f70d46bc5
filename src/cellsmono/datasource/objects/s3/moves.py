"""Moves, which S3 does not have: every object is copied, all copies are there, then the sources are deleted.

A move of a folder is noted in a journal object before its first copy. After a crash it is taken up where it broke off:
copies that are there already are not made again, and no source is deleted before every copy is there.
"""

import msgspec

from cellsmono.datasource.objects.s3.copying import Version, copy_version, find_version
from cellsmono.datasource.objects.s3.endpoint import Connection
from cellsmono.datasource.objects.s3.facts import make_facts
from cellsmono.datasource.objects.s3.metadata import read_mtime
from cellsmono.datasource.objects.s3.place import RESERVED_ROOT, Place
from cellsmono.datasource.objects.s3.requests import ask, ask_many, delete_keys, fetch, list_pages
from cellsmono.interfaces.node import Facts, new_uuid
from cellsmono.kernel.errors import NotFound, Unavailable
from cellsmono.kernel.log import get_logger

log = get_logger("datasource")

JOURNAL = RESERVED_ROOT + "moves/"


class Move(msgspec.Struct, frozen=True):
    """A folder that is on its way."""

    source: str
    target: str


async def move_object(connection: Connection, place: Place, source: str, target: str) -> Facts:
    """Copy an object and delete its source; the facts of the copy. Raises NotFound."""
    version, answer = await find_version(connection, place, source)
    etag = await copy_version(connection, version, place, target, None)
    await ask(connection, "delete_object", source, **place.at(source))
    return make_facts(version.size, etag, read_mtime(answer))


async def move_folder(connection: Connection, place: Place, source: str, target: str) -> None:
    """Copy everything below a folder, and then delete the sources."""
    note = JOURNAL + new_uuid()
    body = msgspec.json.encode(Move(source, target))
    await ask(connection, "put_object", note, **place.at(note), Body=body)
    await _carry(connection, place, source, target)
    await ask(connection, "delete_object", note, **place.at(note))


async def _carry(connection: Connection, place: Place, source: str, target: str) -> None:
    versions = await _list_versions(connection, place, source)
    there = {version.key: version for version in await _list_versions(connection, place, target)}

    async def copy(version: Version) -> None:
        copied = there.get(target + version.key[len(source) :])
        if copied is None or (copied.etag, copied.size) != (version.etag, version.size):
            await copy_version(connection, version, place, target + version.key[len(source) :], None)

    await ask_many(copy, versions)
    await _verify(connection, place, versions, source, target)
    failed = await delete_keys(connection, place, [version.key for version in versions])
    if failed:
        key, code = next(iter(failed.items()))
        raise Unavailable(f"The S3 server does not delete '{key}' ({code}); repeat the move.", reason="io", path=key)


async def _verify(connection: Connection, place: Place, versions: list[Version], source: str, target: str) -> None:
    """Every copy is there in its full size, or nothing is deleted."""
    there = {version.key: version.size for version in await _list_versions(connection, place, target)}
    for version in versions:
        key = target + version.key[len(source) :]
        if there.get(key) != version.size:
            raise Unavailable(
                f"The S3 server lost the copy '{key}'; nothing was deleted, repeat the move.", reason="io", path=key
            )


async def _list_versions(connection: Connection, place: Place, prefix: str) -> list[Version]:
    found = []
    async for page in list_pages(connection, place, prefix):
        found += [Version(place, key, entry["ETag"], entry["Size"]) for key, entry in page.objects]
    return found


async def finish_moves(connection: Connection, place: Place) -> int:
    """Take up the moves that a crash broke off; how many they were."""
    count = 0
    async for page in list_pages(connection, place, JOURNAL):
        for note, _ in page.objects:
            move = await _read_note(connection, place, note)
            if move is not None:
                log.warning("a move is taken up again", bucket=place.name, source=move.source, target=move.target)
                await _carry(connection, place, move.source, move.target)
                count += 1
            await ask(connection, "delete_object", note, **place.at(note))
    return count


async def _read_note(connection: Connection, place: Place, note: str) -> Move | None:
    try:
        _, data = await fetch(connection, note, **place.at(note))
        return msgspec.json.decode(data, type=Move)
    except (NotFound, msgspec.DecodeError):
        return None
