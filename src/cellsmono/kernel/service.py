"""A service: something with a name that is started, runs, and is stopped in order."""

import enum
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

import msgspec


class ServiceState(enum.StrEnum):
    """Where a service is in its life. DEGRADED works, but not as it should; its detail says why."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


class ServiceStatus(msgspec.Struct, frozen=True):
    """What a service says about itself: its state, one line of detail (may be empty), and the names of what it serves.

    ``serves`` is for services that several others share.
    """

    state: ServiceState = ServiceState.READY
    detail: str = ""
    serves: tuple[str, ...] = ()


class Service(Protocol):
    """A part of the process with a life of its own.

    ``name`` is unique (``data.index.pydiods1``), ``tag`` groups services in listings (``datasource``, ``gateway``,
    ``data``, ``discovery``, ...).
    """

    @property
    def name(self) -> str:
        """The unique name."""

    @property
    def tag(self) -> str:
        """The group it is listed under."""

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Entered means ready, exited means drained: nothing that it started still runs.

        Entered and exited in one task of its own, so task groups and timeouts may be held open across it. When it is
        cancelled instead of exited, the deadline for stopping has passed.
        """


@runtime_checkable
class HasStatus(Protocol):
    """The optional ability of a service to say more than that it runs."""

    def status(self) -> ServiceStatus:
        """What it is doing now. Cheap: asked for each listing."""
