"""Tokens: a user ends one, or makes one that is bound to a node."""

from typing import Final

import msgspec

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.errors import RestError
from cellsmono.gateway.rest.finding import find_node
from cellsmono.gateway.rest.paths import parse_path, require_inner
from cellsmono.interfaces.people import CreateToken, RevokeToken
from cellsmono.interfaces.tokens import TOKEN_PREFIX

DOCUMENT_SECONDS: Final = 3_600.0
"""How long a token that is bound to a document is good."""
_SHOWN: Final = 150


class RevokeRequest(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """The token to end, or its id; empty: the one that came along."""

    token_id: str = ""


class RevokeAnswer(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """That it is ended."""

    success: bool = False
    message: str = ""


class DocumentRequest(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """The node that the token shall be good for, with all below it."""

    path: str = ""
    client_id: str = msgspec.field(name="ClientID", default="")


class DocumentAnswer(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """The token."""

    access_token: str = ""


async def revoke(rest: RestContext, call: Call, body: RevokeRequest) -> RevokeAnswer:
    """POST /auth/token/revoke: of the own tokens and sessions alone."""
    current = call.caller.token
    text = body.token_id.removeprefix(TOKEN_PREFIX).partition("_")[0]
    token = text or (current.id if current is not None else "")
    if call.caller.is_bound and (current is None or token != current.id):
        raise RestError(403, "scope", "This token is bound to nodes, and may end nothing but itself")
    await rest.people.perform(RevokeToken(call.user.login, token))
    return RevokeAnswer(success=True, message="Token revoked")


async def create_for_document(rest: RestContext, call: Call, body: DocumentRequest) -> DocumentAnswer:
    """POST /auth/token/document: a token that is good for one node, for an hour."""
    path = require_inner(parse_path(body.path))
    node = await find_node(rest.router, call.actor, path)
    about = f"document {path.shown}"[:_SHOWN]
    made = await rest.people.perform(CreateToken(call.user.login, about, (f"node:{node.uuid}:rw",), DOCUMENT_SECONDS))
    return DocumentAnswer(made.secret)
