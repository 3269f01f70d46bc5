"""The examples of ``docs/rest.md`` are executed, and the routes it names are there."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from cellsmono.gateway.rest.table import ROUTES
from cellsmono.interfaces.people import CreateToken, CreateUser

TEXT = (Path(__file__).parents[2] / "docs" / "rest.md").read_text()
BLOCKS = dict(re.findall(r"^```sh run=(\S+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def follow(server, tmp_path_factory):
    """Runs a block as alice would, who has a password and a token; its output."""
    server.perform(CreateUser("alice", password="correct horse"))
    token = server.perform(CreateToken("alice")).secret
    folder = tmp_path_factory.mktemp("reader")

    def run(name):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", BLOCKS[name]],
            cwd=folder,
            env={**os.environ, "URL": f"http://127.0.0.1:{server.port}/a", "TOKEN": token},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{BLOCKS[name]}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    return run


@pytest.mark.client("curl")
def test_the_first_steps(follow):
    told = follow("first")
    assert '"Path":"personal-files"' in told
    assert '"Path":"personal-files/reports/hello.txt"' in told
    assert told.endswith("hello\n")


@pytest.mark.client("curl")
def test_signing_in(follow):
    told = follow("session")
    assert '{"JWT":"cmt_' in told
    assert '"Title":"Login failed"' in told


@pytest.mark.client("curl")
def test_nodes(follow):
    told = follow("nodes")
    assert '"Path":"personal-files/a/b/c"' in told
    assert told.endswith("{}")


@pytest.mark.client("curl")
def test_jobs(follow):
    told = follow("jobs")
    assert '"Label":"Copy from to personal-files/to"' in told
    assert '"Path":"personal-files/to/plan.txt"' in told


@pytest.mark.client("curl")
def test_content(follow):
    assert follow("content").endswith("ell")


def test_every_block_is_executed():
    assert set(BLOCKS) == set(re.findall(r'follow\("([\w-]+)"\)', Path(__file__).read_text()))


def test_every_route_is_written_about():
    """By its path, whatever method; and no path is written about that is not there."""
    paths = {route.path.replace("*}", "}") for route in ROUTES}
    named = set(re.findall(r"(?<!\w)/a(/[\w/-]*(?:\{\w+\})?)", TEXT)) - {"/"}
    for path in paths:
        prefix = path.partition("{")[0]
        assert path in named or any(each.startswith(prefix) for each in named), f"{path} is not in docs/rest.md"
    known = [path.partition("{")[0] for path in paths]
    for path in named:
        assert any(path.partition("{")[0].startswith(each) for each in known), f"docs/rest.md names {path}"
