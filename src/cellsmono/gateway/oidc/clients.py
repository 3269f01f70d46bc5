"""Who may ask people to sign in, and where they may be sent back to."""

import hmac
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from cellsmono.interfaces.oidc import PORT_RANGE, SITE, OidcClient
from cellsmono.interfaces.sessions import FRONTEND

OOB_PATH = "/oauth2/oob"
"""The page that shows a code, for clients that can not be sent one."""

BUILT_IN = (
    OidcClient(id=FRONTEND, name="Cells", redirect_uris=(f"{SITE}/auth/callback",), full_access=True),
    OidcClient(
        id="cells-sync",
        name="Cells Sync",
        redirect_uris=(
            "http://localhost:3000/servers/callback",
            "http://localhost:[3636-3666]/servers/callback",
        ),
        full_access=True,
    ),
    OidcClient(
        id="cells-client",
        name="Cells command line",
        redirect_uris=("http://localhost:3000/servers/callback", f"{SITE}{OOB_PATH}", f"{SITE}/oidc{OOB_PATH}"),
        full_access=True,
    ),
    OidcClient(id="cells-mobile", name="Cells mobile", redirect_uris=("cellsauth://callback",), full_access=True),
)


class Clients:
    """The clients of Cells, and those of the configuration."""

    def __init__(self, configured: Sequence[OidcClient] = ()) -> None:
        self._clients = {client.id: client for client in (*BUILT_IN, *configured)}

    def find(self, client_id: str) -> OidcClient | None:
        """The client with an id."""
        return self._clients.get(client_id)

    def authenticate(self, client_id: str, secret: str) -> OidcClient | None:
        """The client that says who it is; None for a stranger, and for a wrong secret.

        What a client without a secret says as one is not looked at: it proves nothing.
        """
        client = self._clients.get(client_id)
        if client is None or not client.secret:
            return client
        return client if hmac.compare_digest(client.secret.encode(), secret.encode("utf-8", "replace")) else None


def allows(client: OidcClient, redirect: str, site: str) -> bool:
    """Whether codes for a client may be sent to an address: one that was registered, to the letter."""
    return any(_matches(pattern, redirect, site) for pattern in client.redirect_uris)


def _matches(pattern: str, redirect: str, site: str) -> bool:
    if pattern.startswith(SITE):
        pattern = site + pattern[len(SITE) :]
    ports = PORT_RANGE.search(pattern)
    if ports is None:
        return redirect == pattern
    before, after = pattern[: ports.start()] + ":", pattern[ports.end() :]
    if not (redirect.startswith(before) and redirect.endswith(after)):
        return False
    port = redirect[len(before) : len(redirect) - len(after)]
    return re.fullmatch(r"[1-9]\d{0,4}", port, re.ASCII) is not None and int(ports[1]) <= int(port) <= int(ports[2])


def is_assured(redirect: str, site: str) -> bool:
    """Whether an address belongs to whom it says. Any program of a machine can answer at its own addresses, and at
    schemes of its own; before those get a code without a password, somebody is asked (RFC 8252, section 8.6).
    """
    return urlsplit(redirect).scheme == "https" or redirect.startswith(site + "/")
