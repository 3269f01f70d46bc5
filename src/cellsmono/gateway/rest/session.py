"""Sign-in by password: sessions begin, go on and end at one address."""

from collections.abc import Mapping
from typing import Final

import msgspec

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.errors import RestError, bad_request
from cellsmono.gateway.rest.proto_json import Int64
from cellsmono.gateway.rest.routes import unauthorized
from cellsmono.interfaces.people import RefreshSession, RevokeToken, SignIn
from cellsmono.interfaces.sessions import Session
from cellsmono.interfaces.tokens import TokenKind
from cellsmono.kernel.errors import CellsError, Forbidden, NotFound

SHOWN_AGENT: Final = 200
"""Characters of a client's name that a list of sessions shows."""


class SessionRequest(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """What to do, in ``AuthInfo``: ``type`` is ``credentials`` (with ``login`` and ``password``, and ``code`` for who
    has a second factor), ``refresh`` (with ``refresh_token``) or ``logout``. Without a type it is ``credentials`` where
    a login is given.
    """

    auth_info: dict[str, str] = {}
    client_time: int = 0
    logout: bool = False


class SessionToken(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """The tokens of a session. ``expires_at`` is in seconds since the epoch, and about the access token."""

    access_token: str = ""
    refresh_token: str = ""
    expires_at: Int64 = ""


class SessionAnswer(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """``jwt`` is the access token, to be sent as a bearer for ``expire_time`` seconds."""

    jwt: str = msgspec.field(name="JWT", default="")
    expire_time: int = 0
    token: SessionToken | None = None


async def change_session(rest: RestContext, call: Call, body: SessionRequest) -> SessionAnswer:
    """POST /frontend/session."""
    info = body.auth_info
    kind = info.get("type", "credentials" if "login" in info else "")
    if body.logout or kind == "logout":
        await _end(rest, call)
        return SessionAnswer()
    try:
        if kind == "credentials":
            session = await rest.people.perform(_read_credentials(call, info))
        elif kind == "refresh":
            session = await rest.people.perform(RefreshSession(info.get("refresh_token", "")))
        else:
            raise bad_request(f"AuthInfo.type must be credentials, refresh or logout, not {kind[:40]!r}", "auth_type")
    except Forbidden as error:
        raise _refuse(error) from None
    return _tell(session, rest.clock.time())


def _read_credentials(call: Call, info: Mapping[str, str]) -> SignIn:
    return SignIn(
        info.get("login", ""),
        info.get("password", ""),
        call.exchange.headers.get("User-Agent", "")[:SHOWN_AGENT],
        address=call.exchange.remote or "",
        code=info.get("code", ""),
    )


async def _end(rest: RestContext, call: Call) -> None:
    """End the session whose token comes along; a token that was made to be kept stays what it is."""
    scheme, _, text = call.exchange.headers.get("Authorization", "").partition(" ")
    found = rest.bearers.find_bearer(text.strip()) if scheme.lower() == "bearer" else None
    if found is None or found.token.kind is not TokenKind.SESSION:
        return
    try:
        await rest.people.perform(RevokeToken(found.user.login, found.token.id))
    except NotFound:
        return  # it ended meanwhile


def _refuse(error: CellsError) -> RestError:
    """The refusal, in the words that clients look for. It never tells which half was wrong."""
    return unauthorized(error.message, "login")


def _tell(session: Session, now: float) -> SessionAnswer:
    expires = session.token.expires
    return SessionAnswer(
        jwt=session.access,
        expire_time=int(expires - now),
        token=SessionToken(session.access, session.refresh, str(int(expires))),
    )
