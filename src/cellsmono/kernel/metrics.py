"""Figures about the process, in the text format of Prometheus.

Counting happens in plain dictionaries: a request costs a microsecond or two. Only a scrape turns the counts into
metric families, and only then the Prometheus library is imported. What other services know (lag, sizes, depths) is
asked for at the scrape through sources.
"""

import asyncio
import inspect
import platform
import sqlite3
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

import cellsmono
from cellsmono.kernel.log import get_logger

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

log = get_logger("metrics")

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the latency histogram, seconds."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LAG_PERIOD = 1.0


class Sample(msgspec.Struct, frozen=True):
    """One value of a gauge, or of a counter when its name ends in ``_total``; names without ``cellsmono_``."""

    name: str
    help: str
    value: float
    labels: dict[str, str] = {}


Source = Callable[[], Iterable[Sample] | Awaitable[Iterable[Sample]]]


class _Latency:
    """A histogram of one operation."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def cumulate(self) -> list[tuple[str, float]]:
        rows, sum_so_far = [], 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            sum_so_far += count
            rows.append((bound, float(sum_so_far)))
        return rows


class Metrics:
    """All figures of the process. Lives on the event loop; give it to listeners as their request metrics."""

    def __init__(self) -> None:
        self.loop_lag = 0.0
        """Seconds by which the event loop was late at the last look; see ``watch_loop``."""
        self._requests: dict[tuple[str, int], int] = {}
        self._latencies: dict[str, _Latency] = {}
        self._bytes: dict[str, list[int]] = {}
        self._sources: list[Source] = []

    def observe_request(self, operation: str, status: int, seconds: float, bytes_in: int, bytes_out: int, /) -> None:
        """One request is done. ``operation`` is a word from a fixed set, never text from the request."""
        key = (operation, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        latency = self._latencies.get(operation)
        if latency is None:
            latency = self._latencies[operation] = _Latency()
            self._bytes[operation] = [0, 0]
        latency.observe(seconds)
        moved = self._bytes[operation]
        moved[0] += bytes_in
        moved[1] += bytes_out

    def add_source(self, source: Source) -> None:
        """Ask this for samples at each scrape. One that fails is logged and left out; the others are shown."""
        self._sources.append(source)

    async def watch_loop(self) -> None:
        """Measure how late the event loop is, once a second, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PERIOD
            await asyncio.sleep(LAG_PERIOD)
            self.loop_lag = max(0.0, loop.time() - due)

    async def render(self) -> bytes:
        """Everything, as Prometheus reads it."""
        samples = [sample for source in self._sources for sample in await _ask(source)]
        from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
        from prometheus_client.exposition import generate_latest

        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        registry.register(_Families([*self._collect(), *_group(samples)]))
        return bytes(generate_latest(registry))

    def _collect(self) -> "Iterator[Metric]":
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
            InfoMetricFamily,
        )

        requests = CounterMetricFamily(
            "cellsmono_requests", "Requests by operation and status.", labels=["operation", "status"]
        )
        for (operation, status), count in sorted(self._requests.items()):
            requests.add_metric([operation, str(status)], count)
        yield requests
        latencies = HistogramMetricFamily(
            "cellsmono_request_seconds", "Time from the headers to the last byte.", labels=["operation"]
        )
        for operation, latency in sorted(self._latencies.items()):
            latencies.add_metric([operation], latency.cumulate(), latency.total)
        yield latencies
        moved = CounterMetricFamily(
            "cellsmono_body_bytes", "Bytes of bodies, received and sent.", labels=["operation", "direction"]
        )
        for operation, (received, sent) in sorted(self._bytes.items()):
            moved.add_metric([operation, "in"], received)
            moved.add_metric([operation, "out"], sent)
        yield moved
        yield GaugeMetricFamily("cellsmono_event_loop_lag_seconds", "Lateness of the event loop.", value=self.loop_lag)
        build = {
            "version": cellsmono.__version__,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
        }
        yield InfoMetricFamily("cellsmono_build", "What is running.", value=build)


class _Families:
    """Ready-made families, as a registry wants to collect them."""

    def __init__(self, families: "list[Metric]") -> None:
        self._families = families

    def collect(self) -> "Iterable[Metric]":
        return self._families


async def _ask(source: Source) -> list[Sample]:
    try:
        given = source()
        return list(await given if inspect.isawaitable(given) else given)
    except Exception as error:
        log.warning("a source of metrics failed", error=f"{type(error).__name__}: {error}")
        return []


def _group(samples: list[Sample]) -> "Iterator[Metric]":
    """Samples of one name make one family; label names are those of its first sample."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.name, []).append(sample)
    for name, group in sorted(groups.items()):
        kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        labels = sorted(group[0].labels)
        family = kind("cellsmono_" + name.removesuffix("_total"), group[0].help, labels=labels)
        for sample in group:
            family.add_metric([sample.labels.get(label, "") for label in labels], sample.value)
        yield family
