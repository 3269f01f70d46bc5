"""One server for all command-line clients, and a tree of the kind that people have in their photo folders."""

import hashlib
import os
import random
import subprocess
from pathlib import Path

import pytest

BALLAST = int(os.environ.get("TEST_BALLAST", "2000"))
"""Files that lie in the served folder beside what the tests bring; 100,000 before a release."""
HIDDEN = {".pydio", ".cellsmono"}
LARGE = 20 * 1024 * 1024


class Bench:
    """The served folder, its bucket, and how to call a client against it."""

    def __init__(self, server, bucket: str, folder: Path, home: Path) -> None:
        self.server = server
        self.bucket = bucket
        self.folder = folder
        self.environment = {**server.client_environment(), "HOME": str(home)}

    def run(self, *command: object, is_checked: bool = True, **options) -> subprocess.CompletedProcess[str]:
        """Run a client; by default it must succeed."""
        done = subprocess.run(
            list(map(str, command)),
            env={**self.environment, **options.pop("env", {})},
            capture_output=True,
            text=True,
            timeout=100,
            **options,
        )
        if is_checked:
            told = f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}\n{self.server.read_log()}"
            assert done.returncode == 0, f"{command} ended with {done.returncode}\n{told}"
        return done


def list_files(folder: Path) -> dict[str, str]:
    """Digest of every file by its path within the folder, without what the server keeps there for itself."""
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not HIDDEN & set(parts):
            found["/".join(parts)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def photo_contents() -> dict[str, bytes]:
    """A few dozen files: names of every kind that a disk can hold and a shell can hurt, and contents of every size."""
    dice = random.Random(7)
    names = [
        "2024/Été à la mer/IMG 0001.jpg",  # composed
        "2024/E\u0301te\u0301 a\u0300 la mer/IMG 0001.jpg",  # the same to the eye, decomposed
        "2024/🌅 sunrise/🏳️‍🌈 flag.heic",
        "2024/旅行/写真 001.jpg",
        "1+1=2.txt",
        "100%.txt",
        "%41 is no A.txt",
        'it\'s "quoted" `ticks`.txt',
        "a&b<c>;d,e.xml",
        "#hash ?query [1] {2} !bang $dollar ~tilde ^caret |pipe.txt",
        "back\\slash.txt",
        " leading and trailing space ",
        "trailing dot.",
        ".hidden/.file",
        "-rf",
        "ａ/full width.txt",
        "x" * 230 + ".jpg",
        "é" * 115 + ".jpg",
        "/".join("deep" for _ in range(25)) + "/file.bin",
        "ab/file",
        "a/file",
        "a-b/file",
    ]
    contents = {name: dice.randbytes(dice.randrange(1, 70_000)) for name in names}
    contents["empty.txt"] = b""
    contents["2024/empty too"] = b""
    contents["one byte"] = b"\0"
    contents["video/large.mov"] = dice.randbytes(LARGE)
    return contents


@pytest.fixture(scope="session")
def bench(start_server, tmp_path_factory):
    """The server that all clients talk to."""
    root = tmp_path_factory.mktemp("clients")
    folder = root / "photos"
    for number in range(BALLAST):
        path = folder / "ballast" / f"{number // 100:04d}" / f"{number:06d}.txt"
        if number % 100 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(b"%d" % number)
    folder.mkdir(exist_ok=True)
    (root / "home").mkdir()
    server = start_server(root / "data", f"photos={folder}")
    yield Bench(server, "photos", folder, root / "home")
    assert server.stop() == 0, server.read_log()
    assert "Traceback" not in server.log.read_text(errors="replace")


@pytest.fixture(scope="session")
def photo_source(tmp_path_factory):
    """The tree as it lies in a photographer's own folder, with times of the past."""
    root = tmp_path_factory.mktemp("source")
    moment = 1_500_000_000_123_456_789
    for name, content in photo_contents().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        moment += 86_400_000_000_001
        os.utime(path, ns=(moment, moment))
    return root


@pytest.fixture
def photos(photo_source, tmp_path):
    """A copy of the tree that the test may change, times kept."""
    target = tmp_path / "source"
    subprocess.run(["cp", "-a", photo_source, target], check=True)
    return target


@pytest.fixture
def files_of():
    """Lists digests of all files under a folder."""
    return list_files
