"""What the handlers work with."""

from typing import Final

from aiohttp import web

from cellsmono.gateway.oidc.clients import Clients
from cellsmono.gateway.oidc.forms import Forms
from cellsmono.gateway.oidc.site import Site
from cellsmono.interfaces.oidc import IdTokens, OidcClient
from cellsmono.interfaces.people import People
from cellsmono.kernel.clock import Clock

LONGEST_AGENT: Final = 200
"""Characters of what a client says it is."""


class OidcContext:
    """People, the keys of ID tokens, the clients, and the address of this server."""

    def __init__(
        self,
        people: People,
        id_tokens: IdTokens,
        clock: Clock,
        clients: tuple[OidcClient, ...] = (),
        external_url: str = "",
    ) -> None:
        self.people = people
        self.id_tokens = id_tokens
        self.clock = clock
        self.clients = Clients(clients)
        self.site = Site(external_url)
        self.forms = Forms()


CONTEXT = web.AppKey("oidc", OidcContext)


def agent_of(request: web.Request) -> str:
    """What a client or browser says it is."""
    return request.headers.get("User-Agent", "")[:LONGEST_AGENT]
