"""Seeded fuzzing of everything that parses what strangers send: nothing but S3Error may come out of it.

Each input is a good one with bytes flipped, dropped, repeated and spliced. The seeds are fixed, so that a failure is
found again; ``-m soak`` runs many more.
"""

import asyncio
import hashlib
import random
from collections.abc import Callable

import pytest
from multidict import CIMultiDict

from cellsmono.gateway.s3 import xml_read
from cellsmono.gateway.s3.addressing import parse_query, parse_target, split_target
from cellsmono.gateway.s3.authentication import Authenticator
from cellsmono.gateway.s3.chunked import ChunkDecoder
from cellsmono.gateway.s3.cors_xml import read_cors
from cellsmono.gateway.s3.dates import parse_compact, parse_http
from cellsmono.gateway.s3.digests import ChunkVerifier
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.form_data import read_form
from cellsmono.gateway.s3.grants import read_acl_document
from cellsmono.gateway.s3.identity import SignedRequest
from cellsmono.gateway.s3.lifecycle_xml import read_lifecycle
from cellsmono.gateway.s3.post_policy import parse_policy
from cellsmono.gateway.s3.ranges import parse_copy_range, parse_range
from cellsmono.gateway.s3.signature_v4 import ChunkSigning, sign_chunk, sign_trailer
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import Invalid

SIGNING = ChunkSigning(b"k" * 32, "20130524T000000Z", "20130524/us-east-1/s3/aws4_request", "0" * 64)
PAYLOADS = [b"the first", b"second", b"x" * 40]
WHOLE = b"".join(PAYLOADS)
INTERESTING = [
    b"",
    b"\0",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b";",
    b"=",
    b"%",
    b"-",
    b"\xff",
    b"9" * 30,
    b"<a>",
]


def mutate(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        at = rng.randrange(len(out) + 1)
        end = min(len(out), at + rng.choice([1, 1, 2, 5, 20]))
        action = rng.randrange(5)
        if action == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif action == 1:
            del out[at:end]
        elif action == 2:
            out[at:at] = out[at:end]
        elif action == 3:
            out[at:end] = rng.choice(INTERESTING)
        else:
            out[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(4)))
    return bytes(out)


def frame(is_signed: bool) -> bytes:
    out, previous = b"", SIGNING.seed_signature
    for payload in [*PAYLOADS, b""]:
        previous = sign_chunk(SIGNING, previous, hashlib.sha256(payload).hexdigest())
        extension = f";chunk-signature={previous}" if is_signed else ""
        out += f"{len(payload):x}{extension}\r\n".encode() + (payload + b"\r\n" if payload else b"")
    out += b"x-amz-checksum-crc32:AAAAAA==\r\n"
    if is_signed:
        out += (
            b"x-amz-trailer-signature:" + sign_trailer(SIGNING, previous, b"x-amz-checksum-crc32:AAAAAA==\n").encode()
        )
        out += b"\r\n"
    return out + b"\r\n"


def decode(data: bytes, is_signed: bool, rng: random.Random) -> bytes | None:
    """The payload, in pieces of random size; None when refused."""
    verifier = ChunkVerifier(SIGNING) if is_signed else None
    decoder = ChunkDecoder(verifier=verifier, has_trailer=True, trailers=["x-amz-checksum-crc32"], decoded_length=55)
    out = bytearray()
    try:
        at = 0
        while at < len(data):
            size = rng.choice([1, 3, 17, 1000])
            for piece in decoder.feed(data[at : at + size]):
                if verifier is not None:
                    verifier.update(piece)
                out += piece
            at += size
        decoder.close()
        if verifier is not None:
            verifier.finish()
    except (S3Error, Invalid):
        return None
    return bytes(out)


@pytest.fixture(params=[20_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def rounds(request) -> int:
    return request.param


def test_signed_chunks(rounds):
    """Whatever is changed, either it is refused or it is the same payload (hex case, leading zeros, white space)."""
    rng = random.Random(1)
    good = frame(is_signed=True)
    assert decode(good, True, rng) == WHOLE
    refused = 0
    for _ in range(rounds):
        found = decode(mutate(rng, good), True, rng)
        refused += found is None
        assert found in (None, WHOLE)
    assert refused > rounds * 0.9


def test_unsigned_chunks(rounds):
    rng = random.Random(2)
    good = frame(is_signed=False)
    assert decode(good, False, rng) == WHOLE
    for _ in range(rounds):
        found = decode(mutate(rng, good), False, rng)
        # Without signatures the bytes may differ, never their number; the checksum is what finds the rest.
        assert found is None or len(found) == len(WHOLE)


def status_of(function: Callable[..., object], *arguments: object) -> int:
    """The HTTP status that an input leads to; 0 when it was taken."""
    try:
        function(*arguments)
    except S3Error as error:
        return error.status
    return 0


def only_s3_errors(function: Callable[[str], object], examples: list[str], rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(rounds):
        text = mutate(rng, rng.choice(examples).encode()).decode("utf-8", "surrogateescape")
        status = status_of(function, text)
        assert 0 <= status < 500 or status == 501, (text, status)


class OneKey:
    def find_secret(self, access_key: str) -> str | None:
        return "secret" if access_key == "AKIA" else None


CREDENTIAL = "AKIA/20130524/us-east-1/s3/aws4_request"
HEADERS = [
    f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
    f" Signature={'0' * 64}",
    "AWS AKIA:frJIUN8DYpKDtOLCwo//yllqDzg=",
]
QUERIES = [
    f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={CREDENTIAL.replace('/', '%2F')}&X-Amz-Date=20130524T000000Z"
    f"&X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Signature={'0' * 64}",
    "AWSAccessKeyId=AKIA&Signature=abc%3D&Expires=1369353700",
]


def test_authorization(rounds):
    """Nothing that was not signed is let in, and nothing breaks."""
    authenticator = Authenticator(OneKey(), region="us-east-1", clock=ManualClock(parse_compact("20130524T000000Z")))

    def by_header(text: str) -> None:
        headers = CIMultiDict(
            {"host": "h", "x-amz-date": "20130524T000000Z", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
        )
        headers["authorization"] = text
        authenticator.authenticate(SignedRequest("GET", "/b/k", "", headers, "h"))
        pytest.fail(f"let in: {text!r}")

    def by_query(text: str) -> None:
        identity = authenticator.authenticate(SignedRequest("GET", "/b/k", text, CIMultiDict(host="h"), "h"))
        assert identity.kind == "anonymous", text

    only_s3_errors(by_header, HEADERS, rounds, 3)
    only_s3_errors(by_query, QUERIES, rounds, 4)


def test_targets(rounds):
    examples = ["/bucket/k%C3%A9y//a%20b/../c", "http://host/b/k?x", "/b/%F0%9F%98%80?prefix=a+b%2B&acl&x=1"]

    def parse(text: str) -> None:
        path, query = split_target(text)
        target = parse_target(path, "b.s3.test:9000", ["s3.test"])
        target.key.encode("utf-8")
        for name, value in parse_query(query).pairs:
            (name + value).encode("utf-8")

    only_s3_errors(parse, examples, rounds, 5)


def test_ranges_and_dates(rounds):
    def parse(text: str) -> None:
        found = parse_range(text, 100)
        assert found is None or 0 <= found.start <= found.end < 100
        parse_http(text)
        parse_compact(text)
        parse_copy_range(text, 100)

    only_s3_errors(
        parse, ["bytes=0-9", "bytes=-5", "bytes=90-", "Fri, 24 May 2013 00:00:00 GMT", "20130524T000000Z"], rounds, 6
    )


def test_documents(rounds):
    rng = random.Random(7)
    delete = b'<?xml version="1.0"?><Delete xmlns="x"><Quiet>true</Quiet><Object><Key>a&amp;b</Key></Object></Delete>'
    complete = (
        b'<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"e"</ETag></Part></CompleteMultipartUpload>'
    )
    tags = b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
    cors = (
        b"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"
        b"<MaxAgeSeconds>5</MaxAgeSeconds></CORSRule></CORSConfiguration>"
    )
    rules = (
        b"<LifecycleConfiguration><Rule><ID>r</ID><Filter><And><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value>"
        b"</Tag></And></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule>"
        b"</LifecycleConfiguration>"
    )
    acl = (
        b"<AccessControlPolicy><AccessControlList><Grant><Grantee><URI>http://acs.amazonaws.com/groups/global/AllUsers"
        b"</URI></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"
    )
    readers = [
        (xml_read.read_delete, delete),
        (xml_read.read_complete, complete),
        (xml_read.read_tagging, tags),
        (read_cors, cors),
        (read_lifecycle, rules),
        (read_acl_document, acl),
    ]
    assert all(status_of(read, good) == 0 for read, good in readers)
    for _ in range(rounds):
        read, good = rng.choice(readers)
        assert status_of(read, mutate(rng, good)) in {0, 400, 501}


def test_forms(rounds):
    rng = random.Random(8)
    good = (
        b'--XX\r\nContent-Disposition: form-data; name="key"\r\n\r\nup/${filename}\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nbytes\r\n--XX--\r\n'
    )

    async def read(body: bytes) -> int:
        async def source():
            yield body

        try:
            form = await read_form(source(), "multipart/form-data; boundary=XX")
            async for _ in form.file:
                pass
        except S3Error as error:
            return error.status
        return 0

    async def run() -> set[int]:
        return {await read(mutate(rng, good)) for _ in range(rounds // 4)}

    assert asyncio.run(run()) == {0, 400}


def test_policies(rounds):
    examples = ["eyJleHBpcmF0aW9uIjoiMjAxMy0wNS0yNFQxMjowMDowMFoiLCJjb25kaXRpb25zIjpbWyJlcSIsIiRrZXkiLCJ2Il1dfQ=="]
    assert parse_policy(examples[0]).conditions
    only_s3_errors(parse_policy, examples, rounds // 4, 9)
