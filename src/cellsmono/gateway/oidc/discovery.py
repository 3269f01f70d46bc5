"""What clients read first: where everything is, and which keys ID tokens are signed with."""

from typing import Any, Final

from aiohttp import web

from cellsmono.gateway.oidc.authorization import SCOPES
from cellsmono.gateway.oidc.context import CONTEXT

BASE: Final = "/oidc"


def issuer_of(site: str) -> str:
    """What the provider is called in tokens."""
    return site + BASE


def describe(site: str) -> dict[str, Any]:
    """The provider's metadata (OpenID Connect Discovery 1.0, section 3; RFC 8414)."""
    issuer = issuer_of(site)
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth2/auth",
        "token_endpoint": f"{issuer}/oauth2/token",
        "revocation_endpoint": f"{issuer}/oauth2/revoke",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "end_session_endpoint": f"{issuer}/logout",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256", "plain"],
        "scopes_supported": list(SCOPES),
        "claims_supported": [
            *("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash"),
            *("name", "preferred_username", "email", "displayName", "profile", "groupPath"),
        ],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
    }


async def show_metadata(request: web.Request) -> web.Response:
    """GET /oidc/.well-known/openid-configuration."""
    return web.json_response(describe(request.app[CONTEXT].site.find(request)))


async def show_keys(request: web.Request) -> web.Response:
    """GET /oidc/.well-known/jwks.json."""
    return web.json_response({"keys": await request.app[CONTEXT].id_tokens.list_public_keys()})
