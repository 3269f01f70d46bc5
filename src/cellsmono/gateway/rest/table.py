"""The route table: every route is declared here, once, with who may use it."""

from cellsmono.gateway.rest import discovery, frontend, session
from cellsmono.gateway.rest.routes import Access, Route

_CONFIG = (
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

_FRONTEND = (
    Route(
        method="POST",
        path="/frontend/session",
        name="FrontendSession",
        tag="Frontend",
        summary="Begin a session by password, go on with it, or end it.",
        access=Access.OPEN,
        handler=session.change_session,
        takes=session.SessionRequest,
        gives=session.SessionAnswer,
    ),
    Route(
        method="GET",
        path="/frontend/state",
        name="FrontendState",
        tag="Frontend",
        summary="Who is signed in, and the user's workspaces.",
        access=Access.ANYBODY,
        handler=frontend.read_state,
        media="application/xml",
        bound=True,
    ),
    Route(
        method="GET",
        path="/frontend/bootconf",
        name="FrontendBootConf",
        tag="Frontend",
        summary="What a client shows before anybody signed in.",
        access=Access.OPEN,
        handler=frontend.read_bootconf,
        gives=frontend.BootConf,
    ),
)

ROUTES = _CONFIG + _FRONTEND
