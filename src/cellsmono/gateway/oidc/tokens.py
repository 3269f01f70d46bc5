"""``/oidc/oauth2/token`` and ``/oidc/oauth2/revoke``: codes and refresh tokens become sessions, and sessions end."""

import base64
import binascii
from typing import Any
from urllib.parse import unquote_plus

from aiohttp import web

from cellsmono.gateway.oidc.claims import claims_of, hash_token
from cellsmono.gateway.oidc.context import CONTEXT, OidcContext, agent_of
from cellsmono.gateway.oidc.discovery import issuer_of
from cellsmono.gateway.oidc.errors import OAuthError
from cellsmono.gateway.oidc.forms import read_form
from cellsmono.interfaces.oidc import OidcClient
from cellsmono.interfaces.people import RefreshSession
from cellsmono.interfaces.sessions import Session
from cellsmono.interfaces.signing_in import EndByToken, ReadBearer, RedeemCode
from cellsmono.interfaces.users import User
from cellsmono.kernel.errors import Forbidden

FORM_TYPE = "application/x-www-form-urlencoded"


async def give_tokens(request: web.Request) -> web.Response:
    """POST /oidc/oauth2/token (RFC 6749, sections 4.1.3 and 6)."""
    context = request.app[CONTEXT]
    fields = await _read_form(request)
    client = _find_client(request, fields, context)
    kind = _need(fields, "grant_type")
    try:
        if kind == "authorization_code":
            return web.json_response(await _redeem(request, context, client, fields))
        if kind == "refresh_token":
            return web.json_response(await _refresh(request, context, client, fields))
    except Forbidden:
        raise OAuthError("invalid_grant", "It is not good, or not any more: sign in again") from None
    raise OAuthError("unsupported_grant_type", "grant_type must be 'authorization_code' or 'refresh_token'")


async def revoke(request: web.Request) -> web.Response:
    """POST /oidc/oauth2/revoke (RFC 7009): whatever the token is, the answer is the same."""
    context = request.app[CONTEXT]
    fields = await _read_form(request)
    client = _find_client(request, fields, context)
    await context.people.perform(EndByToken(_need(fields, "token"), client.id))
    return web.Response()


async def _redeem(
    request: web.Request, context: OidcContext, client: OidcClient, fields: dict[str, str]
) -> dict[str, Any]:
    code, redirect = _need(fields, "code"), _need(fields, "redirect_uri")
    verifier = fields.get("code_verifier", "")
    wanted = RedeemCode(code, client.id, redirect, verifier, agent_of(request), request.remote or "")
    granted = await context.people.perform(wanted)
    more: dict[str, Any] = {"auth_time": int(granted.since)}
    if granted.nonce:
        more["nonce"] = granted.nonce
    return await _tell(context, issuer_of(context.site.find(request)), client, granted.user, granted.session, more)


async def _refresh(
    request: web.Request, context: OidcContext, client: OidcClient, fields: dict[str, str]
) -> dict[str, Any]:
    session = await context.people.perform(RefreshSession(_need(fields, "refresh_token"), client.id))
    user, _ = await context.people.perform(ReadBearer(session.access))
    return await _tell(context, issuer_of(context.site.find(request)), client, user, session, {})


async def _tell(
    context: OidcContext, issuer: str, client: OidcClient, user: User, session: Session, more: dict[str, Any]
) -> dict[str, Any]:
    now, expires = int(context.clock.time()), int(session.token.expires)
    answer: dict[str, Any] = {
        "access_token": session.access,
        "token_type": "bearer",
        "expires_in": expires - now,
        "scope": session.scope,
    }
    if session.refresh:
        answer["refresh_token"] = session.refresh
    if "openid" in session.scope.split():
        claims = {
            "iss": issuer,
            "aud": client.id,
            "iat": now,
            "exp": expires,
            "at_hash": hash_token(session.access),
            **claims_of(user, session.scope),
            **more,
        }
        answer["id_token"] = await context.id_tokens.sign(claims)
    return answer


async def _read_form(request: web.Request) -> dict[str, str]:
    if request.content_type != FORM_TYPE:
        raise OAuthError("invalid_request", f"The body must be a form, {FORM_TYPE}")
    form = await read_form(request)
    if len(set(form)) != len(form):
        raise OAuthError("invalid_request", "A field is given more than once")
    return dict(form)


def _need(fields: dict[str, str], name: str) -> str:
    if not fields.get(name):
        raise OAuthError("invalid_request", f"The field {name!r} is missing")
    return fields[name]


def _find_client(request: web.Request, fields: dict[str, str], context: OidcContext) -> OidcClient:
    """The client, by the form or by Basic authentication. Raises OAuthError (401)."""
    client_id, secret = fields.get("client_id", ""), fields.get("client_secret", "")
    header = request.headers.get("Authorization", "")
    if header:
        given_id, secret = _read_basic(header)
        if client_id not in {"", given_id}:
            raise OAuthError("invalid_request", "Two clients are named")
        client_id = given_id
    found = context.clients.authenticate(client_id, secret)
    if found is None:
        raise OAuthError("invalid_client", "The client is not known, or does not prove who it is", 401)
    return found


def _read_basic(header: str) -> tuple[str, str]:
    """Both parts are encoded as in a form (RFC 6749, section 2.3.1)."""
    scheme, _, text = header.partition(" ")
    try:
        decoded = base64.b64decode(text.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    client_id, colon, secret = decoded.partition(":")
    if not colon:
        raise OAuthError("invalid_client", "The Authorization header is no Basic authentication", 401)
    return unquote_plus(client_id), unquote_plus(secret)
