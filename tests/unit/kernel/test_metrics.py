from collections.abc import Iterable

from cellsmono.kernel.metrics import Metrics, Sample


async def test_requests_are_counted_by_operation_and_status() -> None:
    metrics = Metrics()
    metrics.observe_request("GetObject", 200, 0.002, 0, 100)
    metrics.observe_request("GetObject", 200, 0.2, 0, 50)
    metrics.observe_request("GetObject", 404, 90.0, 0, 10)
    metrics.observe_request("PutObject", 200, 0.001, 7, 0)
    lines = (await metrics.render()).decode().splitlines()
    assert 'cellsmono_requests_total{operation="GetObject",status="200"} 2.0' in lines
    assert 'cellsmono_requests_total{operation="GetObject",status="404"} 1.0' in lines
    assert 'cellsmono_body_bytes_total{direction="out",operation="GetObject"} 160.0' in lines
    assert 'cellsmono_body_bytes_total{direction="in",operation="PutObject"} 7.0' in lines
    assert 'cellsmono_request_seconds_bucket{le="0.0025",operation="GetObject"} 1.0' in lines
    assert 'cellsmono_request_seconds_bucket{le="60.0",operation="GetObject"} 2.0' in lines
    assert 'cellsmono_request_seconds_bucket{le="+Inf",operation="GetObject"} 3.0' in lines
    assert 'cellsmono_request_seconds_bucket{le="0.001",operation="PutObject"} 1.0' in lines, "a bound is inclusive"


async def test_sources_are_asked_at_each_scrape_and_one_that_fails_is_left_out() -> None:
    metrics = Metrics()
    depth = 3

    def give_depth() -> Iterable[Sample]:
        return [Sample("queue_depth", "Waiting.", depth, {"datasource": 'a"b'})]

    async def give_events() -> Iterable[Sample]:
        return [Sample("events_total", "Events.", 9)]

    def fail() -> Iterable[Sample]:
        raise RuntimeError("closed")

    for source in (give_depth, give_events, fail):
        metrics.add_source(source)
    text = (await metrics.render()).decode()
    assert 'cellsmono_queue_depth{datasource="a\\"b"} 3.0' in text
    assert "cellsmono_events_total 9.0" in text
    assert "# TYPE cellsmono_events_total counter" in text
    depth = 4
    assert 'cellsmono_queue_depth{datasource="a\\"b"} 4.0' in (await metrics.render()).decode()


async def test_the_process_and_the_build_are_described() -> None:
    text = (await Metrics().render()).decode()
    assert "process_resident_memory_bytes" in text
    assert "cellsmono_build_info{" in text
    assert "cellsmono_event_loop_lag_seconds 0.0" in text
