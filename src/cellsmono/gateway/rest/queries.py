"""Searches over people: a few queries that are combined, and a page of what they find."""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

import msgspec

from cellsmono.gateway.rest.errors import bad_request
from cellsmono.gateway.rest.proto_json import ProtoEnum

T = TypeVar("T")
MOST_QUERIES = 100
LONGEST_PATTERN = 1_000


class Operation(ProtoEnum):
    """How queries are combined: what one of them finds, or what all of them find."""

    OR = "OR"
    AND = "AND"


class Query(Protocol):
    """One query; ``is_not`` turns it around."""

    @property
    def is_not(self) -> bool:
        """Whether all but what it says is meant."""


Q = TypeVar("Q", bound=Query)


class Search(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """What all searches have in common. ``limit`` 0: all. ``count_only``: how many there are, without them."""

    offset: int = 0
    limit: int = 0
    count_only: bool = False
    operation: Operation = Operation.OR


def choose(items: Iterable[T], queries: Sequence[Q], operation: Operation, matches: Callable[[Q, T], bool]) -> list[T]:
    """What the queries find, in its order; without any, all. Raises RestError (400) for too many of them."""
    if len(queries) > MOST_QUERIES:
        raise bad_request(f"At most {MOST_QUERIES} queries can be combined", "queries")
    if not queries:
        return list(items)
    combine = any if operation is Operation.OR else all
    return [item for item in items if combine(matches(query, item) != query.is_not for query in queries)]


def cut(found: Sequence[T], search: Search) -> list[T]:
    """The page that was asked for."""
    if search.offset < 0 or search.limit < 0:
        raise bad_request("Offset and Limit are at least 0", "limit")
    if search.count_only:
        return []
    end = search.offset + search.limit if search.limit else None
    return list(found[search.offset : end])


def is_like(pattern: str, text: str) -> bool:
    """Whether a text is a pattern, in which ``*`` is any text; case does not matter. An empty pattern is any text.

    Raises RestError (400) for one that is too long.
    """
    if not pattern:
        return True
    if len(pattern) > LONGEST_PATTERN:
        raise bad_request(f"A text to look for has at most {LONGEST_PATTERN} characters", "queries")
    escaped = pattern.casefold().replace("[", "[[]").replace("?", "[?]")
    return fnmatchcase(text.casefold(), escaped)
