"""What all tests share: the markers that say what a test needs."""

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest


def find_client(name: str) -> str | None:
    """Path of a command-line client: beside the running interpreter first, then on PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def missing_clients(item: pytest.Item) -> list[str]:
    wanted: Iterable[str] = (name for mark in item.iter_markers("client") for name in mark.args)
    return [name for name in wanted if find_client(name) is None]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_soak_asked = "soak" in config.getoption("markexpr")
    for item in items:
        missing = missing_clients(item)
        if missing:
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}, which is not installed"))
        if item.get_closest_marker("soak") and not is_soak_asked:
            item.add_marker(pytest.mark.skip(reason="long form: run it with -m soak"))


@pytest.fixture
def client_path():
    """Finds the path of a command-line client that the test's ``client`` mark asked for."""
    return find_client
