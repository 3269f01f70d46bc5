"""Whether the server lives, whether it is ready, and its figures.

``/healthz`` answers as long as the event loop turns: an orchestrator that restarts on its failure restarts only what
hangs. ``/readyz`` has a row per service and is 503 while one that is needed does not work. ``/metrics`` is for
Prometheus. ``/`` says what this is.
"""

import msgspec
from aiohttp import web

import cellsmono
from cellsmono.kernel.metrics import CONTENT_TYPE, Metrics
from cellsmono.kernel.registry import Registry

REGISTRY = web.AppKey("registry", Registry)
METRICS = web.AppKey("metrics", Metrics)

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_PAGE = f"""cellsmono {cellsmono.__version__}

/healthz   alive
/readyz    ready, with a row for each service
/metrics   figures for Prometheus
/a/        REST

/-/notify/NAME takes what the server of a bucket tells of changes in it.

Signed S3 requests are answered here as well.
"""


def build_health_app(registry: Registry, metrics: Metrics) -> web.Application:
    """The application with these four routes."""
    app = web.Application()
    app[REGISTRY] = registry
    app[METRICS] = metrics
    app.on_response_prepare.append(_name_server)
    app.add_routes(
        [
            web.get("/", _show_page),
            web.get("/healthz", _tell_alive),
            web.get("/readyz", _tell_ready),
            web.get("/metrics", _show_metrics),
        ]
    )
    return app


async def _name_server(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "cellsmono"  # aiohttp would tell its version and Python's


async def _show_page(_: web.Request) -> web.Response:
    return web.Response(text=_PAGE, headers=_HEADERS)


async def _tell_alive(_: web.Request) -> web.Response:
    return web.Response(text="ok\n", headers=_HEADERS)


async def _tell_ready(request: web.Request) -> web.Response:
    registry = request.app[REGISTRY]
    is_ready = registry.is_ready()
    body = msgspec.json.encode({"ready": is_ready, "services": registry.list_rows()})
    return web.Response(body=body, status=200 if is_ready else 503, content_type="application/json", headers=_HEADERS)


async def _show_metrics(request: web.Request) -> web.Response:
    body = await request.app[METRICS].render()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE, **_HEADERS})
