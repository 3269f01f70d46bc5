"""What clients are told about somebody, by the scopes that they asked for."""

import base64
import hashlib
from typing import Any

from cellsmono.interfaces.users import User


def claims_of(user: User, scope: str) -> dict[str, Any]:
    """The claims about a user. The subject is the UUID, which stays when the login is given to somebody else.

    With ``pydio`` they have the meaning that Cells gives them: ``name`` is the login.
    """
    scopes, shown = set(scope.split()), user.attributes.get("displayName", "")
    claims: dict[str, Any] = {"sub": user.uuid}
    if "profile" in scopes or "pydio" in scopes:
        claims |= {"name": shown or user.login, "preferred_username": user.login}
    if "email" in scopes and user.attributes.get("email"):
        claims["email"] = user.attributes["email"]
    if "pydio" in scopes:
        claims |= {"name": user.login, "profile": user.profile.value, "groupPath": user.group}
        if shown:
            claims["displayName"] = shown
    return claims


def hash_token(access: str) -> str:
    """``at_hash``: binds an ID token to the access token beside it (OpenID Connect Core, section 3.1.3.6)."""
    half = hashlib.sha256(access.encode()).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()
