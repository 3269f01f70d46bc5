"""Uploads that can be resumed: what tus clients do, and what happens when they do something else."""

import base64
import hashlib
import os
import socket
from itertools import pairwise

import pytest

from cellsmono.gateway.rest import uploads
from cellsmono.interfaces.people import GiveWorkspace
from cellsmono.interfaces.router import Actor

OWNER = Actor("owner")
KIND = uploads.OFFSET_TYPE
CONTENT = os.urandom(12 * 1024**2)


@pytest.fixture
def ours(site, monkeypatch):
    """Small parts, so that there are several."""
    monkeypatch.setattr(uploads, "PART_BYTES", 4 * 1024**2)
    monkeypatch.setattr(uploads, "LEAST_BYTES", 1024**2)
    alice = site.user("alice")
    return site, site.workspace("ws", {"": site.source}, (alice, "read", "write")), site.token(alice)


def begin(site, token, path, size, **headers):
    return site.call("POST", f"/io/{path}", token, Tus_Resumable="1.0.0", Upload_Length=str(size), **headers)


def go_on(site, token, location, offset, data):
    headers = {"Upload_Offset": str(offset), "Content_Type": KIND, "Tus_Resumable": "1.0.0"}
    return site.call("PATCH", location.removeprefix("/a"), token, data, **headers)


def offset_of(site, token, location):
    answer = site.call("HEAD", location.removeprefix("/a"), token, Tus_Resumable="1.0.0")
    return answer.status, int(answer.headers.get("upload-offset", -1))


def encode(**told):
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in told.items())


def test_an_upload_in_one_go(ours):
    site, slug, token = ours
    told = encode(filename="large.bin", filetype="text/x", mtime="1700000000")
    begun = begin(site, token, f"{slug}/dir/large.bin", len(CONTENT), Upload_Metadata=told)
    assert (begun.status, begun.headers["upload-offset"], begun.headers["tus-resumable"]) == (201, "0", "1.0.0")
    location = begun.headers["location"]
    assert offset_of(site, token, location) == (200, 0)
    assert site.held() == [], "nothing is visible before the last byte came"
    done = go_on(site, token, location, 0, CONTENT)
    assert (done.status, done.headers["upload-offset"]) == (204, str(len(CONTENT)))
    answer = site.call("GET", f"/io/{slug}/dir/large.bin", token)
    assert answer.body == CONTENT
    assert (answer.headers["content-type"], answer.headers["etag"]) == ("text/x", done.headers["etag"])
    assert answer.headers["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert offset_of(site, token, location)[0] == 404


def test_what_broke_off_goes_on(ours):
    site, slug, token = ours
    location = begin(site, token, f"{slug}/x", len(CONTENT)).headers["location"]
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=20) as sock:
        lines = [f"PATCH {location} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", f"Content-Type: {KIND}"]
        lines += ["Tus-Resumable: 1.0.0", "Upload-Offset: 0", f"Content-Length: {len(CONTENT)}"]
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + CONTENT[: 9 * 1024**2])
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1_000)
    # The connection ends before the server has put away what came: until then the upload is locked.
    while (early := go_on(site, token, location, 0, CONTENT)).status == 423:
        pass
    assert early.status == 409
    status, offset = offset_of(site, token, location)
    assert (status, offset) == (200, 8 * 1024**2), "two whole parts of three"
    assert go_on(site, token, location, offset, CONTENT[offset:]).status == 204
    assert hashlib.sha256(site.call("GET", f"/io/{slug}/x", token).body).digest() == hashlib.sha256(CONTENT).digest()


def test_an_upload_in_pieces(ours):
    site, slug, token = ours
    location = begin(site, token, f"{slug}/x", len(CONTENT)).headers["location"]
    steps = [0, 1024**2, 6 * 1024**2 + 1, 11 * 1024**2, len(CONTENT)]
    for start, end in pairwise(steps):
        answer = go_on(site, token, location, start, CONTENT[start:end])
        assert (answer.status, answer.headers["upload-offset"]) == (204, str(end))
    assert site.call("GET", f"/io/{slug}/x", token).body == CONTENT


def test_an_empty_file(ours):
    site, slug, token = ours
    assert begin(site, token, f"{slug}/empty", 0).status == 201
    assert site.call("GET", f"/io/{slug}/empty", token).body == b""


def test_nothing_is_overwritten_when_that_is_asked_for(ours):
    site, slug, token = ours
    location = begin(site, token, f"{slug}/x", 5, If_None_Match="*").headers["location"]
    site.put("x")
    assert go_on(site, token, location, 0, b"hello").status == 412
    assert site.call("GET", f"/io/{slug}/x", token).body == b"x"
    assert offset_of(site, token, location) == (200, 5)
    site.server.run(site.server.core.router.delete_node(OWNER, site.source, "x"))
    assert go_on(site, token, location, 5, b"").status == 204
    assert site.call("GET", f"/io/{slug}/x", token).body == b"hello"


def test_what_is_no_upload(ours):
    site, slug, token = ours
    for headers in ({"Upload_Metadata": "filename ?"}, {"Upload_Metadata": encode(mtime="soon")}):
        assert begin(site, token, f"{slug}/x", 5, **headers).status == 400
    for size in ("", "-1", "x", "9" * 20):
        assert begin(site, token, f"{slug}/x", size).status == 400
    assert begin(site, token, f"{slug}/x", 2**62).status == 413
    assert begin(site, token, f"{slug}/x/", 5).status == 400
    assert begin(site, token, slug, 5).status == 403
    wrong = site.call("POST", f"/io/{slug}/x", token, Tus_Resumable="0.2.0", Upload_Length="5")
    assert (wrong.status, wrong.headers["tus-version"]) == (412, "1.0.0")
    location = begin(site, token, f"{slug}/x", 2 * 1024**2).headers["location"]
    assert go_on(site, token, location, 0, b"x" * (2 * 1024**2 + 1)).status == 400
    assert go_on(site, token, location, 0, b"too little").status == 400
    assert go_on(site, token, location, "x", b"x").status == 400
    assert site.call("PATCH", location.removeprefix("/a"), token, b"x", Upload_Offset="0").status == 415
    assert offset_of(site, token, location) == (200, 0)
    assert site.call("DELETE", location.removeprefix("/a"), token).status == 204
    assert offset_of(site, token, location)[0] == 404
    assert site.call("DELETE", location.removeprefix("/a"), token).status == 404


def test_uploads_belong_to_who_may_write_there(ours):
    site, slug, token = ours
    reader, stranger = site.user("reader"), site.user("stranger")
    site.perform(GiveWorkspace(slug, f"user:{reader}", ("read",)))
    location = begin(site, token, f"{slug}/x", 5).headers["location"]
    for login, refused in ((reader, 403), (stranger, 404)):
        other = site.token(login)
        assert begin(site, other, f"{slug}/y", 5).status == refused
        assert go_on(site, other, location, 0, b"hello").status == 404
        assert site.call("DELETE", location.removeprefix("/a"), other).status == 404
        assert offset_of(site, other, location)[0] == 404
    assert go_on(site, token, location, 0, b"hello").status == 204


def test_an_upload_of_s3_is_none_of_these(ours):
    site, slug, token = ours
    router = site.server.core.router
    upload = site.server.run(router.create_upload(OWNER, site.source, "x", b"{}"))
    assert offset_of(site, token, f"/a/upload/{slug}/{upload.upload_id}")[0] == 404
