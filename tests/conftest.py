"""What all tests share: the markers that say what a test needs, and the real server as a process of its own."""

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

OWNER = {
    "CELLSMONO_OWNER_ACCESS_KEY": "AKOWNEROWNEROWNER001",
    "CELLSMONO_OWNER_SECRET_KEY": "ownersecretownersecretownersecretowner01",
}
BARE = {"CELLSMONO_SERVER__DEFAULT_DATASOURCES": "false"}
"""Servers of the tests have what a test gives them, and nothing else."""


def find_client(name: str) -> str | None:
    """Path of a command-line client: beside the running interpreter first, then on PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def missing_clients(item: pytest.Item) -> list[str]:
    wanted: Iterable[str] = (name for mark in item.iter_markers("client") for name in mark.args)
    return [name for name in wanted if find_client(name) is None]


def pytest_configure() -> None:
    # A job in the background of a shell ignores Ctrl-C, and so would every process that a test sends it to.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_soak_asked = "soak" in config.getoption("markexpr")
    for item in items:
        missing = missing_clients(item)
        if missing:
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}, which is not installed"))
        if item.get_closest_marker("soak") and not is_soak_asked:
            item.add_marker(pytest.mark.skip(reason="long form: run it with -m soak"))


@pytest.fixture(scope="session")
def client_path():
    """Finds the path of a command-line client that the test's ``client`` mark asked for."""
    return find_client


class LiveServer:
    """``cellsmono serve`` in a process of its own, on free ports, with the owner's keys preset."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        self.log = log
        self.access_key = OWNER["CELLSMONO_OWNER_ACCESS_KEY"]
        self.secret_key = OWNER["CELLSMONO_OWNER_SECRET_KEY"]
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **OWNER, **BARE, **environment},
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                text=True,
            )
        self.banner = self._read_banner()
        self.url = self._find_line("S3 ")
        self.main_url = self._find_line("Main ")

    def _read_banner(self) -> list[str]:
        lines: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("Ready."):
                return lines
        self.process.wait()
        self.process.stdout.close()
        raise AssertionError(f"the server ended with {self.process.returncode} before it was ready:\n{self.read_log()}")

    def _find_line(self, title: str) -> str:
        return next(line.split()[1] for line in self.banner if line.startswith(title))

    @property
    def host(self) -> str:
        """Host and port of the S3 listener."""
        return self.url.removeprefix("http://")

    def read_log(self) -> str:
        """The end of what it wrote to stderr."""
        return self.log.read_text(errors="replace")[-4000:]

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End it without a word."""
        return self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> int:
        if self.process.poll() is None:
            os.killpg(self.process.pid, how)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()
        return status

    def client_environment(self) -> dict[str, str]:
        """What S3 clients read from their environment; nothing of the caller's own configuration."""
        return {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "2",
            "RCLONE_CONFIG": "/notfound",
            "RCLONE_CONFIG_CELLS_TYPE": "s3",
            "RCLONE_CONFIG_CELLS_PROVIDER": "Other",
            "RCLONE_CONFIG_CELLS_ENV_AUTH": "true",
            "RCLONE_CONFIG_CELLS_ENDPOINT": self.url,
        }


@pytest.fixture(scope="session")
def start_server():
    """Starts real servers: ``start_server(data_dir, "name=folder", ...)``; what still runs at the end is stopped."""
    servers: list[LiveServer] = []

    def start(data_dir: Path, *arguments: str, prefix: Iterable[str] = (), **environment: str) -> LiveServer:
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        command = [
            *(*prefix, sys.executable, "-m", "cellsmono", "serve", *arguments, "--data-dir", str(data_dir)),
            *("--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"),
        ]
        server = LiveServer(command, data_dir.with_name(data_dir.name + ".log"), environment)
        servers.append(server)
        return server

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture
def remove_deep_trees(tmp_path: Path):
    """For tests that nest folders deeper than Python's own clean-up can follow: removes all that the test made."""
    yield
    subprocess.run(["rm", "-rf", "--", tmp_path], check=True)


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """The address of moto's S3 server, in a thread of this process, on loopback and a free port."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def own_server(start_server, tmp_path_factory) -> LiveServer:
    """Our own endpoint, as the server below another one of us."""
    place = tmp_path_factory.mktemp("own")
    return start_server(place / "data", CELLSMONO_LOG__LEVEL="error")


@pytest.fixture(scope="session")
def flat_server(start_server, tmp_path_factory) -> LiveServer:
    """Our own endpoint with flat buckets, which take every key: the hidden ones of another cellsmono, too."""
    place = tmp_path_factory.mktemp("flat")
    return start_server(place / "data", CELLSMONO_LOG__LEVEL="error")


class PeerServer:
    """An S3 server of somebody else's as a process over empty folders, on loopback and a free port."""

    access_key = "peerpeer"
    secret_key = "peersecretpeersecret"

    def __init__(self, kind: str, command: str, root: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.url = f"http://{address}"
        folders = [root / "objects", root / "sidecar"]
        for folder in folders:
            folder.mkdir()
        arguments = {
            "versitygw": ["--port", address, "posix", "--sidecar", str(folders[1]), str(folders[0])],
            "minio": ["server", "--quiet", "--address", address, "--console-address", "127.0.0.1:0", str(folders[0])],
        }
        keys = {
            "ROOT_ACCESS_KEY": self.access_key,
            "ROOT_SECRET_KEY": self.secret_key,
            "MINIO_ROOT_USER": self.access_key,
            "MINIO_ROOT_PASSWORD": self.secret_key,
        }
        self.process = subprocess.Popen(
            [command, *arguments[kind]],
            env={"PATH": os.environ["PATH"], "HOME": str(root), **keys},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait(address)

    def _wait(self, address: str) -> None:
        host, port = address.split(":")
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.process.args} does not answer")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def run_peer(kind: str, root: Path) -> Iterator[PeerServer]:
    command = find_client(kind)
    if command is None:
        pytest.skip(f"needs {kind}, which is not installed")
    server = PeerServer(kind, command, root)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def versitygw_server(tmp_path_factory) -> Iterator[PeerServer]:
    """A third S3 server, where it is installed."""
    yield from run_peer("versitygw", tmp_path_factory.mktemp("versitygw"))


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory) -> Iterator[PeerServer]:
    """A fourth one, where it is installed."""
    yield from run_peer("minio", tmp_path_factory.mktemp("minio"))
