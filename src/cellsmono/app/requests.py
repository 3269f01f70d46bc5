"""Requests of all rooms at one counter: who asks need not know who answers."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from cellsmono.interfaces.people import People, R, Request


class Counter:
    """``People`` that also answers what other rooms have handlers for."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._handlers: dict[type, Callable[[Any], Awaitable[Any]]] = {}

    def add(self, handlers: Mapping[type, Callable[[Any], Awaitable[Any]]]) -> None:
        """More handlers, by the type of their request."""
        self._handlers.update(handlers)

    async def perform(self, request: Request[R]) -> R:
        """See ``People``."""
        handler = self._handlers.get(type(request))
        if handler is None:
            return await self._people.perform(request)
        return cast("R", await handler(request))
