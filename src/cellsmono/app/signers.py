"""Everybody whose signatures are good: the owner, and users."""

from cellsmono.app.settings import StoredCredentials
from cellsmono.idm.signing import UserSigners
from cellsmono.interfaces.credentials import UserKey


class AllSigners:
    """Implements ``interfaces.credentials.Signers``."""

    def __init__(self, owner: StoredCredentials, users: UserSigners) -> None:
        self._owner = owner
        self._users = users

    def find_secret(self, access_key: str) -> str | None:
        """See ``Signers``."""
        return self._owner.find_secret(access_key) or self._users.find_secret(access_key)

    def is_owner(self, access_key: str) -> bool:
        """See ``Signers``."""
        return self._owner.find_secret(access_key) is not None

    def is_token(self, text: str) -> bool:
        """See ``Signers``."""
        return self._users.find_bearer(text) is not None

    def find_user(self, access_key: str) -> UserKey | None:
        """See ``Signers``."""
        return self._users.find_user(access_key)
