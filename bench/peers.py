"""Servers that the load is put on: ours, and those of others that this machine happens to have.

A peer is looked for on PATH and in the folders of ``BENCH_PATH`` (separated like PATH); nothing is installed. Each
is started with an empty folder, on a free port of the loopback address, with one key pair, in its own process group.
"""

import contextlib
import http.client
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cellsmono import __version__

ACCESS_KEY = "benchkey"
SECRET_KEY = "benchsecretbenchsecret"
BUCKET = "bench"
START_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A running server: where it answers, its process, and how long it took to answer."""

    name: str
    url: str
    pid: int
    start_seconds: float


@dataclass(frozen=True)
class Peer:
    """How to start one kind of server. ``command`` gets the binary, the folder and the port."""

    name: str
    binary: str
    command: Callable[[str, Path, int], list[str]]
    environment: dict[str, str]
    has_plain_files: bool
    """Files put into ``<folder>/bench`` before the start are objects of the bucket."""
    note: str = ""
    probe: tuple[str, ...] = ()
    """Arguments with which the binary must succeed for the peer to count as found."""

    def find(self) -> str | None:
        """Path of the binary."""
        path = os.pathsep.join(filter(None, [os.environ.get("BENCH_PATH"), os.environ.get("PATH")]))
        for folder in path.split(os.pathsep):
            found = shutil.which(self.binary, path=folder)
            if found and self._is_usable(found):
                return found
        return None

    def _is_usable(self, binary: str) -> bool:
        return not self.probe or subprocess.run([binary, *self.probe], capture_output=True).returncode == 0

    def read_version(self) -> str:
        """What the binary says about its version, or the Go tool about the binary; ``unknown`` otherwise."""
        if self.binary == "python":
            return f"{__version__}, Python {platform.python_version()}"
        binary = self.find() or ""
        patterns = {
            ("go", "version", "-m", binary): r"\tmod\t\S+\t(\S+)",
            (binary, "--version"): r"(v?\d+\.\d+\S*)",
        }
        for command, pattern in patterns.items():
            with contextlib.suppress(OSError):
                asked = subprocess.run(command, capture_output=True, text=True, check=False)
                found = re.search(pattern, asked.stdout)
                if found and asked.returncode == 0:
                    return found[1]
        return "unknown"


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ours(durability: str, more: str = "") -> Callable[[str, Path, int], list[str]]:
    def command(_binary: str, folder: Path, port: int) -> list[str]:
        bucket = folder / BUCKET
        bucket.mkdir(exist_ok=True)
        config = folder.parent / f"{folder.name}.toml"
        table = f'name = "{BUCKET}"\nfolder = "{bucket}"\ndurability = "{durability}"\n{more}\n'
        config.write_text(f"[[datasource]]\n{table}")
        data = folder.parent / f"{folder.name}.data"
        listen = [f"127.0.0.1:{free_port()}", f"127.0.0.1:{port}"]
        return [
            *(sys.executable, "-m", "cellsmono", "serve", "--config", str(config), "--data-dir", str(data)),
            *("--listen", listen[0], "--s3-listen", listen[1]),
        ]

    return command


_OWNER = {"CELLSMONO_OWNER_ACCESS_KEY": ACCESS_KEY, "CELLSMONO_OWNER_SECRET_KEY": SECRET_KEY}

WITHOUT_HASHING = Peer("cellsmono", "python", _ours("fsync", "hash_content = false"), _OWNER, True, "")
"""For what is measured beside no background work: a million new files are hashed for minutes."""
OURS = (
    Peer("cellsmono", "python", _ours("fsync"), _OWNER, True, 'durability = "fsync"'),
    Peer("cellsmono-relaxed", "python", _ours("relaxed"), _OWNER, True, 'durability = "relaxed"'),
)
OTHERS = (
    Peer(
        "minio",
        "minio",
        lambda binary, folder, port: [binary, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(folder)],
        {"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY, "MINIO_BROWSER": "off"},
        False,
        "syncs files; one drive",
    ),
    Peer(
        "versitygw",
        "versitygw",
        lambda binary, folder, port: [
            *(binary, "--quiet", "--keep-alive", "--port", f"127.0.0.1:{port}", "posix", str(folder)),
        ],
        {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY},
        True,
        "syncs nothing; keep-alive switched on",
    ),
    Peer(
        "rclone",
        "rclone",
        lambda binary, folder, port: [
            *(binary, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"),
            str(folder),
        ],
        {},
        True,
        "syncs nothing; does not check payload hashes",
        ("serve", "s3", "--help"),
    ),
    Peer(
        "s3s-fs",
        "s3s-fs",
        lambda binary, folder, port: [
            *(binary, "--host", "127.0.0.1", "--port", str(port), "--access-key", ACCESS_KEY),
            *("--secret-key", SECRET_KEY, str(folder)),
        ],
        {"RUST_LOG": "error"},
        True,
        "syncs nothing",
    ),
    Peer(
        "moto",
        "moto_server",
        lambda binary, _folder, port: [binary, "-H", "127.0.0.1", "-p", str(port)],
        {},
        False,
        "keeps objects in memory; for tests, accepts any signature",
    ),
)


def find_peers() -> list[Peer]:
    """Ours, and every other that is there."""
    return [*OURS, *(peer for peer in OTHERS if peer.find())]


@contextlib.contextmanager
def run_server(peer: Peer, folder: Path, log: Path) -> Iterator[Server]:
    """Start the peer on a folder, wait until it answers, stop it at the end."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = peer.command(peer.find() or "", folder, port)
    begin = time.perf_counter()
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **peer.environment},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        _wait_for_answer(process, port, log)
        yield Server(peer.name, f"http://127.0.0.1:{port}", process.pid, time.perf_counter() - begin)
    finally:
        _stop(process)


def _wait_for_answer(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}: {log.read_text(errors='replace')[-600:]}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/")
            if connection.getresponse().status < 500:
                return
        connection.close()
        time.sleep(0.01)
    raise RuntimeError(f"no answer within {START_SECONDS} s: {log.read_text(errors='replace')[-600:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
