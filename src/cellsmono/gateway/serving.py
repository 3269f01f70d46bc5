"""The gateways as services: listeners that start and stop with the process."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

import msgspec

from cellsmono.gateway.health import build_health_app
from cellsmono.gateway.http import Handler, Limits, Listener, RequestMetrics, build_main_handler
from cellsmono.gateway.notifications import add_notifications
from cellsmono.interfaces.notifications import ChangeFeed
from cellsmono.kernel.metrics import Metrics, Sample
from cellsmono.kernel.registry import Registry
from cellsmono.kernel.service import ServiceStatus

TAG = "gateway"
_LINGER = 1.0
"""Seconds that a listener leaves the supervisor for what comes after its requests ended."""


class ListenerService:
    """One listener on one address."""

    tag = TAG

    def __init__(
        self,
        name: str,
        handler: AbstractAsyncContextManager[Handler],
        *,
        host: str,
        port: int,
        limits: Limits,
        metrics: RequestMetrics | None,
        stop_seconds: float,
        access_log: bool,
    ) -> None:
        self.name = name
        self.port = port
        self._handler = handler
        self._host = host
        self._limits = limits
        self._metrics = metrics
        self._stop_seconds = stop_seconds
        self._access_log = access_log
        self._listener: Listener | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Entered: it accepts connections; ``port`` is the real one. Exited: every request in flight was answered."""
        async with self._handler as handler:
            listener = Listener(
                handler, limits=self._limits, metrics=self._metrics, access_log=self._access_log, name=self.name
            )
            self.port = await listener.start_tcp(self._host, self.port)
            self._listener = listener
            try:
                yield
            finally:
                await listener.stop(max(self._stop_seconds - _LINGER, 0.1))

    def status(self) -> ServiceStatus:
        """Where it listens and how many connections are open."""
        count = self._listener.connection_count if self._listener is not None else 0
        return ServiceStatus(detail=f"{self._host}:{self.port}, {count} connections")

    def list_figures(self) -> list[Sample]:
        """Open connections, and those on which a request is being handled."""
        listener, labels = self._listener, {"listener": self.name}
        return [
            Sample("connections", "Open connections.", listener.connection_count if listener else 0, labels),
            Sample("requests_in_flight", "Requests being handled.", listener.active_count if listener else 0, labels),
        ]


class ListenerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What all listeners of a process have in common. ``stop_seconds`` is for requests in flight at the end."""

    limits: Limits
    metrics: Metrics
    stop_seconds: float
    access_log: bool = False


def build_s3_listener(s3: Handler, host: str, port: int, options: ListenerOptions) -> ListenerService:
    """The listener of the S3 endpoint alone."""
    return _build("gateway.s3", nullcontext(s3), host, port, options)


def build_main_listener(
    s3: Handler, rest: Handler, registry: Registry, feed: ChangeFeed, host: str, port: int, options: ListenerOptions
) -> ListenerService:
    """The main listener: health, metrics, notifications and REST, and S3 for requests that are signed for it."""
    app = build_health_app(registry, options.metrics)
    add_notifications(app, feed)
    return _build("gateway.main", build_main_handler(s3, app, rest), host, port, options)


def _build(
    name: str, handler: AbstractAsyncContextManager[Handler], host: str, port: int, options: ListenerOptions
) -> ListenerService:
    service = ListenerService(
        name,
        handler,
        host=host,
        port=port,
        limits=options.limits,
        metrics=options.metrics,
        stop_seconds=options.stop_seconds,
        access_log=options.access_log,
    )
    options.metrics.add_source(service.list_figures)
    return service
