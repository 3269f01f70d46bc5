"""What a client asks for at ``/oidc/oauth2/auth``: read strictly, since anybody can make a browser ask."""

import re
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec
from multidict import MultiMapping

from cellsmono.gateway.oidc.clients import Clients, allows
from cellsmono.gateway.oidc.errors import OAuthError, PageError
from cellsmono.interfaces.oidc import OidcClient, Wanted
from cellsmono.interfaces.sessions import FULL_ACCESS

SCOPES = ("openid", "email", "profile", "pydio", "offline", "offline_access")
PROMPTS = frozenset({"none", "login", "consent", "select_account"})
LONGEST_VALUE = 2_048
_CHALLENGES = {"S256": re.compile(r"[A-Za-z0-9_-]{43}"), "plain": re.compile(r"[A-Za-z0-9._~-]{43,128}")}
_MAX_AGE = re.compile(r"\d{1,9}", re.ASCII)


class Asked(msgspec.Struct, frozen=True):
    """A request that can be answered: by a page, or at ``wanted.redirect``.

    ``max_age`` is in seconds, -1 for any age of a sign-in.
    """

    client: OidcClient
    wanted: Wanted
    state: str
    prompt: frozenset[str]
    max_age: int = -1


def read_target(query: MultiMapping[str], clients: Clients, site: str) -> tuple[OidcClient, str]:
    """The client, and where it may be answered. Raises PageError: nothing else is a safe address for an error."""
    client = clients.find(_only(query, "client_id"))
    if client is None:
        raise PageError("The program that sent you here is not known to this server.")
    redirect = _only(query, "redirect_uri")
    if not redirect or not allows(client, redirect, site):
        raise PageError("The program that sent you here asks for an address that is not registered for it.")
    return client, redirect


def _only(query: MultiMapping[str], name: str) -> str:
    values = query.getall(name, [])
    return values[0] if len(values) == 1 and len(values[0]) <= LONGEST_VALUE else ""


def read_asked(query: MultiMapping[str], client: OidcClient, redirect: str) -> Asked:
    """The rest of the request. Raises OAuthError, which goes to the client."""
    for name in set(query):
        if len(query.getall(name)) > 1:
            raise OAuthError("invalid_request", f"{name[:40]!r} is given more than once")
        if len(query[name]) > LONGEST_VALUE:
            raise OAuthError("invalid_request", f"{name[:40]!r} is too long")
    for name, code in (("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")):
        if name in query:
            raise OAuthError(code, f"{name!r} is not supported: send plain parameters")
    if query.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "response_type must be 'code'")
    if query.get("response_mode", "query") != "query":
        raise OAuthError("invalid_request", "response_mode must be 'query'")
    prompt = frozenset(query.get("prompt", "").split())
    if not prompt <= PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise OAuthError("invalid_request", f"prompt must be some of {', '.join(sorted(PROMPTS))}, and 'none' alone")
    age = query.get("max_age", "")
    if age and _MAX_AGE.fullmatch(age) is None:
        raise OAuthError("invalid_request", "max_age must be a number of seconds")
    challenge, method = _read_challenge(query)
    asked_scopes = query.get("scope", "").split()
    scope = " ".join(each for each in SCOPES if each in asked_scopes and (client.full_access or each != FULL_ACCESS))
    wanted = Wanted(client.id, redirect, scope, query.get("nonce", ""), challenge, method)
    return Asked(client, wanted, query.get("state", ""), prompt, int(age) if age else -1)


def _read_challenge(query: Mapping[str, str]) -> tuple[str, str]:
    challenge = query.get("code_challenge", "")
    if not challenge:
        if "code_challenge_method" in query:
            raise OAuthError("invalid_request", "code_challenge_method needs a code_challenge")
        return "", ""
    method = query.get("code_challenge_method", "plain")
    if method not in _CHALLENGES:
        raise OAuthError("invalid_request", "code_challenge_method must be 'S256' or 'plain'")
    if _CHALLENGES[method].fullmatch(challenge) is None:
        raise OAuthError("invalid_request", f"code_challenge is no challenge of the method {method!r} (RFC 7636)")
    return challenge, method


def add_to_redirect(redirect: str, fields: Mapping[str, str]) -> str:
    """The address with more in its query. The parts that are empty are left out."""
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"{redirect}{'&' if '?' in redirect else '?'}{query}"
