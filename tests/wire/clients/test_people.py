"""Two people over one server with the clients they have: awscli and rclone, with tokens that the command line made."""

import json
import subprocess
import sys

import pytest


class Person:
    """Somebody with a token, and a home of their own."""

    def __init__(self, server, token, home):
        home.mkdir()
        self.home = home
        self.environment = {
            **server.client_environment(),
            "HOME": str(home),
            "AWS_ACCESS_KEY_ID": token,
            "AWS_SECRET_ACCESS_KEY": "gatewaysecret",
        }

    def run(self, *command, code=0):
        """Run a client; ``code`` None: it must fail."""
        done = subprocess.run(
            list(map(str, command)), env=self.environment, capture_output=True, text=True, timeout=100
        )
        is_expected = done.returncode != 0 if code is None else done.returncode == code
        assert is_expected, f"{command}\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture(scope="module")
def site(start_server, tmp_path_factory):
    """A server as it is at the first start, two people, and a way to run its commands."""
    place = tmp_path_factory.mktemp("people")
    server = start_server(place / "data", CELLSMONO_SERVER__DEFAULT_DATASOURCES="true", CELLSMONO_LOG__LEVEL="error")

    def command(*arguments):
        line = [sys.executable, "-m", "cellsmono", *arguments, "--data-dir", str(place / "data")]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    people = {}
    for login in ("alice", "bob"):
        command("user", "create", login)
        token = json.loads(command("user", "token", "create", login, "--output", "json"))["secret"]
        people[login] = Person(server, token, place / login)
    yield command, people["alice"], people["bob"]
    server.stop()


@pytest.mark.client("aws")
def test_awscli(site, client_path, tmp_path):
    command, alice, bob = site
    aws = client_path("aws")
    assert alice.run(aws, "s3", "ls").stdout.split()[2::3] == ["common-files", "personal-files"]
    (tmp_path / "notes.txt").write_text("hers")
    (tmp_path / "big.bin").write_bytes(b"0123456789" * 1_200_000)
    alice.run(aws, "s3", "cp", tmp_path / "notes.txt", "s3://personal-files/own/notes.txt")
    alice.run(aws, "s3", "cp", tmp_path / "big.bin", "s3://common-files/shared/big.bin")
    assert bob.run(aws, "s3", "ls", "--recursive", "s3://personal-files").stdout == ""
    bob.run(aws, "s3", "cp", "s3://personal-files/own/notes.txt", "-", code=1)
    bob.run(aws, "s3", "cp", "s3://common-files/shared/big.bin", tmp_path / "copy.bin")
    assert (tmp_path / "copy.bin").read_bytes() == (tmp_path / "big.bin").read_bytes()
    bob.run(aws, "s3", "cp", "s3://common-files/shared/big.bin", "s3://personal-files/mine.bin")
    assert alice.run(aws, "s3", "ls", "--recursive", "s3://personal-files").stdout.split()[3::4] == ["own/notes.txt"]
    command("acl", "set", "pydiods1/shared", "--user", "bob", "--deny")
    assert bob.run(aws, "s3", "ls", "s3://common-files").stdout == ""
    bob.run(aws, "s3", "cp", "s3://common-files/shared/big.bin", "-", code=1)
    bob.run(aws, "s3", "rm", "s3://common-files/shared/big.bin", code=1)
    alice.run(aws, "s3", "rm", "s3://common-files/shared/big.bin")
    for bucket in ("pydiods1", "personal", "thumbnails"):
        assert "NoSuchBucket" in alice.run(aws, "s3", "ls", f"s3://{bucket}", code=None).stderr
    assert "AccessDenied" in alice.run(aws, "s3", "mb", "s3://new-bucket", code=1).stderr


@pytest.mark.client("rclone")
def test_rclone(site, client_path, photos, files_of, tmp_path):
    command, alice, bob = site
    rclone = client_path("rclone")
    options = ("--no-unicode-normalization",)
    alice.run(rclone, "sync", photos, "cells:personal-files/photos", *options)
    alice.run(rclone, "check", photos, "cells:personal-files/photos", *options)
    assert bob.run(rclone, "lsf", "-R", "cells:personal-files/photos", *options).stdout == ""
    bob.run(rclone, "sync", photos, "cells:common-files/from-bob", *options)
    alice.run(rclone, "sync", "cells:common-files/from-bob", tmp_path / "back", *options)
    assert files_of(tmp_path / "back") == files_of(photos)
    command("acl", "set", "pydiods1/from-bob", "--group", "/", "--workspace", "common-files", "--read")
    bob.run(rclone, "deletefile", "cells:common-files/from-bob/1+1=2.txt", *options, code=1)
    command("acl", "set", "pydiods1/from-bob", "--user", "bob", "--read", "--write")
    bob.run(rclone, "purge", "cells:common-files/from-bob", *options)
    assert "from-bob/" not in alice.run(rclone, "lsf", "cells:common-files", *options).stdout
