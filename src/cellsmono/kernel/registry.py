"""The registry: one row per service, for ``ps``, readiness and metrics."""

import enum
from collections.abc import Callable

import msgspec

from cellsmono.kernel.errors import AlreadyExists, NotFound
from cellsmono.kernel.service import ServiceState, ServiceStatus


class Kind(enum.StrEnum):
    """The three groups of a service listing: front and helper services, inner services, and their REST faces."""

    GENERIC = "generic"
    GRPC = "grpc"
    REST = "rest"


class ServiceRow(msgspec.Struct, frozen=True):
    """One line of ``ps``. ``needed`` services must be ready for the server to call itself ready.

    ``serves`` are the names of what a shared service serves: the buckets of an object service.
    """

    name: str
    tag: str
    kind: Kind
    state: ServiceState
    detail: str = ""
    needed: bool = True
    serves: tuple[str, ...] = ()


class _Entry:
    __slots__ = ("detail", "kind", "name", "needed", "probe", "state", "tag")

    def __init__(self, name: str, tag: str, kind: Kind, needed: bool, probe: Callable[[], ServiceStatus] | None):
        self.name = name
        self.tag = tag
        self.kind = kind
        self.needed = needed
        self.probe = probe
        self.state = ServiceState.STARTING
        self.detail = ""

    def read_row(self) -> ServiceRow:
        state, detail = self.state, self.detail
        serves: tuple[str, ...] = ()
        if state is ServiceState.READY and self.probe is not None:
            try:
                status = self.probe()
            except Exception as error:
                state, detail = ServiceState.DEGRADED, f"its status can not be read: {error}"
            else:
                state, detail, serves = status.state, status.detail, status.serves
        return ServiceRow(self.name, self.tag, self.kind, state, detail, self.needed, serves)


class Registry:
    """All services of the process with their present state. Lives on the event loop."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def add(
        self,
        name: str,
        tag: str,
        kind: Kind = Kind.GENERIC,
        *,
        needed: bool = True,
        probe: Callable[[], ServiceStatus] | None = None,
    ) -> None:
        """Enter a service as starting. ``probe`` is asked for its status while it is ready.

        Raises AlreadyExists when another service has the name; a row that failed or stopped is replaced.
        """
        known = self._entries.get(name)
        if known is not None and known.state not in (ServiceState.FAILED, ServiceState.STOPPED):
            raise AlreadyExists(f"two services are named {name!r}; give one of them another name")
        self._entries[name] = _Entry(name, tag, kind, needed, probe)

    def set_state(self, name: str, state: ServiceState, detail: str = "") -> None:
        """Note what became of a service; unknown names are ignored (it was removed meanwhile)."""
        entry = self._entries.get(name)
        if entry is not None:
            entry.state, entry.detail = state, detail

    def remove(self, name: str) -> None:
        """Take a service off the list; unknown names are ignored."""
        self._entries.pop(name, None)

    def get(self, name: str) -> ServiceRow:
        """The present row of one service. Raises NotFound."""
        entry = self._entries.get(name)
        if entry is None:
            raise NotFound(f"no service is named {name!r}")
        return entry.read_row()

    def list_rows(self) -> list[ServiceRow]:
        """All services, by kind, tag and name."""
        order = list(Kind)
        rows = [entry.read_row() for entry in self._entries.values()]
        return sorted(rows, key=lambda row: (order.index(row.kind), row.tag, row.name))

    def is_ready(self) -> bool:
        """Whether every needed service works, at least degraded."""
        able = (ServiceState.READY, ServiceState.DEGRADED)
        return all(row.state in able for row in self.list_rows() if row.needed)
