"""A real server with a canary beside its folder, and a hand that signs whatever it is told to."""

import hashlib
import hmac
import os
import socket
import time
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

BUCKET = "docs"
LOGGED = {"CELLSMONO_LOG__LEVEL": "debug", "CELLSMONO_LOG__REQUESTS": "true"}
CANARY = b"canary-outside-of-the-bucket"


class Hand:
    """Signs raw requests with SigV4, and sends them byte for byte."""

    def __init__(self, server):
        self.server = server
        self.host, _, port = server.host.partition(":")
        self.port = int(port)
        self.signatures = []

    def sign(self, method, target, headers=None, payload="UNSIGNED-PAYLOAD"):
        """The head of a signed request."""
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        signed = {"host": self.server.host, "x-amz-date": now, "x-amz-content-sha256": payload}
        signed |= {name.lower(): value for name, value in (headers or {}).items()}
        names = ";".join(sorted(signed))
        path, _, query = target.partition("?")
        query = "&".join(sorted(piece if "=" in piece else piece + "=" for piece in query.split("&") if piece))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"
        key = f"AWS4{self.server.secret_key}".encode()
        for piece in scope.split("/"):
            key = hmac.digest(key, piece.encode(), "sha256")
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(key, text.encode(), "sha256").hexdigest()
        self.signatures.append(signature)
        credential = f"{self.server.access_key}/{scope}"
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        )
        rows = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in signed.items())]
        return ("\r\n".join([*rows, "connection: close"]) + "\r\n\r\n").encode("utf-8", "surrogateescape")

    def talk(self, data):
        """Status and whole answer."""
        with socket.create_connection((self.host, self.port), timeout=20) as sock:
            sock.sendall(data)
            answer = bytearray()
            try:
                while piece := sock.recv(65536):
                    answer += piece
            except ConnectionResetError:
                pass
        return int(answer.split(b" ", 2)[1]) if answer else 0, bytes(answer)

    def send(self, method, target, body=b"", headers=None):
        """Sign and send."""
        headers = dict(headers or {})
        if body or method in ("PUT", "POST"):
            headers["content-length"] = str(len(body))
        return self.talk(self.sign(method, target, headers) + body)


class Scene:
    """The server, its folder, and everything around it that must stay as it is."""

    def __init__(self, server, root):
        self.server, self.root = server, root
        self.folder = root / "parent" / BUCKET
        self.hand = Hand(server)
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, signature_version="s3v4")
        self.s3 = boto3.client(
            "s3",
            endpoint_url=server.url,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name="us-east-1",
            config=config,
        )

    def outside(self):
        """Content of every file around the bucket that is not the server's own."""
        found = {}
        for at, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if Path(at, name) not in (self.folder, self.root / "data")]
            folders[:] = [name for name in folders if name != ".cellsmono"]
            found |= {str(Path(at, name)): Path(at, name).read_bytes() for name in files if not name.endswith(".log")}
        return found


@pytest.fixture(scope="module")
def scene(start_server, tmp_path_factory):
    root = tmp_path_factory.mktemp("scene")
    (root / "parent" / BUCKET / "sub").mkdir(parents=True)
    (root / "parent" / "secret").mkdir()
    (root / "parent" / "docs-other").mkdir()
    for place in ("secret.txt", "parent/secret.txt", "parent/secret/f", "parent/docs-other/f"):
        (root / place).write_bytes(CANARY)
    before = os.umask(0o022)
    try:
        server = start_server(root / "data", f"{BUCKET}={root / 'parent' / BUCKET}", **LOGGED)
    finally:
        os.umask(before)
    made = Scene(server, root)
    made.s3.put_object(Bucket=BUCKET, Key="sub/own", Body=b"own")
    yield made
    made.s3.close()
    assert server.stop() == 0


@pytest.fixture
def canary():
    return CANARY
