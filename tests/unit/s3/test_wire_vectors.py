"""The examples that AWS documents, with the signatures it prints for them."""

import hashlib

import pytest

from cellsmono.gateway.s3 import dates
from cellsmono.gateway.s3.chunked import ChunkDecoder
from cellsmono.gateway.s3.digests import ChunkVerifier
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.payload import PayloadMode
from cellsmono.gateway.s3.signature_v4 import ChunkSigning, derive_key
from cellsmono.kernel.errors import Invalid

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "examplebucket.s3.amazonaws.com"
EMPTY = hashlib.sha256(b"").hexdigest()
STAMP = "20130524T000000Z"
SCOPE = "20130524/us-east-1/s3/aws4_request"


def sign_with(names: str, signature: str) -> str:
    return f"AWS4-HMAC-SHA256 Credential={KEY}/{SCOPE},SignedHeaders={names},Signature={signature}"


V4 = {
    "get_range": (
        "GET",
        "/test.txt",
        {"Range": "bytes=0-9", "x-amz-content-sha256": EMPTY},
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put_object": (
        "PUT",
        "/test$file.text",
        {
            "Date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "x-amz-content-sha256": hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
        },
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get_lifecycle": (
        "GET",
        "/?lifecycle",
        {"x-amz-content-sha256": EMPTY},
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list_objects": (
        "GET",
        "/?max-keys=2&prefix=J",
        {"x-amz-content-sha256": EMPTY},
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


@pytest.mark.parametrize("name", V4)
def test_v4_header_examples(name, authenticator, make_request):
    method, target, headers, names, signature = V4[name]
    headers = {"Host": HOST, "x-amz-date": STAMP, **headers, "Authorization": sign_with(names, signature)}
    identity = authenticator.authenticate(make_request(method, target, headers))
    assert (identity.access_key, identity.kind, identity.version) == (KEY, "header", 4)
    assert identity.payload is PayloadMode.HASHED
    assert identity.payload_sha256 == headers["x-amz-content-sha256"]


PRESIGNED = (
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3"
    "%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


def test_v4_presigned_example(authenticator, make_request):
    identity = authenticator.authenticate(make_request("GET", PRESIGNED, {"Host": HOST}))
    assert (identity.access_key, identity.kind, identity.version) == (KEY, "query", 4)
    assert identity.payload is PayloadMode.UNSIGNED


def test_v4_presigned_example_for_another_method(authenticator, make_request):
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        authenticator.authenticate(make_request("PUT", PRESIGNED, {"Host": HOST}))


def chunked_request(make_request):
    names = (
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length"
        ";x-amz-storage-class"
    )
    headers = {
        "Host": "s3.amazonaws.com",
        "x-amz-date": STAMP,
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "Content-Encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
        "Content-Length": "66824",
        "Authorization": sign_with(names, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"),
    }
    return make_request("PUT", "/examplebucket/chunkObject.txt", headers)


CHUNKED_BODY = (
    b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
    + b"a" * 65536
    + b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
    + b"a" * 1024
    + b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
)


def test_v4_chunked_example(authenticator, make_request):
    identity = authenticator.authenticate(chunked_request(make_request))
    assert identity.payload is PayloadMode.CHUNKS_SIGNED
    assert len(CHUNKED_BODY) == 66824
    verifier = ChunkVerifier(identity.signing)
    decoder = ChunkDecoder(verifier=verifier, decoded_length=66560)
    for piece in decoder.feed(CHUNKED_BODY):
        verifier.update(piece)
    decoder.close()
    verifier.finish()
    assert decoder.decoded == 66560


@pytest.mark.parametrize("end", [b"\r\n", b"\n\r\n"], ids=["crlf", "newline_and_blank"])
def test_v4_trailer_example(end):
    signing = ChunkSigning(
        derive_key(SECRET, "20130524", "us-east-1"),
        STAMP,
        SCOPE,
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    )
    body = (
        b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n"
        + b"a" * 65536
        + b"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n"
        + b"a" * 1024
        + b"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"
        + b"x-amz-checksum-crc32c:sOO8/Q=="
        + end
        + b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
    )
    verifier = ChunkVerifier(signing)
    decoder = ChunkDecoder(
        verifier=verifier, has_trailer=True, trailers=["x-amz-checksum-crc32c"], decoded_length=66560
    )
    for piece in decoder.feed(body):
        verifier.update(piece)
    decoder.close()
    verifier.finish()
    assert decoder.trailers == {"x-amz-checksum-crc32c": "sOO8/Q=="}
    broken = ChunkVerifier(signing)
    other = ChunkDecoder(verifier=broken, has_trailer=True, trailers=["x-amz-checksum-crc32c"], decoded_length=66560)
    for piece in other.feed(body.replace(b"sOO8/Q==", b"sOO8/A==")):
        broken.update(piece)
    other.close()
    with pytest.raises(Invalid) as caught:
        broken.finish()
    assert caught.value.reason == "chunk_signature"


V2 = {
    "get": (
        ("GET", "/photos/puppy.jpg", {"Date": "Tue, 27 Mar 2007 19:36:42 +0000"}, "johnsmith"),
        "bWq2s1WEIj+Ydj0vQ697zp+IXMU=",
    ),
    "put": (
        (
            "PUT",
            "/photos/puppy.jpg",
            {"Content-Type": "image/jpeg", "Content-Length": "94328", "Date": "Tue, 27 Mar 2007 21:15:45 +0000"},
            "johnsmith",
        ),
        "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
    ),
    "list": (
        (
            "GET",
            "/?prefix=photos&max-keys=50&marker=puppy",
            {"Date": "Tue, 27 Mar 2007 19:42:41 +0000"},
            "johnsmith",
        ),
        "htDYFYduRNen8P9ZfE/s9SuKy0U=",
    ),
    "acl": (
        ("GET", "/?acl", {"Date": "Tue, 27 Mar 2007 19:44:46 +0000"}, "johnsmith"),
        "c2WLPFtWHVgbEmeEG93a4cG37dM=",
    ),
    "upload": (
        (
            "PUT",
            "/db-backup.dat.gz",
            {
                "Date": "Tue, 27 Mar 2007 21:06:08 +0000",
                "x-amz-acl": "public-read",
                "content-type": "application/x-download",
                "Content-MD5": "4gJE4saaMU4BqNR0kLY+lw==",
                "X-Amz-Meta-ReviewedBy": "joe@johnsmith.net,jane@johnsmith.net",
                "X-Amz-Meta-FileChecksum": "0x02661779",
                "X-Amz-Meta-ChecksumAlgorithm": "crc32",
                "Content-Disposition": "attachment; filename=database.dat",
                "Content-Encoding": "gzip",
                "Content-Length": "5913339",
            },
            "static.johnsmith.net",
        ),
        "ilyl83RwaSoYIEdixDQcA4OnAnc=",
    ),
    "buckets": (
        ("GET", "/", {"Date": "Wed, 28 Mar 2007 01:29:59 +0000"}, ""),
        "qGdzdERIC03wnaRNKh6OqZehG9s=",
    ),
    "unicode": (
        (
            "GET",
            "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re",
            {"Date": "Wed, 28 Mar 2007 01:49:49 +0000"},
            "",
        ),
        "DNEZGsoieTZ92F3bUfSPQcbGmlM=",
    ),
}


@pytest.mark.parametrize("name", V2)
def test_v2_header_examples(name, authenticator, make_request, wire_clock):
    (method, target, headers, bucket), signature = V2[name]
    wire_clock.jump(dates.parse_http(headers["Date"]) - wire_clock.time())
    request = make_request(method, target, {**headers, "Authorization": f"AWS {KEY}:{signature}"}, bucket)
    identity = authenticator.authenticate(request)
    assert (identity.access_key, identity.kind, identity.version) == (KEY, "header", 2)
    wrong = make_request(method, target + "x", {**headers, "Authorization": f"AWS {KEY}:{signature}"}, bucket)
    if "?prefix" not in target:
        with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
            authenticator.authenticate(wrong)


def test_v2_presigned_example(authenticator, make_request, wire_clock):
    wire_clock.jump(1175139000 - wire_clock.time())
    target = (
        "/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D"
        "&Expires=1175139620"
    )
    identity = authenticator.authenticate(
        make_request("GET", target, {"Host": "johnsmith.s3.amazonaws.com"}, "johnsmith")
    )
    assert (identity.kind, identity.version) == ("query", 2)
