"""The README's commands are executed, and its claims about keys and files are held to the code.

Blocks carry tags (``run=...``). The command that serves is run as it stands, installation included, when
``README_INSTALL`` is set, as CI does; otherwise its last step runs in the present environment, and its first
two steps are only compared. The command that passes the tests is what CI runs, read from the README by ``.ci/run``.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cellsmono.app.config import SECTIONS
from cellsmono.interfaces.datasource import DatasourceConfig

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RECOVERY = (ROOT / "docs" / "recovery.md").read_text()
BLOCKS = {
    tag: textwrap.dedent(text)
    for tag, text in re.findall(r"^ *```\w+ run=(\S+)\n(.*?)^ *```", README + RECOVERY, re.MULTILINE | re.DOTALL)
}
SETUP = ["python3 -m venv .venv", ".venv/bin/pip install ."]
STATED = "127.0.0.1:9000"


class Reader:
    """Somebody who follows the README: a home, a checkout, a running server, and the keys that it printed."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.documents = self.home / "Documents"
        self.documents.mkdir(parents=True)
        self.checkout = root / "checkout"
        self.checkout.mkdir()
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, self.checkout)
        shutil.copytree(ROOT / "src", self.checkout / "src", ignore=shutil.ignore_patterns("__pycache__"))
        kept = {
            name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "SSL_", "HTTP", "http", "no_"))
        }
        self.environment = {
            **kept,
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.banner: list[str] = []
        self.process = self._serve()
        self.host = self._find("S3").removeprefix("http://")

    def _serve(self) -> subprocess.Popen[str]:
        command = BLOCKS["serve"].strip()
        if not os.environ.get("README_INSTALL"):
            *setup, command = (step.strip() for step in command.split("&&"))
            assert setup == SETUP
            (self.checkout / ".venv").symlink_to(sys.prefix)
        with (self.checkout / "stderr").open("wb") as errors:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", command],
                cwd=self.checkout,
                env={
                    **self.environment,
                    "CELLSMONO_SERVER__LISTEN": "127.0.0.1:0",
                    "CELLSMONO_S3__LISTEN": "127.0.0.1:0",
                },
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                text=True,
            )
        assert process.stdout is not None
        for line in process.stdout:
            self.banner.append(line.strip())
            if line.startswith("Ready."):
                return process
        process.stdout.close()
        process.wait()
        raise AssertionError("\n".join(self.banner[-20:]) + (self.checkout / "stderr").read_text()[-3000:])

    def _find(self, title: str) -> str:
        return next(line.removeprefix(title).split()[0] for line in self.banner if line.startswith(title))

    def follow(self, tag: str) -> str:
        """Run a block as a shell would, with the environment that the README sets up before; its output."""
        text = BLOCKS["environment"] + BLOCKS[tag]
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text.replace(STATED, self.host)],
            cwd=self.checkout,
            env={**self.environment, **self.keys()},
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    def keys(self) -> dict[str, str]:
        """The pair that the first start printed."""
        return {
            "AWS_ACCESS_KEY_ID": self._find("access key"),
            "AWS_SECRET_ACCESS_KEY": self._find("secret key"),
        }

    def stop(self) -> None:
        if self.process.poll() is not None:
            return
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    reader = Reader(tmp_path_factory.mktemp("reader"))
    yield reader
    reader.stop()


@pytest.mark.timeout(600)
def test_the_command_that_serves(reader):
    assert reader._find("Bucket") == "documents"
    assert str(reader.documents) in "\n".join(reader.banner)


@pytest.mark.client("aws", "curl")
def test_aws(reader):
    assert "documents" in reader.follow("aws")
    assert (reader.documents / "notes.txt").read_text() == "hello\n"
    assert (reader.documents / "photos" / "été 🌅.jpg").read_text() == "not really a picture\n"


@pytest.mark.client("rclone")
def test_rclone(reader):
    assert "été 🌅.jpg" in reader.follow("rclone")


@pytest.mark.client("s3cmd")
def test_s3cmd(reader):
    assert "s3://documents/by-s3cmd.txt" in reader.follow("s3cmd")


@pytest.mark.client("restic")
def test_restic(reader):
    assert "no errors were found" in reader.follow("restic")


@pytest.mark.client("curl")
def test_curl(reader):
    assert reader.follow("curl").endswith("hello\n")
    assert (reader.documents / "by-curl.txt").read_text() == "hello\n"


def run_boto3(reader) -> str:
    environment = {**reader.environment, **reader.keys(), "AWS_ENDPOINT_URL": f"http://{reader.host}"}
    environment["AWS_DEFAULT_REGION"] = "us-east-1"
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS["boto3"]], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_boto3(reader):
    assert "by-boto3.txt" in run_boto3(reader)


@pytest.mark.client("aws")
def test_behind_its_back(reader):
    run_boto3(reader)
    assert reader.follow("behind").splitlines() == ["hello", "hello"]


@pytest.mark.timeout(240)
def test_people(reader):
    told = reader.follow("people")
    assert re.search(r"(?m)^alice +/sales +standard +Alice Ames +never", told)


def test_rights(reader):
    told = reader.follow("rights")
    assert "may    read and write" in told
    assert "decides  documents/reports/  user alice  read write" in told


def test_workspaces(reader):
    told = reader.follow("workspaces")
    assert re.search(r"(?m)^reports +All reports +reports +documents/reports/ +read write$", told)
    assert re.search(r"(?m)^personal-files +Personal Files +my-files +personal/alice/ +read write$", told)


def test_quota(reader):
    told = reader.follow("quota")
    assert re.search(r"(?m)^documents/reports/ +10\.0 GiB +\S+ \w+ +group /sales +reports$", told)


@pytest.mark.client("aws")
def test_alice(reader):
    told = reader.follow("alice")
    assert re.search(r"(?m) reports$", told)
    assert "from-alice.txt" in told
    assert (reader.documents / "reports" / "from-alice.txt").read_text() == "hello\n"


@pytest.mark.client("aws")
def test_files(reader):
    told = reader.follow("files")
    assert re.search(r"(?m)^from-alice\.txt +6 B ", told)
    assert re.search(r"(?m) alice +finished +100% .* Restore from-alice\.txt$", told)


def test_looking_after_it(reader):
    told = reader.follow("look")
    assert "data.index.documents" in told
    assert re.search(r"(?m)^rot +0$", reader.follow("rehash"))


@pytest.mark.timeout(240)
def test_snapshots(reader):
    run_boto3(reader)
    assert re.search(r"(?m)^good\.db .* ok$", reader.follow("dump"))
    assert "before-load-" in reader.follow("load")
    assert re.search(r"content +\d+ folders, [1-9]\d* files", reader.follow("rescue"))


@pytest.mark.client("aws")
@pytest.mark.timeout(240)
def test_a_flat_datasource(reader):
    assert "1 blobs, 6 B" in reader.follow("flat")
    assert (reader.home / "blobs" / "cellsmono-flat.json").exists()
    listed = reader.follow("versions")
    assert "DeleteMarkers" in listed
    assert '"Size": 6' in listed
    shown = reader.follow("versions-cli")
    assert re.search(r"(?m)^notes\.txt +[0-9a-f]{32} .* deleted, current", shown)
    assert re.search(r"keys +\d", shown)
    assert '"Mode": "GOVERNANCE"' in reader.follow("locks")
    assert re.search(r"written +\d+ folders, 2 files", reader.follow("export"))
    assert [path.read_text() for path in (reader.home / "my-files").rglob("every key goes")] == ["hello\n"]


@pytest.mark.timeout(240)
def test_an_encrypted_datasource(reader):
    reader.follow("sealed")
    assert (reader.home / "sealed" / "cellsmono-keys.json").exists()


@pytest.mark.client("aws")
@pytest.mark.timeout(240)
def test_recovery(reader):
    """The server has the folders of the tour; after that it goes away, and its data folder with it."""
    if not (reader.home / "blobs").exists():
        reader.follow("flat")
    run_boto3(reader)
    assert re.search(r"(?m)^snapshot\.db .* ok$", reader.follow("recovery-dump"))
    assert "before-load-" in reader.follow("recovery-structured")
    assert "before-load-" in reader.follow("recovery-flat")
    reader.stop()
    (reader.home / ".local").rename(reader.home / "lost")
    listed = reader.follow("recovery-machine")
    assert re.search(r"(?m)^documents +ready +[1-9]", listed)
    assert re.search(r"(?m)^archive +ready +[1-9]", listed)
    assert re.search(r"written +\d+ folders, [1-9]\d* files", reader.follow("recovery-export"))
    assert [path.read_text() for path in (reader.home / "rescued").rglob("every key goes")] == ["hello\n"]


def test_every_tagged_block_is_executed():
    tests = set(re.findall(r'(?:follow\(|BLOCKS\[)"([\w-]+)"', Path(__file__).read_text()))
    assert set(BLOCKS) == tests | {"test"}


def test_ci_runs_the_command_that_passes_the_tests():
    command = BLOCKS["test"].strip()
    assert command.startswith(SETUP[0] + " && .venv/bin/pip install -c constraints.txt -e '.[dev]'")
    assert ".venv/bin/python -m pytest" in command
    assert "readme_block test" in (ROOT / ".ci" / "run").read_text()


def test_the_keys_in_the_table_are_keys():
    known = {f"{section}.{key}" for section, struct in SECTIONS.items() for key in struct.__struct_fields__}
    table = README.partition("| Key | Default |")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `") or line.startswith("| …")]
    named = [name for cell in cells for name in re.findall(r"`([a-z_0-9.]+)`", cell)]
    assert len(named) > 10
    for name in named:
        assert name in known or name in DatasourceConfig.__struct_fields__, f"the README names an unknown key: {name}"


def test_the_files_that_are_named_are_there():
    for name in re.findall(r"^\| `([^`]+)` \|", README.partition("## Where things are")[2], re.MULTILINE):
        assert (ROOT / name).exists(), f"the README names {name}, which is not there"
