"""What the crash tests stand on: an oracle that knows what was acknowledged, and a server that can be killed.

Every key has one writer, so its history is a line: the last acknowledged content, and at most one write whose answer
never came. After a restart the key must hold the one or the other, whole.
"""

import hashlib
import json
import mmap
import os
import secrets
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BUCKET = "crash"
HIDDEN = {".pydio", ".cellsmono"}
ABSENT = "absent"


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class Oracle:
    """What each key may hold. ``begin`` before a write, ``end`` after its acknowledgement."""

    def __init__(self) -> None:
        self._may_hold: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self.acknowledged = 0

    def begin(self, key: str, digest: str) -> None:
        with self._lock:
            self._may_hold.setdefault(key, {ABSENT}).add(digest)

    def end(self, key: str, digest: str) -> None:
        with self._lock:
            self._may_hold[key] = {digest}
            self.acknowledged += 1

    def settle(self, key: str, digest: str) -> None:
        """After a crash the key was seen to hold this; from now on it must go on holding it."""
        assert digest in self._may_hold[key], f"{key} holds {digest[:12]}, expected one of {self._may_hold[key]}"
        self._may_hold[key] = {digest}

    def list_keys(self) -> list[str]:
        return sorted(self._may_hold)

    def certain(self) -> dict[str, str]:
        """Keys whose content is known, as far as nothing was under way."""
        with self._lock:
            return {key: next(iter(held)) for key, held in self._may_hold.items() if len(held) == 1}

    def uncertain(self) -> list[str]:
        """Keys with a write whose answer never came."""
        with self._lock:
            return [key for key, held in self._may_hold.items() if len(held) > 1]

    def present(self) -> dict[str, str]:
        """Every key that must be there, once all is settled."""
        assert not self.uncertain()
        return {key: digest for key, digest in self.certain().items() if digest != ABSENT}


class Site:
    """A datasource whose server is started and killed again and again."""

    def __init__(self, start_server, root: Path) -> None:
        self._start_server = start_server
        self.folder = root / "served" / BUCKET
        self.folder.mkdir(parents=True)
        self.data_dir = root / "data"
        self.oracle = Oracle()
        self.server = None
        self.starts: list[float] = []

    def arguments(self) -> list[str]:
        """What is served."""
        return [f"{BUCKET}={self.folder}"]

    def start(self, **environment: str):
        begin = time.monotonic()
        self.server = self._start_server(self.data_dir, *self.arguments(), **environment)
        self.starts.append(time.monotonic() - begin)
        return self.client()

    def client(self):
        """A client that asks once, and not again."""
        config = Config(
            retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30, max_pool_connections=32,
            s3={"addressing_style": "path"},
        )  # fmt: skip
        return boto3.client(
            "s3",
            endpoint_url=self.server.url,
            aws_access_key_id=self.server.access_key,
            aws_secret_access_key=self.server.secret_key,
            region_name="us-east-1",
            config=config,
        )

    def read(self, s3, key: str) -> str:
        """Digest of what the key holds; ETag and length must fit the bytes."""
        try:
            answer = s3.get_object(Bucket=BUCKET, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return ABSENT
            raise
        body = answer["Body"].read()
        assert len(body) == answer["ContentLength"]
        etag = answer["ETag"].strip('"')
        if "-" not in etag:
            assert etag == hashlib.md5(body).hexdigest(), f"{key}: the ETag is not that of its bytes"
        return digest_of(body)

    def list_keys(self, s3) -> list[str]:
        """Keys of files; a folder that a cut short write has left empty may be listed under its own key."""
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [entry["Key"] for page in pages for entry in page.get("Contents", []) if not entry["Key"].endswith("/")]

    def list_disk(self) -> dict[str, str]:
        """Digest of every file that users see on the disk."""
        found = {}
        for path in self.folder.rglob("*"):
            parts = path.relative_to(self.folder).parts
            if path.is_file() and not HIDDEN & set(parts):
                found["/".join(parts)] = digest_of(path.read_bytes())
        return found

    def check_storage(self, expected: dict[str, str]) -> None:
        """The disk holds this, and nothing else."""
        assert self.list_disk() == expected

    def check_certain(self, s3) -> None:
        """What was acknowledged and not touched since is listed, or not, at once after the start."""
        listed = set(self.list_keys(s3))
        for key, digest in self.oracle.certain().items():
            assert (key in listed) == (digest != ABSENT), f"{key} is {'' if key in listed else 'not '}listed"

    def check_uncertain(self, s3) -> None:
        """What was under way is as before or as it should have become."""
        for key in self.oracle.uncertain():
            self.oracle.settle(key, self.read(s3, key))

    def check_all(self, s3, seconds: float = 10.0) -> None:
        """Bytes, disk, listing and oracle agree; the listing gets this long to follow the disk."""
        self.check_uncertain(s3)
        expected = self.oracle.present()
        for key in self.oracle.list_keys():
            self.oracle.settle(key, self.read(s3, key))
        self.check_storage(expected)
        deadline = time.monotonic() + seconds
        while (listed := self.list_keys(s3)) != sorted(expected, key=str.encode):
            assert time.monotonic() < deadline, f"listed and on the disk differ: {sorted(set(listed) ^ set(expected))}"


class FlatSite(Site):
    """The same with a flat datasource: what it holds is told by the index, and no blob may be missing or wrong."""

    def arguments(self) -> list[str]:
        """What is served: from a file, which alone can say how."""
        file = self.data_dir.with_name("config.toml")
        values = {"name": BUCKET, "format": "flat", **self.place()}
        file.write_text("\n".join(["[[datasource]]", *(f'{name} = "{value}"' for name, value in values.items())]))
        return ["--config", str(file)]

    def place(self) -> dict[str, str]:
        """Where the blobs lie."""
        return {"folder": str(self.folder)}

    def check_storage(self, expected: dict[str, str]) -> None:
        """A check says so; what is left over without a name is removed or named later, when nobody writes."""
        command = [
            sys.executable,
            "-m",
            "cellsmono",
            "ds",
            "check",
            BUCKET,
            "--data-dir",
            str(self.data_dir),
            "-o",
            "json",
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout, done.stderr
        report = json.loads(done.stdout)
        assert report["violations"] == []
        assert set(report["blobs"]["counts"]) <= {"lost", "superseded", "deleted"}, report["blobs"]
        assert report["blobs"]["blobs"] >= len(expected)


class FarSite(FlatSite):
    """A flat datasource in a bucket of another server, which goes on while ours is killed."""

    def __init__(self, start_server, root: Path, other) -> None:
        super().__init__(start_server, root)
        self._other = other
        self._bucket = f"far-{secrets.token_hex(6)}"
        client = boto3.client(
            "s3",
            endpoint_url=other.url,
            aws_access_key_id=other.access_key,
            aws_secret_access_key=other.secret_key,
            region_name="us-east-1",
        )
        client.create_bucket(Bucket=self._bucket)
        client.close()

    def place(self) -> dict[str, str]:
        """Where the blobs lie."""
        keys = {"access_key": self._other.access_key, "secret_key": self._other.secret_key}
        return {"storage": "s3", "endpoint": self._other.url, "bucket": self._bucket, "prefix": "base", **keys}


@pytest.fixture
def site(start_server, tmp_path, request):
    """Structured in a folder, unless the test asks for ``flat`` or ``far``."""
    kind = getattr(request, "param", "structured")
    if kind == "far":
        site = FarSite(start_server, tmp_path, request.getfixturevalue("own_server"))
    else:
        site = (FlatSite if kind == "flat" else Site)(start_server, tmp_path)
    yield site
    if site.server is not None and site.server.process.poll() is None:
        site.server.stop()


@pytest.fixture
def wire_errors():
    """What a client sees when the server dies under its request."""
    return (BotoCoreError, ClientError)


@pytest.fixture(scope="session")
def points_library(tmp_path_factory):
    """The library that counts system calls, built by the C compiler of this machine."""
    built = tmp_path_factory.mktemp("points") / "points.so"
    source = Path(__file__).with_name("points.c")
    try:
        command = ["cc", "-shared", "-fPIC", "-O1", "-w", "-o", str(built), str(source), "-ldl"]
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs a C compiler (cc)")
    if done.returncode:
        pytest.skip(f"the C compiler does not build here: {done.stderr[-300:]}")
    return built


@pytest.fixture(scope="session")
def template(points_library):
    """The process that forks itself for each script, see ``template.py``."""
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": path, "LD_PRELOAD": str(points_library)}
    command = [sys.executable, str(Path(__file__).with_name("template.py"))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, env=environment) as process:
        yield process


@pytest.fixture
def run_to_point(template, tmp_path):
    """Runs a Python script that is killed at a point: ``run(script, *arguments, kill_at=n)``.

    The script gets two more arguments: the board, whose first integer it sets to 1 for as long as points are to be
    counted, and the point, which it writes into the third. It says ``ack`` when it is done. What is returned is whether
    it said so, and how many points it passed.
    """
    board, out, errors = (tmp_path / name for name in ("board", "out", "errors"))

    def run(script: str, *arguments: str, kill_at: int) -> tuple[bool, int]:
        board.write_bytes(bytes(4096))
        asked = {"script": script, "arguments": [*arguments, str(board), str(kill_at)]}
        asked |= {"board": str(board), "out": str(out), "errors": str(errors)}
        template.stdin.write(json.dumps(asked) + "\n")
        template.stdin.flush()
        status = json.loads(template.stdout.readline())["status"]
        assert status in (0, -9), errors.read_text(errors="replace")
        with board.open("r+b") as file, mmap.mmap(file.fileno(), 4096) as shared:
            count = struct.unpack("iii", shared[0:12])[1]
        return out.read_bytes() == b"ack", count

    return run
