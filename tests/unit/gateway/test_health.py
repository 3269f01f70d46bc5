import asyncio
import json

import pytest
from aiohttp.test_utils import TestClient, TestServer

from cellsmono.gateway.health import build_health_app
from cellsmono.kernel.metrics import Metrics
from cellsmono.kernel.registry import Kind, Registry
from cellsmono.kernel.service import ServiceState


@pytest.fixture
def registry() -> Registry:
    """One needed and one optional service, both starting."""
    registry = Registry()
    registry.add("gateway.s3", "gateway")
    registry.add("data.index.abc", "datasource", Kind.GRPC, needed=False)
    return registry


async def test_alive_and_ready_are_two_things(registry: Registry) -> None:
    async with TestClient(TestServer(build_health_app(registry, Metrics()))) as client:
        assert (await client.get("/healthz")).status == 200
        answer = await client.get("/readyz")
        assert answer.status == 503
        registry.set_state("gateway.s3", ServiceState.READY)
        registry.set_state("data.index.abc", ServiceState.FAILED, "the index is damaged")
        answer = await client.get("/readyz")
        assert answer.status == 200, "a datasource that failed does not take the others down"
        body = json.loads(await answer.text())
        assert body["ready"] is True
        assert [(row["name"], row["state"], row["detail"]) for row in body["services"]] == [
            ("gateway.s3", "ready", ""),
            ("data.index.abc", "failed", "the index is damaged"),
        ]
        registry.set_state("gateway.s3", ServiceState.FAILED)
        assert (await client.get("/readyz")).status == 503


async def test_metrics_are_in_the_format_of_prometheus(registry: Registry) -> None:
    metrics = Metrics()
    metrics.observe_request("GetObject", 200, 0.1, 0, 5)
    async with TestClient(TestServer(build_health_app(registry, metrics))) as client:
        answer = await client.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert 'cellsmono_requests_total{operation="GetObject",status="200"} 1.0' in await answer.text()


async def test_the_front_page_says_what_this_is_and_no_versions_of_libraries(registry: Registry) -> None:
    async with TestClient(TestServer(build_health_app(registry, Metrics()))) as client:
        answer = await client.get("/")
        assert "cellsmono" in await answer.text()
        assert answer.headers["Server"] == "cellsmono"
        assert (await client.get("/nothing")).status == 404


async def test_the_event_loop_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    from cellsmono.kernel import metrics as module

    monkeypatch.setattr(module, "LAG_PERIOD", 0.0)
    metrics = Metrics()
    metrics.loop_lag = -1.0
    watching = asyncio.create_task(metrics.watch_loop())
    async with asyncio.timeout(5):
        while metrics.loop_lag < 0:
            await asyncio.sleep(0)
    watching.cancel()
