"""Bodies: the framing, the digests, and both together. Whatever is wrong raises, so that nothing is stored."""

import base64
import hashlib
import zlib

import pytest
from awscrt import checksums as crt
from multidict import CIMultiDict

from cellsmono.gateway.s3.body import open_body
from cellsmono.gateway.s3.checksums import (
    ALGORITHMS,
    combine_parts,
    declared_trailers,
    find_algorithm,
    multipart_etag,
    read_announced,
    resolve_type,
)
from cellsmono.gateway.s3.chunked import MAX_LINE, ChunkDecoder
from cellsmono.gateway.s3.digests import BodyDigest
from cellsmono.gateway.s3.errors import S3Error, from_domain
from cellsmono.gateway.s3.identity import Identity
from cellsmono.gateway.s3.payload import PayloadMode
from cellsmono.gateway.s3.signature_v4 import ChunkSigning, sign_chunk, sign_trailer
from cellsmono.kernel.errors import Invalid

SIGNING = ChunkSigning(b"k" * 32, "20130524T000000Z", "20130524/us-east-1/s3/aws4_request", "0" * 64)
PAYLOADS = [b"first chunk", b"the second, which is longer", b"3"]
WHOLE = b"".join(PAYLOADS)


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def crc32(data: bytes) -> str:
    return b64(zlib.crc32(data).to_bytes(4, "big"))


def frame(payloads, signing=None, trailers=None, end=b"\r\n"):
    """A well-formed aws-chunked body."""
    out, previous = [], signing.seed_signature if signing else ""
    for payload in [*payloads, b""]:
        extension = ""
        if signing:
            previous = sign_chunk(signing, previous, hashlib.sha256(payload).hexdigest())
            extension = f";chunk-signature={previous}"
        out.append(f"{len(payload):x}{extension}\r\n".encode() + (payload + b"\r\n" if payload else b""))
    for name, value in (trailers or {}).items():
        out.append(f"{name}:{value}\r\n".encode())
    if signing and trailers is not None:
        canonical = "".join(f"{name}:{value}\n" for name, value in sorted(trailers.items())).encode()
        out.append(f"x-amz-trailer-signature:{sign_trailer(signing, previous, canonical)}\r\n".encode())
    return b"".join(out) + end


async def pieces_of(data: bytes, size: int = 7):
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def store(body: bytes, mode: PayloadMode, headers=None, *, piece=7, signing=None, **options):
    """What storing does: hash while it flows, verify at the end."""
    identity = Identity(payload=mode, signing=signing)
    incoming = open_body(pieces_of(body, piece), identity, CIMultiDict(headers or {}), **options)
    stored = bytearray()
    async for data in incoming.stream:
        incoming.digest.update(data)
        stored += data
    incoming.digest.verify()
    return bytes(stored), incoming


SIGNED_TRAILER = {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-decoded-content-length": str(len(WHOLE))}
CASES = {
    "signed": (PayloadMode.CHUNKS_SIGNED, SIGNING, None),
    "signed_trailer": (PayloadMode.CHUNKS_SIGNED_TRAILER, SIGNING, {"x-amz-checksum-crc32": crc32(WHOLE)}),
    "unsigned_trailer": (PayloadMode.CHUNKS_UNSIGNED_TRAILER, None, {"x-amz-checksum-crc32": crc32(WHOLE)}),
}


def headers_of(case: str) -> dict[str, str]:
    headers = dict(SIGNED_TRAILER)
    if CASES[case][2] is None:
        del headers["x-amz-trailer"]
    return headers


@pytest.mark.parametrize("piece", [1, 2, 3, 64, 10_000])
@pytest.mark.parametrize("case", CASES)
async def test_well_formed_bodies(case, piece):
    mode, signing, trailers = CASES[case]
    body = frame(PAYLOADS, signing, trailers)
    stored, incoming = await store(body, mode, headers_of(case), signing=signing, piece=piece)
    assert stored == WHOLE
    assert incoming.size == len(WHOLE)
    assert incoming.digest.etag() == hashlib.md5(WHOLE).hexdigest()
    found = incoming.digest.checksum()
    assert (found.value if found else None) == (crc32(WHOLE) if trailers else None)


@pytest.mark.parametrize("case", CASES)
async def test_empty_body(case):
    mode, signing, trailers = CASES[case]
    trailers = {"x-amz-checksum-crc32": crc32(b"")} if trailers else None
    headers = {**headers_of(case), "x-amz-decoded-content-length": "0"}
    stored, incoming = await store(frame([], signing, trailers), mode, headers, signing=signing)
    assert stored == b""
    assert incoming.digest.etag() == "d41d8cd98f00b204e9800998ecf8427e"


async def test_clients_that_write_one_blank_line_too_many():
    value = crc32(WHOLE)
    body = frame(PAYLOADS, None, None, end=b"") + f"x-amz-checksum-crc32:{value}\n\r\n\r\n".encode()
    stored, _ = await store(body, PayloadMode.CHUNKS_UNSIGNED_TRAILER, headers_of("unsigned_trailer"))
    assert stored == WHOLE
    signed = frame(PAYLOADS, SIGNING, {"x-amz-checksum-crc32": value}).replace(b"==\r\nx-amz", b"==\n\r\nx-amz")
    mode = PayloadMode.CHUNKS_SIGNED_TRAILER
    stored, _ = await store(signed, mode, headers_of("signed_trailer"), signing=SIGNING)
    assert stored == WHOLE


def spoil(case: str) -> dict[str, bytes]:
    """P6: everything that can be wrong with the framing."""
    _, signing, trailers = CASES[case]
    good = frame(PAYLOADS, signing, trailers)
    first = good.index(b"\r\n") + 2
    chunk = good[: first + len(PAYLOADS[0]) + 2]
    second = good[len(chunk) : good.index(b"\r\n", len(chunk)) + 2 + len(PAYLOADS[1]) + 2]
    spoiled = {
        "empty": b"",
        "not_hex": b"z" + good[1:],
        "negative": b"-" + good,
        "signed_number": b"+" + good,
        "prefixed": b"0x" + good,
        "blank_size": b"\r\n" + good,
        "space": b" " + good,
        "huge": b"f" * 16 + good[1:],
        "endless_digits": b"0" * 17 + good,
        "long_line": b"b;" + b"x" * MAX_LINE + good,
        "unknown_extension": good.replace(b"\r\n", b";a=b\r\n", 1),
        "bare_newline": good.replace(b"\r\n", b"\n", 1),
        "longer_chunk": good[:first] + b"!" + good[first:],
        "shorter_chunk": good[:first] + good[first + 1 :],
        "no_end": good[: good.rindex(b"\r\n0") + 2],
        "cut_in_payload": good[: first + 3],
        "cut_at_last_crlf": good[:-2],
        "cut_at_last_lf": good[:-1],
        "bytes_after": good + b"x",
        "blank_after": good + b"\r\n",
        "again": good + good,
        "repeated_chunk": chunk + good,
        "dropped_chunk": good[len(chunk) :],
    }
    if signing:
        spoiled |= {
            "reordered": second + chunk + good[len(chunk) + len(second) :],
            "changed_byte": good[:first] + b"F" + good[first + 1 :],
            "wrong_signature": good.replace(b"chunk-signature=", b"chunk-signature=0", 1).replace(good[32:33], b"", 1),
            "forged_signature": chunk[: first - 66] + b"a" * 64 + good[first - 2 :],
            "unsigned_chunk": b"b\r\n" + good[first:],
            "final_unsigned": good[: good.rindex(b"\r\n0;") + 2] + b"0\r\n\r\n",
            "uppercase_signature": good[: first - 66] + good[first - 66 : first].upper() + good[first:],
        }
    else:
        spoiled["signed_chunk"] = frame(PAYLOADS, SIGNING, trailers)
    if trailers:
        name = b"x-amz-checksum-crc32:"
        at = good.index(name)
        spoiled |= {
            "absent_trailer": good[:at] + good[good.index(b"\r\n", at) + 2 :],
            "wrong_trailer": good.replace(name, b"x-amz-checksum-sha1:"),
            "extra_trailer": good[:at] + b"x-evil:1\r\n" + good[at:],
            "trailer_twice": good[:at] + good[at : good.index(b"\r\n", at) + 2] + good[at:],
            "trailer_without_colon": good.replace(name, b"x-amz-checksum-crc32 "),
            "long_trailer": good.replace(name, name + b"A" * 2000),
            "wrong_value": good.replace(crc32(WHOLE).encode(), crc32(b"other").encode()),
            "bad_value": good.replace(crc32(WHOLE).encode(), b"AAAA"),
            "not_base64": good.replace(crc32(WHOLE).encode(), b"*!*!*!=="),
        }
        if signing:
            trailer_at = good.index(b"x-amz-trailer-signature:")
            spoiled["no_trailer_signature"] = good[:trailer_at] + b"\r\n"
            spoiled["wrong_trailer_signature"] = good[: trailer_at + 24] + b"0" * 64 + b"\r\n\r\n"
            spoiled["trailer_after_signature"] = good[:-2] + b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    else:
        spoiled["undeclared_trailer"] = good[:-2] + b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    return spoiled


@pytest.mark.parametrize("piece", [1, 5, 100_000])
@pytest.mark.parametrize(("case", "name"), [(case, name) for case in CASES for name in spoil(case)])
async def test_p6_malformed_bodies_are_refused(case, name, piece):
    mode, signing, _ = CASES[case]
    with pytest.raises((S3Error, Invalid)) as caught:
        await store(spoil(case)[name], mode, headers_of(case), signing=signing, piece=piece)
    assert 400 <= from_domain(caught.value).status < 500


@pytest.mark.parametrize("length", [len(WHOLE) - 1, len(WHOLE) + 1, 0])
@pytest.mark.parametrize("case", CASES)
async def test_decoded_length_must_match(case, length):
    mode, signing, trailers = CASES[case]
    headers = {**headers_of(case), "x-amz-decoded-content-length": str(length)}
    with pytest.raises(S3Error, match="IncompleteBody"):
        await store(frame(PAYLOADS, signing, trailers), mode, headers, signing=signing)


@pytest.mark.parametrize("length", ["-1", "1e9", "x", "", "9" * 20, "٣", "NaN", "+5", " 5"])
async def test_lengths_that_are_none(length):
    with pytest.raises(S3Error, match="InvalidArgument"):
        await store(b"", PayloadMode.CHUNKS_SIGNED, {"x-amz-decoded-content-length": length}, signing=SIGNING)
    with pytest.raises(S3Error, match="InvalidArgument"):
        await store(b"", PayloadMode.UNSIGNED, {"content-length": length})


async def test_length_that_was_not_announced():
    mode, signing, trailers = CASES["unsigned_trailer"]
    stored, incoming = await store(frame(PAYLOADS, signing, trailers), mode, {"x-amz-trailer": "x-amz-checksum-crc32"})
    assert (stored, incoming.size) == (WHOLE, None)
    stored, incoming = await store(WHOLE, PayloadMode.UNSIGNED)
    assert (stored, incoming.size) == (WHOLE, None)


async def test_too_large():
    with pytest.raises(S3Error, match="EntityTooLarge"):
        await store(WHOLE, PayloadMode.UNSIGNED, {"content-length": str(len(WHOLE))}, max_size=10)
    with pytest.raises(S3Error, match="EntityTooLarge"):
        await store(WHOLE, PayloadMode.UNSIGNED, max_size=10)
    with pytest.raises(S3Error, match="EntityTooLarge"):
        await store(frame(PAYLOADS, SIGNING), PayloadMode.CHUNKS_SIGNED, signing=SIGNING, max_size=10)


async def test_plain_body_of_another_length():
    for length in (len(WHOLE) - 1, len(WHOLE) + 1):
        with pytest.raises(S3Error, match="IncompleteBody"):
            await store(WHOLE, PayloadMode.UNSIGNED, {"content-length": str(length)})


def value_of(name: str, data: bytes) -> str:
    direct = {
        "CRC32": lambda: zlib.crc32(data).to_bytes(4, "big"),
        "CRC32C": lambda: crt.crc32c(data).to_bytes(4, "big"),
        "CRC64NVME": lambda: crt.crc64nvme(data).to_bytes(8, "big"),
        "SHA1": lambda: hashlib.sha1(data).digest(),
        "SHA256": lambda: hashlib.sha256(data).digest(),
    }
    return b64(direct[name]())


# The check values of the CRC catalogue, for "123456789".
@pytest.mark.parametrize(
    ("name", "value"), [("CRC32", 0xCBF43926), ("CRC32C", 0xE3069283), ("CRC64NVME", 0xAE8B14860A799888)]
)
def test_crc_check_values(name, value):
    running = ALGORITHMS[name].start()
    running.update(b"1234")
    running.update(memoryview(b"56789"))
    assert int.from_bytes(running.digest(), "big") == value


@pytest.mark.parametrize("name", ALGORITHMS)
async def test_checksum_in_a_header(name):
    header = ALGORITHMS[name].header
    right = {header: value_of(name, WHOLE), "x-amz-sdk-checksum-algorithm": name}
    _, incoming = await store(WHOLE, PayloadMode.UNSIGNED, right)
    found = incoming.digest.checksum()
    assert (found.algorithm, found.value, found.type) == (name, value_of(name, WHOLE), "FULL_OBJECT")
    with pytest.raises(Invalid) as caught:
        await store(WHOLE, PayloadMode.UNSIGNED, {header: value_of(name, b"other")})
    error = from_domain(caught.value)
    assert (error.code, error.message) == (
        "BadDigest",
        f"The {name} you specified did not match the calculated checksum.",
    )
    for bad in ("AAA", "AAAA", "", "*" * 8, value_of(name, WHOLE) + "AAAA"):
        with pytest.raises(S3Error) as refused:
            await store(WHOLE, PayloadMode.UNSIGNED, {header: bad})
        assert refused.value.message == f"Value for {header} header is invalid."


async def test_content_md5():
    await store(WHOLE, PayloadMode.UNSIGNED, {"content-md5": b64(hashlib.md5(WHOLE).digest())})
    with pytest.raises(Invalid) as caught:
        await store(WHOLE, PayloadMode.UNSIGNED, {"content-md5": b64(hashlib.md5(b"").digest())})
    assert from_domain(caught.value).code == "BadDigest"
    for bad in ("", "AAAA", "not base64", hashlib.md5(WHOLE).hexdigest()):
        with pytest.raises(S3Error, match="InvalidDigest"):
            await store(WHOLE, PayloadMode.UNSIGNED, {"content-md5": bad})


@pytest.mark.parametrize("algorithm", [None, "SHA256", "CRC32"])
def test_payload_hash(algorithm):
    found = find_algorithm(algorithm) if algorithm else None
    good = BodyDigest(payload_sha256=hashlib.sha256(WHOLE).hexdigest(), algorithm=found)
    good.update(WHOLE)
    good.verify()
    bad = BodyDigest(payload_sha256=hashlib.sha256(b"").hexdigest(), algorithm=found)
    bad.update(WHOLE)
    with pytest.raises(Invalid) as caught:
        bad.verify()
    assert from_domain(caught.value).code == "XAmzContentSHA256Mismatch"
    assert bad.size == len(WHOLE)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": "AAAA"},
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-trailer": "x-amz-checksum-crc32"},
        {"x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-sha1"},
        {"x-amz-trailer": "x-amz-meta-a"},
        {"x-amz-checksum-xxh3": "AAAAAA=="},
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
        {"x-amz-sdk-checksum-algorithm": "ROT13"},
        {"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": "AAAAAA=="},
    ],
)
def test_announcements_that_contradict(headers):
    with pytest.raises(S3Error, match="InvalidRequest"):
        read_announced(CIMultiDict(headers))


def test_announcements():
    assert read_announced(CIMultiDict({"x-amz-checksum-type": "FULL_OBJECT", "x-amz-checksum-mode": "ENABLED"})) is None
    by_trailer = read_announced(CIMultiDict({"x-amz-trailer": "X-Amz-Checksum-CRC32C"}))
    assert (by_trailer.algorithm.name, by_trailer.value) == ("CRC32C", None)
    assert declared_trailers(CIMultiDict({"x-amz-trailer": " x-amz-checksum-sha256 "})) == ("x-amz-checksum-sha256",)


async def test_a_trailer_needs_the_mode_for_it():
    with pytest.raises(S3Error, match="InvalidRequest"):
        await store(WHOLE, PayloadMode.UNSIGNED, {"x-amz-trailer": "x-amz-checksum-crc32"})


PARTS = [b"a" * 5000, b"", b"bc" * 777, b"d"]


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME"])
def test_full_object_checksum_from_parts(name):
    parts = [(value_of(name, part), len(part)) for part in PARTS]
    combined = combine_parts(name, "FULL_OBJECT", parts)
    assert combined.value == value_of(name, b"".join(PARTS))
    assert combined.type == "FULL_OBJECT"


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_composite_checksum_of_parts(name):
    parts = [(value_of(name, part), len(part)) for part in PARTS]
    combined = combine_parts(name, "COMPOSITE", parts)
    assert combined.value == value_of(name, b"".join(base64.b64decode(value) for value, _ in parts)) + "-4"
    assert combined.type == "COMPOSITE"


def test_multipart_etag():
    etags = [hashlib.md5(part).hexdigest() for part in PARTS]
    whole = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in PARTS)).hexdigest()
    assert multipart_etag(etags) == f"{whole}-4"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (("", ""), ("", "")),
        (("crc32", ""), ("CRC32", "COMPOSITE")),
        (("CRC32C", "FULL_OBJECT"), ("CRC32C", "FULL_OBJECT")),
        (("CRC64NVME", ""), ("CRC64NVME", "FULL_OBJECT")),
        (("SHA1", ""), ("SHA1", "COMPOSITE")),
        (("SHA256", "composite"), ("SHA256", "COMPOSITE")),
    ],
)
def test_checksum_types(asked, given):
    assert resolve_type(*asked) == given


@pytest.mark.parametrize(
    "asked",
    [
        ("", "COMPOSITE"),
        ("MD4", ""),
        ("SHA1", "FULL_OBJECT"),
        ("SHA256", "FULL_OBJECT"),
        ("CRC64NVME", "COMPOSITE"),
        ("CRC32", "X"),
    ],
)
def test_checksum_types_that_aws_does_not_have(asked):
    with pytest.raises(S3Error, match="InvalidRequest"):
        resolve_type(*asked)


async def test_a_bad_chunk_is_found_before_the_end():
    """The worker thread refuses at the end of that chunk, whatever still is to come."""
    good = frame([b"x" * 100, b"y" * 100], SIGNING)
    bad = good.replace(b"x" * 100, b"x" * 99 + b"z")
    incoming = open_body(
        pieces_of(bad, 50), Identity(payload=PayloadMode.CHUNKS_SIGNED, signing=SIGNING), CIMultiDict()
    )
    seen = 0

    async def hash_all():
        nonlocal seen
        async for data in incoming.stream:
            incoming.digest.update(data)
            seen += len(data)

    with pytest.raises(Invalid, match="signature"):
        await hash_all()
    assert seen < 100


def test_close_reports_what_is_missing():
    decoder = ChunkDecoder()
    decoder.feed(b"5\r\nhello\r\n")
    assert not decoder.is_done
    with pytest.raises(S3Error, match="IncompleteBody"):
        decoder.close()
    decoder.feed(b"0\r\n\r\n")
    assert decoder.is_done
    decoder.close()


async def test_tiny_chunks_reach_the_storage_together():
    body = frame([b"x"] * 1000, SIGNING)
    identity = Identity(payload=PayloadMode.CHUNKS_SIGNED, signing=SIGNING)
    incoming = open_body(pieces_of(body, 1 << 20), identity, CIMultiDict())
    pieces = [piece async for piece in incoming.stream]
    assert pieces == [b"x" * 1000]
    incoming.digest.update(pieces[0])
    incoming.digest.verify()
