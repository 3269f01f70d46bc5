"""Asking the server: one call with its errors explained, many calls side by side, listings page by page."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from cellsmono.datasource.objects.names import not_found
from cellsmono.datasource.objects.s3.endpoint import REQUESTS_AT_ONCE, Connection
from cellsmono.datasource.objects.s3.failures import explained, whole_answers
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.sums import encode_crc32
from cellsmono.kernel.errors import Corrupt, Forbidden, NotFound, Unavailable

T = TypeVar("T")
R = TypeVar("R")

KEYS_A_DELETE = 1000
"""S3's most keys in one DeleteObjects."""


class Page(msgspec.Struct):
    """A page of a listing: objects with their keys inside the place, and folders (ending with ``/``) directly below."""

    objects: list[tuple[str, Mapping[str, Any]]]
    folders: list[str]


async def ask(connection: Connection, operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
    """One call of the client. Raises the domain's errors, which speak of ``key``."""
    call = await _prepare(connection, operation, arguments)
    patience = connection.patience
    with explained(key):
        return await patience.insist(call, patience.allowed(operation, len(arguments.get("Body", b""))))


async def fetch(connection: Connection, key: str, **arguments: Any) -> tuple[dict[str, Any], bytes]:
    """A small object, headers and bytes, whole or not at all. Raises the domain's errors, NotFound among them."""
    call = await _prepare(connection, "get_object", arguments)

    async def read() -> tuple[dict[str, Any], bytes]:
        answer = await call()
        async with answer["Body"] as stream:
            with whole_answers():
                return answer, await stream.read()

    with explained(key):
        return await connection.patience.insist(read, connection.patience.allowed("get_object"))


async def _prepare(
    connection: Connection, operation: str, arguments: dict[str, Any]
) -> Callable[[], Awaitable[dict[str, Any]]]:
    """One call of the client, as often as it must be made."""
    send = await connection.caller(operation)
    if "Body" in arguments and connection.endpoint.checksums:
        known = getattr(arguments["Body"], "crc32", "")
        arguments["ChecksumCRC32"] = known or encode_crc32(zlib.crc32(arguments["Body"]))

    async def call() -> dict[str, Any]:
        with whole_answers():
            return await send(arguments)

    return call


async def ask_many(call: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
    """Make a call for each item, a bounded number of them at once; the first error ends the others."""
    results: dict[int, R] = {}
    waiting = enumerate(items)

    async def work() -> None:
        for number, item in waiting:
            results[number] = await call(item)

    tasks = [asyncio.ensure_future(work()) for _ in range(REQUESTS_AT_ONCE)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [results[number] for number in range(len(results))]


async def head(connection: Connection, place: Place, key: str) -> dict[str, Any] | None:
    """What the server tells about an object; None when there is none, or the bucket is away (see ``find_head``)."""
    if place.is_too_long(key):
        return None
    try:
        return await ask(connection, "head_object", key, **place.at(key))
    except NotFound:
        return None


async def find_head(connection: Connection, place: Place, key: str) -> dict[str, Any]:
    """What the server tells about an object. Raises NotFound, Unavailable.

    The answer to a HEAD has no body, and so can not tell an absent object from an absent bucket, or a key that was
    revoked from one that may not read this: whatever it refuses, a listing is asked for the reason.
    """
    if place.is_too_long(key):
        raise not_found(key)
    try:
        return await ask(connection, "head_object", key, **place.at(key))
    except (NotFound, Forbidden, Corrupt):
        await has_any(connection, place, key)
        raise


async def list_pages(
    connection: Connection, place: Place, prefix: str, *, delimiter: str = "", after: str = "", limit: int = 1000
) -> AsyncIterator[Page]:
    """Pages of everything whose key begins with ``prefix``, in key order, from behind ``after`` on.

    What is no whole listing raises: names that are missing in one would be taken for deleted.
    """
    arguments: dict[str, Any] = {"Bucket": place.bucket, "Prefix": place.prefix + prefix, "MaxKeys": limit}
    if delimiter:
        arguments["Delimiter"] = delimiter
    if after:
        arguments["StartAfter"] = place.prefix + after
    skip = len(place.prefix)
    while True:
        try:
            answer = await ask(connection, "list_objects_v2", prefix, **arguments)
        except NotFound as error:
            raise Unavailable("The S3 server has no listing of the bucket.", reason="offline", path=prefix) from error
        token = answer.get("NextContinuationToken")
        if "IsTruncated" not in answer or (answer["IsTruncated"] and not token):
            raise Unavailable("The S3 server sends half a listing; try again later.", reason="io", path=prefix)
        yield Page(
            [(entry["Key"][skip:], entry) for entry in answer.get("Contents", ())],
            [entry["Prefix"][skip:] for entry in answer.get("CommonPrefixes", ())],
        )
        if not answer["IsTruncated"]:
            return
        arguments["ContinuationToken"] = token


async def has_any(connection: Connection, place: Place, prefix: str) -> bool:
    """Whether any key begins with ``prefix``."""
    async for page in list_pages(connection, place, prefix, limit=1):
        return bool(page.objects)
    return False


async def delete_keys(connection: Connection, place: Place, keys: list[str]) -> dict[str, str]:
    """Delete many objects; the S3 error codes of those that could not be, by key."""
    failed: dict[str, str] = {}
    for start in range(0, len(keys), KEYS_A_DELETE):
        part = [{"Key": place.prefix + key} for key in keys[start : start + KEYS_A_DELETE]]
        answer = await ask(connection, "delete_objects", Bucket=place.bucket, Delete={"Objects": part, "Quiet": True})
        for error in answer.get("Errors", ()):
            failed[error["Key"][len(place.prefix) :]] = error.get("Code", "InternalError")
    return failed
