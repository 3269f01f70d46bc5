"""The control socket: administration of the running server, for the owner of the data folder alone.

A unix socket that only its owner may open stands in for authentication. Requests and answers are JSON; a long
operation answers with one JSON object a line: ``{"progress": ...}`` now and then, and at the end ``{"report": ...}``
or ``{"error": ...}``. When the client goes away the operation is cancelled, unless it was asked to ``detach``.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from cellsmono.gateway.http import Listener, build_app_handler
from cellsmono.interfaces.datasource import DatasourceConfig, Format
from cellsmono.interfaces.encryption import KeyBundle
from cellsmono.interfaces.hashes import RehashOptions
from cellsmono.interfaces.migration import MigrationOptions
from cellsmono.interfaces.operations import Operations, no_synchronizer
from cellsmono.interfaces.people import list_requests
from cellsmono.interfaces.snapshots import LoadOptions
from cellsmono.interfaces.sync import ResyncOptions
from cellsmono.kernel.errors import CellsError, Invalid
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.sockets import short_socket_path
from cellsmono.kernel.tasks import cancel_and_wait, create_task

log = get_logger("gateway.control")

SOCKET_NAME = "control.sock"
PROGRESS_SECONDS = 0.2
"""How often progress is sent, and how soon a client that went away is noticed."""

STATUSES = {
    "not_found": 404,
    "already_exists": 409,
    "conflict": 409,
    "precondition_failed": 412,
    "forbidden": 403,
    "invalid": 400,
    "too_large": 413,
    "quota_exceeded": 507,
    "locked": 423,
    "unavailable": 503,
    "corrupt": 500,
}

OPERATIONS = web.AppKey("operations", Operations)
JOBS: web.AppKey[set[asyncio.Task[Any]]] = web.AppKey("jobs", set[asyncio.Task[Any]])

T = TypeVar("T")


class ResyncRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``POST /datasources/{name}/resync`` takes. ``detach``: answer at once, go on in the background."""

    path: str = ""
    full: bool = False
    dry_run: bool = False
    accept_deletes: bool = False
    detach: bool = False


class CheckRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``POST /datasources/{name}/check`` takes."""

    repair: bool = False


class RehashRequest(RehashOptions, frozen=True, forbid_unknown_fields=True):
    """What ``POST /datasources/{name}/rehash`` takes."""

    path: str = ""


class RotateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``POST /datasources/{name}/rotate`` takes."""

    rewrite: bool = False


class VersionsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``POST /datasources/{name}/versions/list`` takes."""

    prefix: str = ""
    after: str = ""
    after_version: str | None = None
    limit: int = 1000


class RestoreRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``POST /datasources/{name}/versions/restore`` takes."""

    path: str
    version: str | None = None


class PruneRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``POST /datasources/{name}/versions/prune`` takes."""

    dry_run: bool = False


class LoadRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``POST /datasources/{name}/snapshots/{basename}/load`` takes."""

    force_foreign: bool = False
    accept_lost_locks: bool = False


class KeyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``POST /keys`` takes."""

    description: str = ""


class ControlService:
    """``gateway.control``: the socket ``control.sock`` in the data folder."""

    name = "gateway.control"
    tag = "gateway"

    def __init__(self, operations: Operations, folder: Path) -> None:
        self._operations = operations
        self._path = folder / SOCKET_NAME

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Listens while entered; the socket is removed at the end. Operations that still run are cancelled then."""
        app = build_control_app(self._operations)
        async with build_app_handler(app) as handler:
            listener = Listener(handler, name="control", access_log=False)
            with short_socket_path(self._path) as path:
                await listener.start_unix(path)
            try:
                yield
            finally:
                await _cancel_jobs(app)
                await listener.stop(2.0)
                self._path.unlink(missing_ok=True)


def build_control_app(operations: Operations) -> web.Application:
    """The application behind the control socket."""
    app = web.Application(middlewares=[_answer_errors])
    app[OPERATIONS] = operations
    app[JOBS] = set()
    app.add_routes(
        [
            web.get("/ps", _list_services),
            web.get("/config", _show_config),
            web.get("/datasources", _list_datasources),
            web.post("/datasources", _add_datasource),
            web.get("/datasources/{name}", _read_datasource),
            web.delete("/datasources/{name}", _remove_datasource),
            web.post("/datasources/{name}/resync", _resync),
            web.post("/datasources/{name}/check", _check),
            web.post("/datasources/{name}/rehash", _rehash),
            web.post("/datasources/{name}/versions/list", _list_versions),
            web.post("/datasources/{name}/versions/restore", _restore_version),
            web.post("/datasources/{name}/versions/prune", _prune_versions),
            web.post("/datasources/{name}/migrate", _migrate),
            web.get("/datasources/{name}/snapshots", _list_snapshots),
            web.delete("/datasources/{name}/snapshots/{basename}", _delete_snapshot),
            web.post("/datasources/{name}/snapshots/{basename}/dump", _dump_snapshot),
            web.post("/datasources/{name}/snapshots/{basename}/load", _load_snapshot),
            web.post("/datasources/{name}/rotate", _rotate),
            web.get("/encryption", _read_encryption),
            web.post("/encryption/import", _import_keys),
            web.get("/keys", _list_keys),
            web.post("/keys", _create_key),
            web.delete("/keys/{key}", _revoke_key),
            web.post("/people/{request}", _perform),
        ]
    )
    app.on_shutdown.append(_cancel_jobs)
    return app


async def _list_services(request: web.Request) -> web.Response:
    return _json(await request.app[OPERATIONS].list_services())


async def _show_config(request: web.Request) -> web.Response:
    return _json(await request.app[OPERATIONS].show_config())


async def _list_datasources(request: web.Request) -> web.Response:
    return _json(await request.app[OPERATIONS].list_datasources())


async def _add_datasource(request: web.Request) -> web.Response:
    config = await _read_body(request, DatasourceConfig)
    return _json(await request.app[OPERATIONS].add_datasource(config, request.query.get("snapshot", "")), 201)


async def _read_datasource(request: web.Request) -> web.Response:
    return _json(await request.app[OPERATIONS].read_datasource(request.match_info["name"]))


async def _remove_datasource(request: web.Request) -> web.Response:
    with_snapshots = request.query.get("snapshots") == "delete"
    bypass = request.query.get("locks") == "bypass"
    await request.app[OPERATIONS].remove_datasource(request.match_info["name"], with_snapshots, bypass)
    return web.Response(status=204)


async def _list_keys(request: web.Request) -> web.Response:
    keys = await request.app[OPERATIONS].list_keys()
    return _json([msgspec.structs.replace(key, secret="") for key in keys])


async def _create_key(request: web.Request) -> web.Response:
    body = await _read_body(request, KeyRequest)
    return _json(await request.app[OPERATIONS].create_key(body.description), 201)


async def _revoke_key(request: web.Request) -> web.Response:
    await request.app[OPERATIONS].revoke_key(request.match_info["key"])
    return web.Response(status=204)


async def _perform(request: web.Request) -> web.Response:
    kind = list_requests().get(request.match_info["request"])
    if kind is None:
        raise Invalid(f"this server knows no request {request.match_info['request']!r} about people")
    return _json(await request.app[OPERATIONS].people.perform(await _read_body(request, kind)))


async def _resync(request: web.Request) -> web.StreamResponse:
    body = await _read_body(request, ResyncRequest)
    operations, name = request.app[OPERATIONS], request.match_info["name"]
    options = ResyncOptions(full=body.full, dry_run=body.dry_run, accept_deletes=body.accept_deletes)
    info = await operations.read_datasource(name)  # so that an unknown name is a plain 404
    if body.detach:
        if info.config.format != Format.STRUCTURED:
            raise no_synchronizer(info.config)
        _start_job(request.app, operations.resync(name, body.path, options), f"control:resync {name}")
        return _json({"detached": True}, 202)
    return await _stream(request, lambda note: operations.resync(name, body.path, options, note), f"resync {name}")


async def _check(request: web.Request) -> web.StreamResponse:
    body = await _read_body(request, CheckRequest)
    operations, name = request.app[OPERATIONS], request.match_info["name"]
    await operations.read_datasource(name)
    return await _stream(request, lambda note: operations.check(name, body.repair, note), f"check {name}")


async def _rehash(request: web.Request) -> web.StreamResponse:
    body = await _read_body(request, RehashRequest)
    operations, name = request.app[OPERATIONS], request.match_info["name"]
    await operations.read_datasource(name)
    return await _stream(request, lambda note: operations.rehash(name, body.path, body, note), f"rehash {name}")


async def _rotate(request: web.Request) -> web.StreamResponse:
    body = await _read_body(request, RotateRequest)
    operations, name = request.app[OPERATIONS], request.match_info["name"]
    await operations.read_datasource(name)
    return await _stream(request, lambda note: operations.rotate_key(name, body.rewrite, note), f"rotate {name}")


async def _read_encryption(request: web.Request) -> web.Response:
    return _json(await request.app[OPERATIONS].read_encryption())


async def _import_keys(request: web.Request) -> web.Response:
    return _json(await request.app[OPERATIONS].import_keys(await _read_body(request, KeyBundle)))


async def _migrate(request: web.Request) -> web.StreamResponse:
    options = await _read_body(request, MigrationOptions)
    operations, name = request.app[OPERATIONS], request.match_info["name"]
    await operations.read_datasource(name)
    return await _stream(request, lambda note: operations.migrate(name, options, note), f"migrate {name}")


async def _list_versions(request: web.Request) -> web.Response:
    body = await _read_body(request, VersionsRequest)
    operations, name = request.app[OPERATIONS], request.match_info["name"]
    return _json(await operations.list_versions(name, body.prefix, body.after, body.after_version, body.limit))


async def _restore_version(request: web.Request) -> web.Response:
    body = await _read_body(request, RestoreRequest)
    return _json(await request.app[OPERATIONS].restore_version(request.match_info["name"], body.path, body.version))


async def _prune_versions(request: web.Request) -> web.StreamResponse:
    body = await _read_body(request, PruneRequest)
    operations, name = request.app[OPERATIONS], request.match_info["name"]
    await operations.read_datasource(name)
    return await _stream(request, lambda note: operations.prune_versions(name, body.dry_run, note), f"prune {name}")


async def _list_snapshots(request: web.Request) -> web.Response:
    return _json(await request.app[OPERATIONS].list_snapshots(request.match_info["name"]))


async def _dump_snapshot(request: web.Request) -> web.StreamResponse:
    operations, name, basename = request.app[OPERATIONS], request.match_info["name"], request.match_info["basename"]
    await operations.read_datasource(name)
    return await _stream(request, lambda note: operations.dump_snapshot(name, basename, note), f"dump {name}")


async def _load_snapshot(request: web.Request) -> web.StreamResponse:
    body = await _read_body(request, LoadRequest)
    operations, name, basename = request.app[OPERATIONS], request.match_info["name"], request.match_info["basename"]
    options = LoadOptions(body.force_foreign, body.accept_lost_locks)
    await operations.read_datasource(name)
    return await _stream(request, lambda note: operations.load_snapshot(name, basename, options, note), f"load {name}")


async def _delete_snapshot(request: web.Request) -> web.Response:
    await request.app[OPERATIONS].delete_snapshot(request.match_info["name"], request.match_info["basename"])
    return web.Response(status=204)


async def _stream(
    request: web.Request, start: Callable[[Callable[[Any], None]], Awaitable[Any]], name: str
) -> web.StreamResponse:
    """Run an operation and report on it line by line; a client that goes away cancels it."""
    latest: list[Any] = []
    job = _start_job(request.app, start(latest.append), f"control:{name}")
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
    try:
        await response.prepare(request)
        while not job.done():
            await asyncio.wait([job], timeout=PROGRESS_SECONDS)
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the client is gone")
            if latest and not job.done():
                await response.write(_encode_line({"progress": latest[-1]}))
                latest.clear()
        await response.write(_encode_line(_describe_end(job)))
        await response.write_eof()
    finally:
        if not job.done():
            log.info("operation cancelled", operation=name)
            await cancel_and_wait(job)
    return response


def _describe_end(job: "asyncio.Task[Any]") -> dict[str, Any]:
    if job.cancelled():
        return {"error": {"code": "unavailable", "reason": "cancelled", "message": "The operation was cancelled."}}
    error = job.exception()
    if error is None:
        return {"report": job.result()}
    if not isinstance(error, CellsError):
        log.error("operation failed", operation=job.get_name(), exc_info=error)
    return {"error": _describe_error(error)}


def _start_job(app: web.Application, work: Awaitable[T], name: str) -> "asyncio.Task[T]":
    async def run() -> T:
        return await work

    job = create_task(run(), name)
    app[JOBS].add(job)
    job.add_done_callback(app[JOBS].discard)
    job.add_done_callback(_log_failure)
    return job


def _log_failure(job: "asyncio.Task[Any]") -> None:
    if not job.cancelled() and (error := job.exception()) is not None:
        log.warning("operation ended with an error", operation=job.get_name(), error=str(error))


async def _cancel_jobs(app: web.Application) -> None:
    jobs: set[asyncio.Task[Any]] = app[JOBS]
    for job in tuple(jobs):
        await cancel_and_wait(job)


@web.middleware
async def _answer_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except CellsError as error:
        return _json({"error": _describe_error(error)}, STATUSES.get(error.code, 500))
    except web.HTTPException as error:
        return _json({"error": {"code": "invalid", "reason": "http", "message": error.reason}}, error.status)
    except ConnectionError:
        raise
    except Exception as error:
        log.exception("control request failed", path=request.path)
        return _json({"error": _describe_error(error)}, 500)


def _describe_error(error: BaseException) -> dict[str, str]:
    if isinstance(error, CellsError):
        return {"code": error.code, "reason": error.reason, "message": error.message, "path": error.path}
    return {"code": "internal", "reason": "", "message": f"{type(error).__name__}: {error}; see the server's log"}


async def _read_body(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise Invalid(f"the request is wrong: {error}") from None


def _encode_line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
