"""Notifications of changes in buckets of other servers: ``POST /-/notify/NAME``.

The token of the datasource comes as ``Authorization: Bearer TOKEN`` (or the token alone), or as the query parameter
``token``. Without it nothing is told, not even whether there is such a datasource.
"""

from aiohttp import web

from cellsmono.gateway.notification_messages import Confirmation, read_message
from cellsmono.interfaces.notifications import ChangeFeed
from cellsmono.kernel.errors import CellsError, Forbidden, Invalid, NotFound
from cellsmono.kernel.log import get_logger

log = get_logger("notifications")

FEED: web.AppKey[ChangeFeed] = web.AppKey("feed")
_STATUSES: dict[type[CellsError], int] = {NotFound: 404, Forbidden: 403, Invalid: 400}
_UNAVAILABLE = 503


def add_notifications(app: web.Application, feed: ChangeFeed) -> None:
    """Add the route to the application of the main listener."""
    app[FEED] = feed
    app.add_routes([web.post("/-/notify/{name}", _take)])


async def _take(request: web.Request) -> web.Response:
    feed, name = request.app[FEED], request.match_info["name"]
    try:
        feed.admit(name, _read_token(request))
        told = read_message(await request.read())
        if told.confirmation is not None:
            return _reply(200, {"changes": 0, "taken": 0, "hint": _ask_for_confirmation(name, told.confirmation)})
        count = feed.take(name, told.changes)
    except CellsError as error:
        return _reply(_STATUSES.get(type(error), _UNAVAILABLE), {"error": error.message})
    return _reply(200, {"changes": len(told.changes), "taken": count})


def _reply(status: int, answer: dict[str, object]) -> web.Response:
    return web.json_response(answer, status=status, headers={"Cache-Control": "no-store"})


def _ask_for_confirmation(name: str, asked: Confirmation) -> str:
    """Have somebody look: the server opens no address that a message names."""
    hint = (
        "open the URL once to confirm it, if you know the topic"
        if asked.is_aws
        else "its URL does not lead to AWS: do not open it unless you know better"
    )
    log.warning(
        "a topic asks to have its subscription confirmed",
        datasource=name,
        kind=asked.kind,
        topic=asked.topic,
        url=asked.url,
        hint=hint,
    )
    return f"Nothing was confirmed: this server opens no URLs. The one of this {asked.kind} is in its log; {hint}."


def _read_token(request: web.Request) -> str:
    header = request.headers.get("Authorization", "")
    return header.removeprefix("Bearer ").strip() or request.query.get("token", "")
