"""Tokens beside the signature, as clients of Cells send them: ``pydio_jwt`` in the query, or ``X-Pydio-Bearer``.

Such a request is signed with the access key ``gateway``, whose secret everybody knows, or by nobody. The signature then
proves nothing, and the token who sent it: without one, nobody did.
"""

from typing import Final

import msgspec
from multidict import MultiMapping

from cellsmono.gateway.s3.addressing import Query
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.identity import BEARER_PARAMETER, Identity
from cellsmono.interfaces.credentials import GATEWAY_KEY, Signers

HEADER: Final = "x-pydio-bearer"


def with_bearer(identity: Identity, headers: MultiMapping[str], query: Query, signers: Signers) -> Identity:
    """Who really sent a request. Raises S3Error AccessDenied for a token that is not good, or that is missing."""
    by_gateway = identity.access_key == GATEWAY_KEY and not signers.is_owner(GATEWAY_KEY)
    if identity.access_key and not by_gateway:
        return identity
    token = query.get(BEARER_PARAMETER) or headers.get(HEADER, "")
    if not token:
        if by_gateway:
            raise S3Error(
                "AccessDenied", f"The access key {GATEWAY_KEY!r} needs a token: {BEARER_PARAMETER} or {HEADER}."
            )
        return identity
    if not signers.is_token(token):
        raise S3Error("AccessDenied", "The token is not good, or not any more: sign in again.")
    return msgspec.structs.replace(identity, access_key=token)
