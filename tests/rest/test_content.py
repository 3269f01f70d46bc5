"""Content by path: whole, in ranges, under conditions, and by whom."""

import base64
import hashlib
from urllib.parse import quote

import pytest

from cellsmono.interfaces.people import SetAcl
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.version import Versioning

OWNER = Actor("owner")


@pytest.fixture
def ours(site):
    alice = site.user("alice")
    return site, site.workspace("ws", {"": site.source}, (alice, "read", "write")), site.token(alice)


def url(slug, path):
    return f"/io/{slug}/{quote(path)}"


def put(site, token, slug, path, content=b"hello", **headers):
    return site.call("PUT", url(slug, path), token, content, **headers)


def test_what_was_written_is_read(ours):
    site, slug, token = ours
    made = put(site, token, slug, "dir/été 1.txt", b"hello", Content_Type="text/plain", X_OC_Mtime="1700000000.5")
    assert made.status == 200, made
    node = made.json["Node"]
    assert (node["Path"], node["Size"], node["MTime"]) == (f"{slug}/dir/été 1.txt", "5", "1700000000")
    assert node["Etag"] == hashlib.md5(b"hello").hexdigest()
    answer = site.call("GET", url(slug, "dir/été 1.txt"), token)
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["etag"] == f'"{node["Etag"]}"'
    assert answer.headers["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    disposition = "attachment; filename=\"_t_ 1.txt\"; filename*=UTF-8''%C3%A9t%C3%A9%201.txt"
    assert answer.headers["content-disposition"] == disposition
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert answer.headers["cache-control"] == "private, no-cache"
    inline = site.call("GET", url(slug, "dir/été 1.txt") + "?inline=true", token)
    assert inline.headers["content-disposition"].startswith("inline;")
    head = site.call("HEAD", url(slug, "dir/été 1.txt"), token)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "5")


def test_large_content_in_chunks(ours):
    site, slug, token = ours
    content = bytes(range(256)) * 40_000

    def pieces():
        for at in range(0, len(content), 100_000):
            yield content[at : at + 100_000]

    headers = {"Authorization": f"Bearer {token}"}
    made = site.server.send("PUT", "/a" + url(slug, "large"), pieces(), headers)
    assert made.status == 200, made
    assert made.json["Node"]["Size"] == str(len(content))
    assert site.call("GET", url(slug, "large"), token).body == content
    part = site.call("GET", url(slug, "large"), token, Range="bytes=9000000-")
    assert (part.status, part.body == content[9_000_000:]) == (206, True)


@pytest.mark.parametrize(
    ("header", "status", "body", "told"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=3-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=0-1", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
    ],
)
def test_ranges(flat_content, header, status, body, told):
    site, slug, token = flat_content
    answer = site.call("GET", url(slug, "digits"), token, Range=header)
    assert (answer.status, answer.headers.get("content-range")) == (status, told)
    assert body is None or answer.body == body


@pytest.fixture
def flat_content(flat_site):
    site = flat_site
    alice = site.user("alice")
    slug, token = site.workspace("ws", {"": site.source}, (alice, "read", "write")), site.token(alice)
    put(site, token, slug, "digits", b"0123456789", X_OC_Mtime="1700000000")
    put(site, token, slug, "empty", b"")
    return site, slug, token


def test_reading_under_conditions(flat_content):
    site, slug, token = flat_content
    etag = f'"{hashlib.md5(b"0123456789").hexdigest()}"'
    same, later, before = (f"Tue, 14 Nov 2023 22:13:{second} GMT" for second in (20, 21, 19))

    def status(**headers):
        return site.call("GET", url(slug, "digits"), token, **headers).status

    assert status(If_None_Match=etag) == status(If_None_Match=f'"x", W/{etag}') == status(If_None_Match="*") == 304
    assert status(If_None_Match='"x"') == status(If_Match=etag) == status(If_Match="*") == 200
    assert status(If_Match='"x"') == status(If_Unmodified_Since=before) == 412
    assert status(If_Modified_Since=same) == status(If_Modified_Since=later) == 304
    assert status(If_Modified_Since=before) == status(If_Unmodified_Since=same) == 200
    assert status(If_Modified_Since="nonsense") == status(If_None_Match='"x"', If_Modified_Since=later) == 200
    assert status(Range="bytes=0-1", If_Range=etag) == status(Range="bytes=0-1", If_Range=same) == 206
    for stale in ('"x"', f"W/{etag}", before, "nonsense"):
        assert status(Range="bytes=0-1", If_Range=stale) == 200
    answer = site.call("GET", url(slug, "digits"), token, If_None_Match=etag)
    assert (answer.body, answer.headers["etag"]) == (b"", etag)
    empty = site.call("GET", url(slug, "empty"), token)
    assert (empty.status, empty.body) == (200, b"")
    assert site.call("GET", url(slug, "empty"), token, Range="bytes=0-").status == 416


def test_writing_under_conditions(ours):
    site, slug, token = ours
    assert put(site, token, slug, "x", b"1", If_Match="*").status == 404
    first = put(site, token, slug, "x", b"1", If_None_Match="*").json["Node"]
    assert put(site, token, slug, "x", b"2", If_None_Match="*").status == 412
    assert put(site, token, slug, "x", b"2", If_Match='"0"').status == 412
    assert site.call("GET", url(slug, "x"), token).body == b"1"
    second = put(site, token, slug, "x", b"2", If_Match=f'"{first["Etag"]}"').json["Node"]
    assert second["Uuid"] == first["Uuid"]
    for wrong in ({"If_None_Match": '"x"'}, {"If_Match": '"x", "y"'}, {"If_Match": "*", "If_None_Match": "*"}):
        assert put(site, token, slug, "x", b"3", **wrong).status == 400
    assert site.call("GET", url(slug, "x"), token).body == b"2"


def test_what_can_not_be_written(ours):
    site, slug, token = ours
    site.put("dir/x")
    digest = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    assert put(site, token, slug, "new", Content_MD5=digest).json["Detail"].startswith("The content is not what")
    assert put(site, token, slug, "new", Content_MD5="x").status == 400
    assert put(site, token, slug, "new", Content_Range="bytes 0-4/10").status == 400
    assert put(site, token, slug, "new", X_OC_Mtime="yesterday").status == 400
    assert put(site, token, slug, "new/").status == 400
    assert put(site, token, slug, "a/../new").status == 400
    assert put(site, token, slug, "dir").status == 409
    assert put(site, token, slug, "dir/x/below").status in {200, 409}, "a flat datasource may have both"
    assert site.call("PUT", f"/io/{slug}", token, b"x").status == 403
    assert site.call("PUT", "/io/", token, b"x").status == 404
    assert "new" not in site.held()
    for path in ("none", "dir", "dir/none"):
        assert site.call("GET", url(slug, path), token).status == 404
    assert site.call("GET", url(slug, "dir/"), token).status == 400


def test_a_body_that_breaks_off_leaves_nothing(ours):
    import socket

    site, slug, token = ours
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=20) as sock:
        lines = (
            f"PUT /a{url(slug, 'new')} HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {token}",
            "Content-Length: 10",
        )
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n12345")
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1_000)
    assert site.held() == []
    assert put(site, token, slug, "new").status == 200


def test_who_may_not(site):
    alice, reader, dropper = site.user("alice"), site.user("reader"), site.user("dropper")
    site.put("dir/x", "secret/y")
    slug = site.workspace("ws", {"": site.source}, (reader, "read"), (dropper, "write"))
    site.perform(SetAcl(f"{site.source}/secret", f"user:{reader}", {"deny": "1"}))
    stranger, reading, dropping = (site.token(login) for login in (alice, reader, dropper))
    statuses = {
        token: [site.call("GET", url(slug, path), token).status for path in ("dir/x", "secret/y", "none")]
        + [put(site, token, slug, "dir/x").status]
        for token in ("", stranger, dropping, reading)
    }
    assert list(statuses.values()) == [[401] * 4, [404] * 4, [403, 403, 403, 200], [200, 403, 404, 403]]
    assert site.call("GET", url(slug, "dir/x"), reading).body == b"hello"


def test_a_bound_token_reads_and_writes_what_it_is_bound_to(ours):
    site, slug, _ = ours
    site.put("dir/x", "other")
    reading = site.token(f"alice{site.number}", scopes=(f"node:{site.uuid('dir/')}:r",))
    writing = site.token(f"alice{site.number}", scopes=(f"node:{site.uuid('dir/')}:rw",))
    assert site.call("GET", url(slug, "dir/x"), reading).status == 200
    assert put(site, reading, slug, "dir/x").status == 403
    assert put(site, writing, slug, "dir/new").status == 200
    for bound in (reading, writing):
        assert site.call("GET", url(slug, "other"), bound).status == 403
        assert put(site, bound, slug, "other").status == 403


def test_an_older_version(flat_site):
    site = flat_site
    alice = site.user("alice")
    slug, token = site.workspace("ws", {"": site.source}, (alice, "read", "write")), site.token(alice)
    site.server.run(site.server.core.router.set_versioning(OWNER, site.source, Versioning.ENABLED))
    for content in (b"one", b"two"):
        put(site, token, slug, "x", content)
    nodes = site.call("POST", "/tree/stats", token, {"NodePaths": [f"{slug}/x"], "Versions": True}).json["Nodes"]
    ids = [node["MetaStore"]["versionId"].strip('"') for node in nodes]
    read = [site.call("GET", url(slug, "x") + f"?versionId={each}", token).body for each in ids]
    assert read == [b"two", b"one"]
    assert site.call("GET", url(slug, "x") + "?versionId=null", token).status == 404
    assert site.call("GET", url(slug, "x") + "?versionId=%ff", token).status == 400
