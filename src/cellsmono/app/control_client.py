"""The other end of the control socket: the same operations, carried out by the running server.

Uses the standard library alone and blocks while it waits, so that commands start quickly.
"""

import asyncio
import http.client
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from cellsmono.interfaces.credentials import AccessKey
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.encryption import EncryptionInfo, ImportReport, KeyBundle, RotationReport
from cellsmono.interfaces.hashes import RehashOptions, RehashProgress, RehashReport
from cellsmono.interfaces.migration import MigrationOptions, MigrationProgress, MigrationReport
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.operations import CheckReport, DatasourceInfo, OriginValue
from cellsmono.interfaces.people import R, Request, result_of
from cellsmono.interfaces.snapshots import LoadOptions, LoadReport, SnapshotInfo, SnapshotProgress
from cellsmono.interfaces.sync import Progress, ResyncOptions, ResyncReport
from cellsmono.interfaces.version import VersionPage
from cellsmono.interfaces.version_policy import PruneProgress, PruneReport
from cellsmono.kernel import errors
from cellsmono.kernel.registry import ServiceRow
from cellsmono.kernel.sockets import short_socket_path

SOCKET_NAME = "control.sock"
CONNECT_SECONDS = 5.0
T = TypeVar("T")
P = TypeVar("P")

_KINDS: dict[str, type[errors.CellsError]] = {
    kind.code: kind for kind in errors.CellsError.__subclasses__() if kind.__module__ == errors.__name__
}


class Unreachable(errors.Unavailable):
    """No server answers on the control socket."""


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.sock.settimeout(CONNECT_SECONDS)
        with short_socket_path(self._path) as path:
            self.sock.connect(str(path))
        self.sock.settimeout(None)

    def cut(self) -> None:
        """Wake a thread that reads from this connection: it sees the end."""
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


class ControlClient:
    """``Operations`` of the server that holds this data folder. Every method raises Unreachable when there is none."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / SOCKET_NAME

    def is_answering(self) -> bool:
        """Whether somebody listens on the socket."""
        connection = _Connection(self._path)
        try:
            connection.connect()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    @property
    def people(self) -> "ControlClient":
        """The same connection serves both."""
        return self

    async def perform(self, request: Request[R]) -> R:
        """See ``People``."""
        kind = type(request)
        return self._call("POST", "/people/" + kind.__name__, result_of(kind), request)

    async def list_services(self) -> list[ServiceRow]:
        """See ``Operations``."""
        return self._call("GET", "/ps", list[ServiceRow])

    async def show_config(self) -> list[OriginValue]:
        """See ``Operations``."""
        return self._call("GET", "/config", list[OriginValue])

    async def list_datasources(self) -> list[DatasourceInfo]:
        """See ``Operations``."""
        return self._call("GET", "/datasources", list[DatasourceInfo])

    async def read_datasource(self, name: str) -> DatasourceInfo:
        """See ``Operations``."""
        return self._call("GET", _datasource(name), DatasourceInfo)

    async def add_datasource(self, config: DatasourceConfig, snapshot: str = "") -> DatasourceInfo:
        """See ``Operations``."""
        query = f"?snapshot={quote(snapshot, safe='')}" if snapshot else ""
        return self._call("POST", "/datasources" + query, DatasourceInfo, config)

    async def remove_datasource(self, name: str, with_snapshots: bool = False, bypass: bool = False) -> None:
        """See ``Operations``."""
        asked = {"snapshots": "delete"} if with_snapshots else {}
        asked |= {"locks": "bypass"} if bypass else {}
        self._exchange("DELETE", _datasource(name) + (f"?{urlencode(asked)}" if asked else ""))

    async def dump_snapshot(
        self, name: str, basename: str, progress: Callable[[SnapshotProgress], None] | None = None
    ) -> SnapshotInfo:
        """See ``Operations``."""
        target = _snapshot(name, basename) + "/dump"
        return await self._follow(target, {}, SnapshotInfo, progress, SnapshotProgress)

    async def list_snapshots(self, name: str) -> list[SnapshotInfo]:
        """See ``Operations``."""
        return self._call("GET", _datasource(name) + "/snapshots", list[SnapshotInfo])

    async def load_snapshot(
        self,
        name: str,
        basename: str,
        options: LoadOptions = LoadOptions(),
        progress: Callable[[SnapshotProgress], None] | None = None,
    ) -> LoadReport:
        """See ``Operations``."""
        target = _snapshot(name, basename) + "/load"
        return await self._follow(target, options, LoadReport, progress, SnapshotProgress)

    async def delete_snapshot(self, name: str, basename: str) -> None:
        """See ``Operations``."""
        self._exchange("DELETE", _snapshot(name, basename))

    async def migrate(
        self, name: str, options: MigrationOptions, progress: Callable[[MigrationProgress], None] | None = None
    ) -> MigrationReport:
        """See ``Operations``."""
        target = _datasource(name) + "/migrate"
        return await self._follow(target, options, MigrationReport, progress, MigrationProgress)

    async def read_encryption(self) -> EncryptionInfo:
        """See ``Operations``."""
        return self._call("GET", "/encryption", EncryptionInfo)

    async def rotate_key(
        self, name: str, rewrite: bool = False, progress: Callable[[Progress], None] | None = None
    ) -> RotationReport:
        """See ``Operations``."""
        body = {"rewrite": rewrite}
        return await self._follow(_datasource(name) + "/rotate", body, RotationReport, progress, Progress)

    async def import_keys(self, bundle: KeyBundle) -> ImportReport:
        """See ``Operations``."""
        return self._call("POST", "/encryption/import", ImportReport, bundle)

    async def list_keys(self) -> list[AccessKey]:
        """See ``Operations``."""
        return self._call("GET", "/keys", list[AccessKey])

    async def create_key(self, description: str = "") -> AccessKey:
        """See ``Operations``."""
        return self._call("POST", "/keys", AccessKey, {"description": description})

    async def revoke_key(self, access_key: str) -> None:
        """See ``Operations``."""
        self._exchange("DELETE", "/keys/" + quote(access_key, safe=""))

    async def resync(
        self,
        name: str,
        path: str = "",
        options: ResyncOptions = ResyncOptions(),
        progress: Callable[[Progress], None] | None = None,
    ) -> ResyncReport:
        """See ``Operations``."""
        body = {"path": path, **msgspec.structs.asdict(options)}
        return await self._follow(_datasource(name) + "/resync", body, ResyncReport, progress, Progress)

    async def start_resync(self, name: str, path: str, options: ResyncOptions) -> None:
        """Start a resync that goes on by itself."""
        body = {"path": path, "detach": True, **msgspec.structs.asdict(options)}
        self._call("POST", _datasource(name) + "/resync", dict[str, bool], body)

    async def check(
        self, name: str, repair: bool = False, progress: Callable[[Progress], None] | None = None
    ) -> CheckReport:
        """See ``Operations``."""
        return await self._follow(_datasource(name) + "/check", {"repair": repair}, CheckReport, progress, Progress)

    async def rehash(
        self,
        name: str,
        path: str = "",
        options: RehashOptions = RehashOptions(),
        progress: Callable[[RehashProgress], None] | None = None,
    ) -> RehashReport:
        """See ``Operations``."""
        body = {"path": path, **msgspec.structs.asdict(options)}
        return await self._follow(_datasource(name) + "/rehash", body, RehashReport, progress, RehashProgress)

    async def list_versions(
        self, name: str, prefix: str = "", after: str = "", after_version: str | None = None, limit: int = 1000
    ) -> VersionPage:
        """See ``Operations``."""
        body = {"prefix": prefix, "after": after, "after_version": after_version, "limit": limit}
        return self._call("POST", _datasource(name) + "/versions/list", VersionPage, body)

    async def restore_version(self, name: str, path: str, version: str | None = None) -> Node:
        """See ``Operations``."""
        body = {"path": path, "version": version}
        return self._call("POST", _datasource(name) + "/versions/restore", Node, body)

    async def prune_versions(
        self, name: str, dry_run: bool = False, progress: Callable[[PruneProgress], None] | None = None
    ) -> PruneReport:
        """See ``Operations``."""
        target, body = _datasource(name) + "/versions/prune", {"dry_run": dry_run}
        return await self._follow(target, body, PruneReport, progress, PruneProgress)

    def _call(self, method: str, target: str, kind: type[T], body: object = None) -> T:
        return msgspec.json.decode(self._exchange(method, target, body), type=kind)

    def _exchange(self, method: str, target: str, body: object = None) -> bytes:
        connection = _Connection(self._path)
        try:
            response = self._send(connection, method, target, body)
            content = response.read()
        except (http.client.HTTPException, ConnectionError) as error:
            raise Unreachable(f"the server went away in the middle: {error!r}") from None
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            raise _read_error(content)
        return content

    def _send(self, connection: _Connection, method: str, target: str, body: object) -> http.client.HTTPResponse:
        content = None if body is None else msgspec.json.encode(body)
        try:
            connection.connect()
        except OSError as error:
            raise Unreachable(f"no server answers on {self._path}: {error.strerror or error}") from None
        connection.request(method, target, content, {"Content-Type": "application/json"})
        return connection.getresponse()

    async def _follow(
        self, target: str, body: object, kind: type[T], progress: Callable[[P], None] | None, step: type[P]
    ) -> T:
        """Run a long operation; cancelling the awaiting task cuts the connection, and the server stops the work."""
        connection = _Connection(self._path)
        loop = asyncio.get_running_loop()

        def note(line: msgspec.Raw) -> None:
            if progress is not None:
                loop.call_soon_threadsafe(progress, msgspec.json.decode(line, type=step))

        work = loop.run_in_executor(None, self._read_lines, connection, target, body, kind, note)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            connection.cut()
            await asyncio.gather(work, return_exceptions=True)
            raise
        finally:
            connection.close()

    def _read_lines(
        self, connection: _Connection, target: str, body: object, kind: type[T], note: Callable[[msgspec.Raw], None]
    ) -> T:
        try:
            response = self._send(connection, "POST", target, body)
            if response.status >= http.client.BAD_REQUEST:
                raise _read_error(response.read())
            while line := response.readline():
                message = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
                if "progress" in message:
                    note(message["progress"])
                elif "report" in message:
                    return msgspec.json.decode(message["report"], type=kind)
                else:
                    raise _read_error(line)
        except (http.client.HTTPException, OSError) as error:
            raise Unreachable(f"the server went away in the middle: {error!r}") from None
        raise Unreachable("the server went away in the middle; the operation may have been cut short")


def _datasource(name: str) -> str:
    return "/datasources/" + quote(name, safe="")


def _snapshot(name: str, basename: str) -> str:
    return f"{_datasource(name)}/snapshots/{quote(basename, safe='')}"


def _read_error(content: bytes) -> errors.CellsError:
    """The server's error as the error that it was there."""
    try:
        fields = msgspec.json.decode(content, type=dict[str, dict[str, str]])["error"]
    except (msgspec.DecodeError, KeyError):
        return errors.CellsError(f"the server's answer can not be understood: {content[:200]!r}")
    kind = _KINDS.get(fields.get("code", ""), errors.CellsError)
    return kind(fields.get("message", ""), reason=fields.get("reason", ""), path=fields.get("path", ""))
