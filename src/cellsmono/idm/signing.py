"""Signatures of users: a token as the access key with a secret that everybody knows, or a key pair with its own.

A token is a secret by itself. Clients of Cells sign with it as the access key and the word ``gatewaysecret``; the
signature then proves nothing but that the request came as it was sent, and the token proves who sent it.
"""

import msgspec

from cellsmono.idm.auth import AuthService, StoredToken
from cellsmono.idm.user import UserService
from cellsmono.interfaces.bearers import Bearer
from cellsmono.interfaces.credentials import UserKey
from cellsmono.interfaces.tokens import TOKEN_PREFIX

GATEWAY_SECRET = "gatewaysecret"  # noqa: S105 - what all clients of Cells sign with


class UserSigners:
    """The users among ``interfaces.credentials.Signers``, and all of ``interfaces.bearers.Bearers``."""

    def __init__(self, users: UserService, auth: AuthService) -> None:
        self._users = users
        self._auth = auth

    def find_secret(self, access_key: str) -> str | None:
        """See ``Signers``."""
        if access_key.startswith(TOKEN_PREFIX):
            token = self._auth.find_token(access_key)
            return GATEWAY_SECRET if token is not None and self._may_come_in(token.user) else None
        pair = self._auth.find_pair(access_key)
        return pair.pair.secret if pair is not None and self._may_come_in(pair.user) else None

    def find_user(self, access_key: str) -> UserKey | None:
        """See ``Signers``."""
        if access_key.startswith(TOKEN_PREFIX):
            token = self._auth.find_token(access_key)
            return None if token is None else self._use_token(token)
        pair = self._auth.find_pair(access_key)
        user = None if pair is None else self._users.find_uuid(pair.user)
        return None if user is None else UserKey(user.uuid, user.login, access_key)

    def find_bearer(self, text: str) -> Bearer | None:
        """See ``Bearers``."""
        stored = self._auth.find_token(text) if text.startswith(TOKEN_PREFIX) else None
        user = self._users.find_uuid(stored.user) if stored is not None else None
        if stored is None or user is None or user.is_locked_out:
            return None
        self._auth.note_use(stored)
        return Bearer(user, msgspec.structs.replace(stored.token, login=user.login))

    def _use_token(self, stored: StoredToken) -> UserKey | None:
        user = self._users.find_uuid(stored.user)
        if user is None:
            return None
        self._auth.note_use(stored)
        return UserKey(user.uuid, user.login, TOKEN_PREFIX + stored.token.id, stored.token.scopes)

    def _may_come_in(self, uuid: str) -> bool:
        user = self._users.find_uuid(uuid)
        return user is not None and not user.is_locked_out
