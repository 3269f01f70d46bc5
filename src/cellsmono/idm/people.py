"""Everything about people in one place: opens the services, and hands each request to who knows its answer."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self, cast

from cellsmono.idm.attempts import Attempts
from cellsmono.idm.auth import AuthService
from cellsmono.idm.auth_requests import AuthRequests
from cellsmono.idm.database import open_database
from cellsmono.idm.passwords import Passwords
from cellsmono.idm.sign_in import SignIn
from cellsmono.idm.user import UserService
from cellsmono.idm.user_requests import UserRequests
from cellsmono.interfaces.people import R, Request
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.service import Service
from cellsmono.store.database import Database


class PeopleStore:
    """Implements ``interfaces.people.People``. Make it with ``open``; its ``services`` are for the listing."""

    def __init__(
        self, database: Database, users: UserService, auth: AuthService, clock: Clock, passwords: Passwords
    ) -> None:
        self._database = database
        self.services: tuple[Service, ...] = (users, auth)
        turn = asyncio.Lock()
        sign_in = SignIn(users, passwords, Attempts(clock), turn)
        self._handlers: dict[type, Callable[[Any], Awaitable[Any]]] = {
            **UserRequests(database, users, auth, sign_in, passwords, turn).handlers(),
            **AuthRequests(users, auth, turn).handlers(),
        }

    @classmethod
    async def open(cls, data_dir: Path, clock: Clock, passwords: Passwords | None = None) -> Self:
        """Open or make the database and read it. Raises what ``Database.open`` raises, and Corrupt."""
        database = await open_database(data_dir)
        try:
            users = await UserService.open(database, clock)
            auth = await AuthService.open(database, clock)
            return cls(database, users, auth, clock, passwords or Passwords())
        except BaseException:
            await database.close()
            raise

    async def close(self) -> None:
        """Close the database."""
        await self._database.close()

    async def perform(self, request: Request[R]) -> R:
        """See ``People``."""
        return cast("R", await self._handlers[type(request)](request))
