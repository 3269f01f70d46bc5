"""Asking the server: one call with its errors explained, many calls side by side, listings page by page."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from cellsmono.datasource.objects.s3.endpoint import REQUESTS_AT_ONCE, Connection
from cellsmono.datasource.objects.s3.failures import explained
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.kernel.errors import NotFound

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
    client = await connection.client()
    with explained(key):
        answer: dict[str, Any] = await getattr(client, operation)(**arguments)
        return answer


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
    """What the server tells about an object; None when there is none."""
    if place.is_too_long(key):
        return None
    try:
        return await ask(connection, "head_object", key, **place.at(key))
    except NotFound:
        return None


async def list_pages(
    connection: Connection, place: Place, prefix: str, *, delimiter: str = "", after: str = "", limit: int = 1000
) -> AsyncIterator[Page]:
    """Pages of everything whose key begins with ``prefix``, in key order, from behind ``after`` on."""
    arguments: dict[str, Any] = {"Bucket": place.bucket, "Prefix": place.prefix + prefix, "MaxKeys": limit}
    if delimiter:
        arguments["Delimiter"] = delimiter
    if after:
        arguments["StartAfter"] = place.prefix + after
    skip = len(place.prefix)
    while True:
        answer = await ask(connection, "list_objects_v2", prefix, **arguments)
        yield Page(
            [(entry["Key"][skip:], entry) for entry in answer.get("Contents", ())],
            [entry["Prefix"][skip:] for entry in answer.get("CommonPrefixes", ())],
        )
        token = answer.get("NextContinuationToken")
        if not answer.get("IsTruncated") or not token:
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
