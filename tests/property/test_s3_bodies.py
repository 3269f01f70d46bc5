"""Bodies cut anywhere, and checksums of parts against the checksum of the whole."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from cellsmono.gateway.s3.checksums import ALGORITHMS, combine_parts, encode_value
from cellsmono.gateway.s3.chunked import ChunkDecoder
from cellsmono.gateway.s3.digests import BodyDigest, ChunkVerifier
from cellsmono.gateway.s3.signature_v4 import ChunkSigning, sign_chunk, sign_trailer

SIGNING = ChunkSigning(b"k" * 32, "20130524T000000Z", "20130524/us-east-1/s3/aws4_request", "5" * 64)
PAYLOADS = st.lists(st.binary(min_size=1, max_size=200), max_size=6)


def frame(payloads: list[bytes], is_signed: bool, trailer: str) -> bytes:
    """The straightforward way to write the framing."""
    out, previous = b"", SIGNING.seed_signature
    for payload in [*payloads, b""]:
        previous = sign_chunk(SIGNING, previous, hashlib.sha256(payload).hexdigest())
        out += f"{len(payload):X}".encode() + (f";chunk-signature={previous}".encode() if is_signed else b"")
        out += b"\r\n" + (payload + b"\r\n" if payload else b"")
    if trailer:
        out += f"x-amz-checksum-sha256:{trailer}\r\n".encode()
        if is_signed:
            canonical = f"x-amz-checksum-sha256:{trailer}\n".encode()
            out += f"x-amz-trailer-signature:{sign_trailer(SIGNING, previous, canonical)}\r\n".encode()
    return out + b"\r\n"


@settings(max_examples=200, deadline=None)
@given(payloads=PAYLOADS, is_signed=st.booleans(), has_trailer=st.booleans(), cuts=st.lists(st.integers(0, 2000)))
def test_any_cut_gives_the_same_payload(payloads, is_signed, has_trailer, cuts):
    whole = b"".join(payloads)
    trailer = encode_value(hashlib.sha256(whole).digest()) if has_trailer else ""
    body = frame(payloads, is_signed, trailer)
    verifier = ChunkVerifier(SIGNING) if is_signed else None
    digest = BodyDigest(algorithm=ALGORITHMS["SHA256"], chunks=verifier)
    decoder = ChunkDecoder(
        verifier=verifier,
        has_trailer=has_trailer,
        trailers=["x-amz-checksum-sha256"] if has_trailer else [],
        decoded_length=len(whole),
    )
    at, out = 0, b""
    for cut in [*sorted(cut for cut in cuts if cut < len(body)), len(body)]:
        for piece in decoder.feed(body[at:cut]):
            assert piece
            digest.update(piece)
            out += piece
        at = cut
    decoder.close()
    digest.verify()
    assert out == whole
    assert digest.etag() == hashlib.md5(whole).hexdigest()
    assert decoder.trailers.get("x-amz-checksum-sha256", "") == trailer


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=6), data=st.data())
def test_full_object_checksums_combine(parts, data):
    name = data.draw(st.sampled_from(["CRC32", "CRC32C", "CRC64NVME"]))

    def value(text: bytes) -> str:
        running = ALGORITHMS[name].start()
        running.update(text)
        return encode_value(running.digest())

    combined = combine_parts(name, "FULL_OBJECT", [(value(part), len(part)) for part in parts])
    assert combined.value == value(b"".join(parts))
