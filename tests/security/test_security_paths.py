"""C7, C9, N1, N2: whatever a request names, nothing outside of the bucket is read, written or removed."""

import base64
import ctypes
import hashlib
import os
import threading
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError

AT_FDCWD, RENAME_EXCHANGE = -100, 2
PLACES = ["secret.txt", "secret/f", "docs-other/f"]
ESCAPES = [
    *(f"{up}{place}" for place in PLACES for up in ("../", "sub/../../", "..%2f", "%2e%2e/", "%2e%2e%2f", ".%2e/")),
    *("..%252fsecret.txt", "%252e%252e/secret.txt", "..%5csecret.txt", "..\\secret.txt", "....//secret.txt"),
    *("/../secret.txt", "//../secret.txt", "%2f..%2fsecret.txt", "./../secret.txt", "sub/./../../secret.txt"),
    *("..%00/secret.txt", "secret.txt%00", "%c0%ae%c0%ae/secret.txt", "%e0%80%ae./secret.txt", "..;/secret.txt"),
    *("%2e%2e", "..", ".", "%2e", "../", "sub/..", "sub/.", "%2fetc%2fpasswd", "//etc/passwd", "~/secret.txt"),
]
RESERVED = [".pydio", "sub/.pydio", ".cellsmono", ".cellsmono/x", "sub/.pydio/x", ".cellsmono%2fx"]
ODD = [
    "a" * 1025,
    "x/" * 513,
    "%ff%fe",
    "a%0d%0aX-Evil:%201",
    "a%1b%5b31m",
    "%e2%80%ae",
    "n" * 256,
    "%zz",
    "%",
]


@pytest.fixture(autouse=True)
def nothing_outside_changes(scene, canary):
    before = scene.outside()
    assert canary in before.values()
    yield
    assert scene.outside() == before
    assert scene.s3.get_object(Bucket="docs", Key="sub/own")["Body"].read() == b"own"


def check(answer, canary, *, may_work=True):
    status, text = answer
    assert canary not in text, "the canary was read"
    assert b"root:" not in text
    allowed = (200, 204) if may_work else ()
    assert status in allowed or 400 <= status < 500, text[:300]


@pytest.mark.parametrize("path", ESCAPES + RESERVED + ODD)
def test_c7_no_key_leaves_the_bucket(scene, canary, path):
    for method, body in (("GET", b""), ("HEAD", b""), ("PUT", b"evil"), ("DELETE", b""), ("POST", b"")):
        target = f"/docs/{path}" + ("?uploads" if method == "POST" else "")
        check(scene.hand.send(method, target, body), canary)


@pytest.mark.parametrize("path", ESCAPES + RESERVED)
def test_c7_no_copy_source_leaves_the_bucket(scene, canary, path):
    for source in (f"/docs/{path}", f"docs/{path}", f"/docs%2f{path}"):
        status, text = scene.hand.send("PUT", "/docs/copied", b"", {"x-amz-copy-source": source})
        check((status, text), canary)
        assert status != 200, "a copy of something that is not there"
    status, _ = scene.hand.send("GET", "/docs/copied")
    assert status == 404


@pytest.mark.parametrize("path", ["../secret.txt", "../docs-other/f", "..", ".pydio", "a\0b", "sub/../../secret.txt"])
def test_c7_no_key_in_a_document_or_form_leaves_the_bucket(scene, canary, path):
    document = f"<Delete><Object><Key>{path}</Key></Object></Delete>".encode()
    md5 = base64.b64encode(hashlib.md5(document).digest()).decode()
    check(scene.hand.send("POST", "/docs?delete", document, {"content-md5": md5}), canary)
    form = scene.s3.generate_presigned_post("docs", "${filename}", Conditions=[["starts-with", "$key", ""]])
    fields = form["fields"] | {"key": path}
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    parts.append(f'--b\r\nContent-Disposition: form-data; name="file"; filename="{path}"\r\n\r\nevil\r\n--b--\r\n')
    body = "".join(parts).encode()
    for key in (path, "${filename}"):
        sent = body.replace(f"\r\n\r\n{path}\r\n".encode(), f"\r\n\r\n{key}\r\n".encode(), 1)
        head = f"POST /docs HTTP/1.1\r\nHost: {scene.server.host}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        head += f"Content-Length: {len(sent)}\r\nConnection: close\r\n\r\n"
        check(scene.hand.talk(head.encode() + sent), canary)


@pytest.mark.parametrize("prefix", ["../", "..%2f", "%2e%2e%2fsecret", "/../", "sub/../../", "%00", ".pydio", "//"])
def test_c7_no_prefix_lists_what_is_outside(scene, canary, prefix):
    for query in (f"list-type=2&prefix={prefix}", f"prefix={prefix}&delimiter=%2f", f"uploads&prefix={prefix}"):
        status, text = scene.hand.send("GET", f"/docs?{query}")
        check((status, text), canary)
        assert b"secret.txt" not in text
        assert b"<Key>" not in text


@pytest.mark.parametrize(
    "bucket", ["..", "%2e%2e", "docs%2f..", ".cellsmono", "data", "docs-other", "parent", "secret"]
)
def test_c8_no_other_folder_is_a_bucket(scene, canary, bucket):
    for target in (f"/{bucket}", f"/{bucket}/f", f"/{bucket}/secret.txt", f"/{bucket}?list-type=2"):
        check(scene.hand.send("GET", target), canary)
        status, _ = scene.hand.send("PUT", target, b"evil")
        assert status != 200 or "/" not in target[1:], "an object was stored in a folder that is no bucket"


def test_c9_links_that_are_swapped_in_are_not_followed(scene, canary):
    """The folder ``swap`` is now a real one, now a link to the folder outside."""
    real, link = scene.folder / "swap", scene.folder / "link"
    real.mkdir()
    (real / "f").write_bytes(b"inside")
    link.symlink_to(scene.root / "parent" / "secret")
    done = threading.Event()
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2

    def swap():
        while not done.is_set():
            renameat2(AT_FDCWD, bytes(real), AT_FDCWD, bytes(link), RENAME_EXCHANGE)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        refused = set()
        for number in range(150):
            for method, arguments in (
                (scene.s3.get_object, {"Key": "swap/f"}),
                (scene.s3.put_object, {"Key": f"swap/new{number}", "Body": b"evil"}),
                (scene.s3.delete_object, {"Key": "swap/f" if number % 10 == 9 else f"swap/new{number}"}),
                (scene.s3.copy_object, {"Key": "stolen", "CopySource": {"Bucket": "docs", "Key": "swap/f"}}),
            ):
                try:
                    answer = method(Bucket="docs", **arguments)
                except ClientError as error:
                    refused.add(error.response["ResponseMetadata"]["HTTPStatusCode"])
                    continue
                if "Body" in answer:
                    body = answer["Body"].read()
                    assert body != canary
    finally:
        done.set()
        thread.join()
    assert refused <= {404, 409, 503}
    assert sorted(os.listdir(scene.root / "parent" / "secret")) == ["f"]
    if (scene.folder / "stolen").exists():
        assert (scene.folder / "stolen").read_bytes() == b"inside"


def test_n2_links_fifos_and_sockets_are_not_opened(scene, canary):
    (scene.folder / "passwd").symlink_to("/etc/passwd")
    (scene.folder / "out").symlink_to(scene.root / "parent" / "secret")
    (scene.folder / "loop").symlink_to("loop")
    (scene.folder / "dangling").symlink_to(scene.root / "made-by-a-write")
    os.mkfifo(scene.folder / "fifo")
    for key in ("passwd", "out/f", "loop", "dangling", "fifo"):
        status, text = scene.hand.send("GET", f"/docs/{key}")
        assert status == 404, text[:200]
        check(scene.hand.send("PUT", "/docs/taken", b"", {"x-amz-copy-source": quote(f"/docs/{key}")}), canary)
    status, _ = scene.hand.send("PUT", "/docs/out/new", b"evil")
    assert status in (409, 403, 400)
    scene.hand.send("PUT", "/docs/dangling", b"evil")
    assert not (scene.root / "made-by-a-write").exists()
    for name in ("passwd", "out", "loop", "fifo"):
        (scene.folder / name).unlink()
    scene.hand.send("DELETE", "/docs/dangling")
