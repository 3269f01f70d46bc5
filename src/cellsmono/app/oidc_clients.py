"""Clients of the sign-in page as the configuration has them, and the address that they find it at."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from cellsmono.app.config import ServerConfig, parse_address
from cellsmono.interfaces.oidc import OidcClient, check_redirect_uri
from cellsmono.kernel.errors import Invalid

LEAST_SECRET = 16


def read_client(table: Mapping[str, Any], origin: str) -> OidcClient:
    """A client of a table ``[[oidc_client]]``. Raises Invalid, which never tells the secret."""
    try:
        client = msgspec.convert(table, OidcClient)
    except msgspec.ValidationError as error:
        text = str(error)
        raise Invalid(f"{origin} is wrong: {text[:1].lower()}{text[1:]}") from None
    if not client.id or not client.id.isascii() or not client.id.isprintable() or " " in client.id:
        raise Invalid(f"{origin}: the key 'id' must be there, ASCII and without spaces")
    if not client.redirect_uris:
        raise Invalid(f"{origin}: the key 'redirect_uris' must name the addresses that people may be sent back to")
    for uri in client.redirect_uris:
        try:
            check_redirect_uri(uri)
        except Invalid as error:
            raise Invalid(f"{origin}: {error.message}") from None
    if client.secret and len(client.secret) < LEAST_SECRET:
        raise Invalid(f"{origin}: the secret must have at least {LEAST_SECRET} characters")
    return client


def find_site(server: ServerConfig) -> str:
    """The address to give to people. Raises Invalid when there is no main listener."""
    if server.external_url:
        return server.external_url
    address = parse_address(server.listen)
    if address is None:
        raise Invalid("the main listener is off (server.listen): there is no page to link to")
    return f"http://{address}"


def check_external_url(url: str, origin: str) -> None:
    """Raise Invalid for what is neither empty nor the address of a whole host."""
    if not url:
        return
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or url != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc:
        raise Invalid(
            f"server.external_url = {url!r} ({origin}) must be http:// or https:// with a host and nothing after it, "
            "as in https://files.example.org"
        )
