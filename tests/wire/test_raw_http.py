"""HTTP by hand: slow, oversized, contradictory and broken-off requests."""

import gzip
import hashlib
import hmac
import socket
import threading

import pytest


def read_all(sock):
    answer = bytearray()
    try:
        while piece := sock.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    return bytes(answer)


def read_answer(sock):
    """One answer with a Content-Length off a connection that stays open."""
    data = bytearray()
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        assert piece, f"closed after {bytes(data)!r}"
        data += piece
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        body += sock.recv(65536)
    return head, body


def is_stored(s3, bucket):
    return "Contents" in s3.list_objects_v2(Bucket=bucket)


CLOSE = ("Connection: close",)


# Slow clients


@pytest.mark.parametrize("start", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_headers_that_do_not_arrive_in_time_end_the_connection(endpoint, start):
    assert endpoint.talk(start) == b""


def test_slow_headers_of_a_later_request_end_the_connection(endpoint):
    with endpoint.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 403 " in read_answer(sock)[0]
        sock.sendall(b"GET / HTT")
        assert sock.recv(1000) == b""


def test_a_body_that_drips_ends_the_connection_and_stores_nothing(endpoint, signer, s3, bucket):
    with endpoint.connect() as sock:
        sock.sendall(signer.head("PUT", f"/{bucket}/x", {"content-length": "100000"}) + b"some")
        assert read_all(sock) == b""
    assert not is_stored(s3, bucket)


# Too much


def test_a_request_line_that_is_too_long_is_refused(endpoint):
    answer = endpoint.talk(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 50_000))
    assert answer.startswith(b"HTTP/1.")
    assert b" 400 " in answer[:20]


@pytest.mark.parametrize(
    "headers",
    [b"X-A: " + b"a" * 1_000_000 + b"\r\n", b"".join(b"X-%d: a\r\n" % number for number in range(10_000))],
    ids=["one mebibyte", "ten thousand"],
)
def test_headers_that_are_too_many_or_too_long_are_refused(endpoint, headers):
    with endpoint.connect() as sock:
        try:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return
        answer = read_all(sock)
        assert answer == b"" or b" 400 " in answer[:20]


# Contradictions: whoever stands in front might read them differently


@pytest.mark.parametrize(
    "headers",
    [
        b"Host: x\r\nHost: y\r\n",
        b"Host: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Host: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n",
        b"Host: x\r\nContent-Length: -1\r\n",
        b"Host: x\r\nContent-Length: +3\r\n",
        b"Host: x\r\nContent-Length: 0x3\r\n",
        b"Host: x\r\nTransfer-Encoding: xchunked\r\n",
        b"Host: x\r\nTransfer-Encoding: chunked, identity\r\n",
        b"Host: x\r\nX-A : b\r\n",
        b"Host: x\r\n folded\r\n",
        b"Host: x\r\nX\x00A: b\r\n",
    ],
)
def test_contradictory_headers_are_refused_and_the_connection_ends(endpoint, headers):
    answer = endpoint.talk(
        b"PUT /a/b HTTP/1.1\r\n" + headers + b"\r\n3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"
    )
    assert b" 400 " in answer[:20]
    assert answer.count(b"HTTP/1.") == 1


@pytest.mark.parametrize(
    "chunk", [b"-3\r\nabc", b"zz\r\nabc", b"3\nabc", b"ffffffffffffffffff\r\nabc", b"3 \x01\r\nabc"]
)
def test_malformed_transfer_chunks_store_nothing(endpoint, signer, s3, bucket, chunk):
    head = signer.head("PUT", f"/{bucket}/x", {"transfer-encoding": "chunked"})
    answer = endpoint.talk(head + b"2\r\nok\r\n" + chunk + b"\r\n0\r\n\r\n")
    assert not answer or b" 400 " in answer[:20]
    assert not is_stored(s3, bucket)


def test_requests_sent_in_one_go_are_answered_in_order(endpoint, signer, s3, bucket):
    for name in "abc":
        s3.put_object(Bucket=bucket, Key=name, Body=name.encode())
    requests = b"".join(signer.head("GET", f"/{bucket}/{name}") for name in "ab")
    answer = endpoint.talk(requests + signer.head("GET", f"/{bucket}/c", unsigned=CLOSE))
    assert [part[:1] for part in answer.split(b"\r\n\r\n")[1:]] == [b"a", b"b", b"c"]


# Bodies


def test_a_body_that_breaks_off_stores_nothing(endpoint, signer, s3, bucket):
    with endpoint.connect() as sock:
        sock.sendall(signer.head("PUT", f"/{bucket}/x", {"content-length": "100"}) + b"only this")
        sock.shutdown(socket.SHUT_WR)
        assert b" 200 " not in read_all(sock)[:20]
    assert not is_stored(s3, bucket)


def test_a_body_without_length_is_taken_in_chunks(endpoint, signer, s3, bucket):
    head = signer.head("PUT", f"/{bucket}/x", {"transfer-encoding": "chunked"}, unsigned=CLOSE)
    answer = endpoint.talk(head + b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n")
    assert b" 200 " in answer[:20]
    assert s3.get_object(Bucket=bucket, Key="x")["Body"].read() == b"hello world"


def test_a_body_whose_end_can_not_be_told_is_refused(endpoint, signer, bucket):
    answer = endpoint.talk(signer.head("PUT", f"/{bucket}/x", unsigned=CLOSE))
    assert b" 411 " in answer[:20]
    assert b"MissingContentLength" in answer


def test_a_compressed_body_is_stored_as_it_is(endpoint, signer, s3, bucket):
    body = gzip.compress(b"hello" * 100)
    headers = {"content-encoding": "gzip", "content-length": str(len(body))}
    assert b" 200 " in endpoint.talk(signer.head("PUT", f"/{bucket}/x", headers, unsigned=CLOSE) + body)[:20]
    got = s3.get_object(Bucket=bucket, Key="x")
    assert got["Body"].read() == body
    assert got["ContentEncoding"] == "gzip"


def test_a_wrong_payload_hash_stores_nothing(endpoint, signer, s3, bucket):
    wrong = hashlib.sha256(b"hello").hexdigest()
    head = signer.head("PUT", f"/{bucket}/x", {"content-length": "5"}, payload=wrong, unsigned=CLOSE)
    answer = endpoint.talk(head + b"hellO")
    assert b"XAmzContentSHA256Mismatch" in answer
    assert not is_stored(s3, bucket)
    assert b" 200 " in endpoint.talk(head + b"hello")[:20]


def test_an_unsigned_amz_header_is_refused(endpoint, signer, s3, bucket):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    extra = (f"x-amz-copy-source: /{bucket}/secret", *CLOSE)
    answer = endpoint.talk(signer.head("PUT", f"/{bucket}/x", {"content-length": "0"}, unsigned=extra))
    assert b" 403 " in answer[:20]
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["secret"]


# Expect: 100-continue


def test_the_go_ahead_comes_only_after_authentication(endpoint, signer, s3, bucket):
    expect = {"content-length": "5", "expect": "100-continue"}
    with endpoint.connect() as sock:
        sock.sendall(signer.head("PUT", f"/{bucket}/x", expect, unsigned=CLOSE))
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"hello")
        assert b" 200 " in read_all(sock)[:20]
    assert s3.get_object(Bucket=bucket, Key="x")["Body"].read() == b"hello"
    with endpoint.connect() as sock:
        empty = {"content-length": "0", "expect": "100-continue"}
        sock.sendall(signer.head("PUT", f"/{bucket}/empty", empty, unsigned=CLOSE))
        assert read_all(sock).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")
    bad = signer.head("PUT", f"/{bucket}/y", expect).replace(b"Signature=", b"Signature=0000")
    answer = endpoint.talk(bad.replace(b"Signature=0000", b"Signature=0", 1))
    assert b"100 Continue" not in answer
    assert answer.startswith(b"HTTP/1.1 4")
    assert b"Connection: close" in answer


def test_an_early_refusal_reaches_a_client_that_goes_on_sending(endpoint, bucket):
    head = f"PUT /{bucket}/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n".encode()
    with endpoint.connect() as sock:
        sender = threading.Thread(target=sock.sendall, args=(head + b"x" * 4_000_000,))
        sender.start()
        assert b" 403 " in read_answer(sock)[0]
        sender.join()


# aws-chunked


def sign_chunk(material, previous, data):
    key, now, scope, _ = material
    empty = hashlib.sha256(b"").hexdigest()
    text = f"AWS4-HMAC-SHA256-PAYLOAD\n{now}\n{scope}\n{previous}\n{empty}\n{hashlib.sha256(data).hexdigest()}"
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def make_chunks(material, pieces):
    """(framed chunk) for each piece and the final empty one."""
    previous, chunks = material[3], []
    for piece in [*pieces, b""]:
        previous = sign_chunk(material, previous, piece)
        chunks.append(b"%x;chunk-signature=%s\r\n%s\r\n" % (len(piece), previous.encode(), piece))
    return chunks


@pytest.fixture
def put_chunks(endpoint, signer, bucket):
    """Sends a signed streaming PUT of ``one`` and ``two``; ``change`` may alter the list of framed chunks."""

    def send(change=lambda chunks: chunks, length=None, pieces=(b"one" * 1000, b"two" * 1000)):
        headers = {"content-encoding": "aws-chunked", "transfer-encoding": "chunked"}
        headers["x-amz-decoded-content-length"] = str(sum(map(len, pieces)) if length is None else length)
        head, material = signer.sign(
            "PUT", f"/{bucket}/x", headers, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", unsigned=CLOSE
        )
        body = b"".join(change(make_chunks(material, pieces)))
        framed = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        return endpoint.talk(head + framed + b"0\r\n\r\n")

    return send


def test_signed_chunks(put_chunks, s3, bucket):
    assert b" 200 " in put_chunks()[:20]
    got = s3.get_object(Bucket=bucket, Key="x")
    assert got["Body"].read() == b"one" * 1000 + b"two" * 1000
    assert "ContentEncoding" not in got


ABUSES = {
    "wrong bytes": lambda chunks: [chunks[0].replace(b"one", b"eno"), *chunks[1:]],
    "wrong signature": lambda chunks: [chunks[0].replace(b"chunk-signature=", b"chunk-signature=0")[:-1], *chunks[1:]],
    "swapped": lambda chunks: [chunks[1], chunks[0], chunks[2]],
    "repeated": lambda chunks: [chunks[0], chunks[0], chunks[2]],
    "one left out": lambda chunks: [chunks[0], chunks[2]],
    "no end": lambda chunks: chunks[:2],
    "more after the end": lambda chunks: [*chunks, b"more"],
    "unsigned": lambda chunks: [b"bb8\r\n" + chunks[0].partition(b"\r\n")[2], *chunks[1:]],
    "negative size": lambda chunks: [b"-" + chunks[0], *chunks[1:]],
    "huge size": lambda chunks: [b"ffffffffffff" + chunks[0], *chunks[1:]],
    "nothing": lambda chunks: [],
}


@pytest.mark.parametrize("abuse", ABUSES)
def test_abused_chunks_store_nothing(put_chunks, s3, bucket, abuse):
    assert put_chunks(ABUSES[abuse]).startswith(b"HTTP/1.1 4")
    assert not is_stored(s3, bucket)


@pytest.mark.parametrize("length", [5999, 6001, 0])
def test_a_wrong_decoded_length_stores_nothing(put_chunks, s3, bucket, length):
    assert put_chunks(length=length).startswith(b"HTTP/1.1 4")
    assert not is_stored(s3, bucket)


# What is sent back


def test_raw_metadata_comes_back_mail_safe(endpoint, signer, s3, bucket):
    head = signer.head("PUT", f"/{bucket}/x", {"content-length": "0", "x-amz-meta-name": "grün"}, unsigned=CLOSE)
    assert b" 200 " in endpoint.talk(head)[:20]
    assert s3.head_object(Bucket=bucket, Key="x")["Metadata"] == {"name": "=?UTF-8?B?Z3LDvG4=?="}


def test_http_1_0(endpoint, signer, s3, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello")
    answer = endpoint.talk(signer.head("GET", f"/{bucket}/x").replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert answer.startswith(b"HTTP/1.0 200 ")
    assert answer.endswith(b"\r\n\r\nhello")


def test_methods_and_places_that_do_not_fit(endpoint, signer, bucket):
    for method, target, status in (
        ("PATCH", f"/{bucket}/x", b" 405 "),
        ("POST", f"/{bucket}/x", b" 405 "),
        ("DELETE", "/", b" 405 "),
        ("PUT", f"/{bucket}/x?torrent", b" 405 "),
        ("GET", f"/{bucket}/%ff", b" 400 "),
        ("GET", f"/{bucket}/%00", b" 400 "),
        ("GET", f"/{bucket}/%zz", b" 400 "),
    ):
        answer = endpoint.talk(signer.head(method, target, {"content-length": "0"}, unsigned=CLOSE))
        assert status in answer[:20], (method, target, answer)


def test_a_browser_is_told_that_it_may_not(endpoint, bucket):
    asked = "Origin: http://example.com\r\nAccess-Control-Request-Method: GET\r\n"
    request = f"OPTIONS /{bucket}/x HTTP/1.1\r\nHost: x\r\n{asked}Connection: close\r\n\r\n"
    answer = endpoint.talk(request.encode())
    assert b" 403 " in answer[:20]
    assert b"AccessForbidden" in answer


def test_a_bucket_named_by_the_host(endpoint, signer, s3, bucket):
    s3.put_object(Bucket=bucket, Key="dir/x", Body=b"hello")
    signer.host, before = f"{bucket}.s3.test", signer.host
    try:
        answer = endpoint.talk(signer.head("GET", "/dir/x", unsigned=CLOSE))
    finally:
        signer.host = before
    assert answer.endswith(b"\r\n\r\nhello")


def test_errors_say_what_and_where(endpoint, signer, bucket):
    answer = endpoint.talk(signer.head("GET", f"/{bucket}/no", unsigned=CLOSE))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>')
    assert f"<Resource>/{bucket}/no</Resource>".encode() in body
    request_id = body.partition(b"<RequestId>")[2].partition(b"<")[0]
    assert len(request_id) == 16
    assert b"x-amz-request-id: " + request_id in head


def test_figures_about_requests(endpoint, s3, bucket):
    endpoint.figures.seen.clear()
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello")
    s3.get_object(Bucket=bucket, Key="x")["Body"].read()
    s3.list_objects_v2(Bucket=bucket)
    s3.head_bucket(Bucket=bucket)  # on the same connection: when it is answered, those before it were reported
    seen = {operation: rest for operation, *rest in endpoint.figures.seen}
    assert seen["PutObject"][:1] == [200]
    assert seen["PutObject"][1] >= 5
    assert seen["GetObject"] == [200, 0, 5]
    assert seen["ListObjectsV2"][0] == 200
