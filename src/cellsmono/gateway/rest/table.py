"""The route table: every route is declared here, once, with who may use it."""

from cellsmono.gateway.rest import discovery
from cellsmono.gateway.rest.routes import Access, Route

ROUTES = (
    Route(
        method="GET",
        path="/config/discovery",
        name="Discovery",
        tag="Config",
        summary="What this server is, and what it has.",
        access=Access.OPEN,
        handler=discovery.read_discovery,
        gives=discovery.Discovery,
    ),
)
