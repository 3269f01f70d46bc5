"""Sign-in by password, and by a code where there is a second factor.

Neither answer nor time nor delay tells whether a user exists. The code is asked for together with the password, and
what is said is the same whichever was wrong: who guesses passwords does not learn that one was right.
"""

import asyncio
import math

from cellsmono.idm.attempts import Attempts
from cellsmono.idm.names import key_of
from cellsmono.idm.passwords import Passwords
from cellsmono.idm.second_factor import SecondFactors
from cellsmono.idm.user import UserService
from cellsmono.interfaces.users import LOCK_PASSWORD, User
from cellsmono.kernel.errors import Forbidden
from cellsmono.kernel.log import get_logger

log = get_logger("idm.auth")


class SignIn:
    """Checks passwords. ``turn`` is held while users are changed."""

    def __init__(
        self,
        users: UserService,
        factors: SecondFactors,
        passwords: Passwords,
        attempts: Attempts,
        turn: asyncio.Lock,
    ) -> None:
        self._users = users
        self._factors = factors
        self._passwords = passwords
        self._attempts = attempts
        self._turn = turn

    async def check(self, login: str, password: str, code: str = "") -> User:
        """The user, if password and code are right and no lock stands in the way; notes the moment.

        Who has no second factor needs no ``code``. One that was good is used up.

        Raises Forbidden, which never says which half was wrong: reason ``login_delay`` for an attempt that came too
        early and was not looked at, ``login`` for any other. Raises Unavailable when too many sign in at once.
        """
        key = key_of(login)
        if early := self._attempts.begin(key):
            raise Forbidden(f"Login failed: try again in {math.ceil(early)} seconds", reason="login_delay")
        user = self._users.find(login)
        outcome = await self._passwords.verify(self._users.hash_of(user.uuid) if user else "", password)
        async with self._turn:
            user = self._users.find(login)
            is_right = user is not None and not user.locks and outcome.is_right
            if user is None or not is_right or not await self._factors.use(user.uuid, code):
                self._refuse(user, key)
                raise Forbidden("Login failed", reason="login")
            self._attempts.forget(key)
            return await self._users.note_login(user, outcome.fresh_hash)

    def _refuse(self, user: User | None, key: str) -> None:
        log.info("sign-in failed", exists=user is not None)
        if user is not None and LOCK_PASSWORD not in user.locks and self._attempts.is_exhausted(key):
            self._users.lock_password(user)

    def forgive(self, user: User) -> None:
        """Forget wrong attempts."""
        self._attempts.forget(key_of(user.login))
