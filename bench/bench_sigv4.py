"""CPU time of the S3 wire layer: authentication, body digests, decoding, listings.

Run it with ``python bench/bench_sigv4.py``. Times are of this thread, best of several rounds, so that a busy machine
disturbs little. The goals: at most 35 us for a header-signed GET, 1 ms for a listing of 1,000 keys.
"""

import hashlib
import time
from collections.abc import Callable

from multidict import CIMultiDict, CIMultiDictProxy

from cellsmono.gateway.s3 import dates, signature_v4, xml_listings
from cellsmono.gateway.s3.addressing import parse_target
from cellsmono.gateway.s3.authentication import Authenticator, SignedRequest
from cellsmono.gateway.s3.checksums import ALGORITHMS
from cellsmono.gateway.s3.chunked import ChunkDecoder
from cellsmono.gateway.s3.digests import BodyDigest, ChunkVerifier
from cellsmono.gateway.s3.signature_v4 import ChunkSigning
from cellsmono.interfaces.node import Facts, Node
from cellsmono.kernel.clock import ManualClock

KEY, SECRET, HOST, STAMP = (
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "s3.test",
    "20130524T000000Z",
)
SCOPE = "20130524/us-east-1/s3/aws4_request"
MIB = 1 << 20


class OneKey:
    """The one key pair of this benchmark."""

    def find_secret(self, access_key: str) -> str | None:
        return SECRET if access_key == KEY else None


def best_of(function: Callable[[], object], repeat: int, rounds: int = 7) -> float:
    """Seconds of thread CPU time for one call, the best of some rounds."""
    found = []
    for _ in range(rounds):
        began = time.thread_time()
        for _ in range(repeat):
            function()
        found.append((time.thread_time() - began) / repeat)
    return min(found)


def sign(method: str, path: str, query: str, more: dict[str, str], payload: str) -> SignedRequest:
    headers = CIMultiDict({"Host": HOST, "x-amz-date": STAMP, "x-amz-content-sha256": payload, **more})
    names = sorted(name.lower() for name in headers)
    headers.update({"User-Agent": "bench", "Accept-Encoding": "identity", "Connection": "keep-alive"})
    canonical = signature_v4.build_canonical_request(
        method,
        signature_v4.canonical_path(path),
        query,
        signature_v4.canonical_headers(headers, names, HOST),
        ";".join(names),
        payload,
    )
    key = signature_v4.derive_key(SECRET, STAMP[:8], "us-east-1")
    signature = signature_v4.sign(key, signature_v4.build_string_to_sign(STAMP, SCOPE, canonical))
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/{SCOPE}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return SignedRequest(method, path, query, CIMultiDictProxy(headers), HOST)


def bench_authentication() -> None:
    authenticator = Authenticator(OneKey(), region="us-east-1", clock=ManualClock(dates.parse_compact(STAMP) or 0))
    meta = {
        "x-amz-meta-mtime": "1700000000.123456789",
        "x-amz-checksum-crc32": "AAAAAA==",
        "content-type": "text/plain",
    }
    requests = {
        "GET, plain key": sign("GET", "/bucket/some/folder/key-000123.txt", "", {}, signature_v4.EMPTY_SHA256),
        "GET, key to encode": sign("GET", "/bucket/F%C3%BCr%20alle/x%2By", "", {}, signature_v4.EMPTY_SHA256),
        "PUT with metadata": sign("PUT", "/bucket/some/folder/key", "", meta, "UNSIGNED-PAYLOAD"),
        "listing": sign(
            "GET", "/bucket", "list-type=2&max-keys=1000&prefix=some%2Ffolder", {}, signature_v4.EMPTY_SHA256
        ),
    }
    for name, request in requests.items():

        def run(request: SignedRequest = request) -> None:
            parse_target(request.raw_path, request.host)
            authenticator.authenticate(
                SignedRequest(request.method, request.raw_path, request.raw_query, request.headers, request.host)
            )

        print(f"authenticate {name:20} {best_of(run, 2000) * 1e6:7.1f} us")


def bench_digests() -> None:
    data = bytes(MIB)
    signing = ChunkSigning(b"k" * 32, STAMP, SCOPE, "0" * 64)
    for name, make in {
        "MD5": BodyDigest,
        "MD5 + payload SHA-256": lambda: BodyDigest(payload_sha256=hashlib.sha256(data).hexdigest()),
        **{f"MD5 + {each}": lambda each=each: BodyDigest(algorithm=ALGORITHMS[each]) for each in ALGORITHMS},
    }.items():

        def run(make: Callable[[], BodyDigest] = make) -> None:
            digest = make()
            for at in range(0, MIB, 256 * 1024):
                digest.update(data[at : at + 256 * 1024])
            digest.verify()

        print(f"digest {name:26} {1 / best_of(run, 10):7.0f} MiB/s")
    size = 64 * 1024
    body = b"".join(b"10000;chunk-signature=%s\r\n%s\r\n" % (b"0" * 64, bytes(size)) for _ in range(16))

    def decode() -> None:
        decoder = ChunkDecoder(verifier=ChunkVerifier(signing))
        for at in range(0, len(body), 128 * 1024):
            decoder.feed(body[at : at + 128 * 1024])

    print(f"framing on the event loop, signed 64 KiB chunks {best_of(decode, 20) / 16 * 1e6:7.1f} us a chunk")


def bench_listing() -> None:
    start = 1_700_000_000_000_000_000
    nodes = [
        Node(f"some/folder/key-{number:05d}.txt", "u", Facts(number, start + number * 10**12), etag="0" * 32)
        for number in range(1000)
    ]
    for is_encoded in (False, True):
        page = xml_listings.ListingPage("bucket", nodes, url_encoded=is_encoded)
        milliseconds = best_of(lambda page=page: xml_listings.write_list_v2(page), 10) * 1e3
        print(f"listing of 1,000 keys, {'url' if is_encoded else 'xml'} {milliseconds:27.2f} ms")


if __name__ == "__main__":
    bench_authentication()
    bench_digests()
    bench_listing()
