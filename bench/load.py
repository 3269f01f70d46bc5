"""Load generator for any S3 endpoint: one operation, one line of JSON with what it took and what it cost the server.

    python bench/load.py --url http://127.0.0.1:9000 --access-key K --secret-key S --bucket bench \\
        --op put --size 4096 --connections 8 --seconds 5 --pid SERVER_PID

It runs in a process of its own, so that its CPU is not the server's; requests are signed before the clock runs.
"""

import argparse
import hashlib
import itertools
import json
import random
import re
import resource
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from xml.sax.saxutils import escape, unescape

from load_proc import read_cpu, read_memory, reset_peak
from load_sign import CLOCK_SPREAD, Exchange, Signer
from load_wire import Answer, Broken, Client

MAX_ERRORS = 1000
_PIECE = 1 << 26
XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
PREPARED_RATE = 12_000
"""Requests a second that are signed ahead; a faster server gets the rest signed on the way."""


@dataclass
class Target:
    """Where to, as whom, and with what."""

    signer: Signer
    address: tuple[str, int]
    bucket: str
    prefix: str
    connections: int
    is_tree: bool = False

    def path(self, key: str) -> str:
        return f"/{self.bucket}/{key}"

    def key(self, number: int) -> str:
        """The key of this number: all in one folder, or ten to a folder and a hundred folders to a folder."""
        if self.is_tree:
            return f"{self.prefix}/{number // 1000:04d}/{number // 10 % 100:02d}/{number:08d}"
        return f"{self.prefix}/{number:08d}"


@dataclass
class Tally:
    """What has been counted so far, and what the measured part (``clock``) took and cost the server."""

    pid: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)
    operations: int = 0
    size: int = 0
    errors: list[str] = field(default_factory=list)
    extra: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def clock(self) -> Iterator[None]:
        """The measured part: what comes before it (signing, listing what is to be deleted) does not count."""
        if self.pid:
            reset_peak(self.pid)
        cpu, begin = read_cpu(self.pid) if self.pid else 0.0, time.perf_counter()
        try:
            yield
        finally:
            self.seconds = time.perf_counter() - begin
            self.cpu = read_cpu(self.pid) - cpu if self.pid else 0.0

    def take(self, answer: Answer) -> None:
        """Count an answer."""
        if answer.status >= 300:
            self.errors.append(f"{answer.status} {answer.body[:300].decode(errors='replace')}")
            return
        self.latencies.append(answer.seconds)
        self.operations += 1
        body = answer.exchange.body
        self.size += len(body) if body is not None else answer.length

    def take_broken(self, _exchange: Exchange, error: str) -> None:
        """Count an exchange without an answer."""
        self.errors.append(error)


def make_body(size: int, seed: int = 1) -> memoryview:
    """Bytes that do not compress."""
    source = random.Random(seed)
    # One call can not make 256 MiB or more.
    return memoryview(b"".join(source.randbytes(min(_PIECE, size - at)) for at in range(0, size, _PIECE)))


def run_timed(target: Target, tally: Tally, requests: Iterator[Exchange], seconds: float, prepared: int) -> None:
    """Send requests until the time is over or there are no more."""
    ahead = list(itertools.islice(requests, prepared))
    ahead.reverse()
    client = Client(target.address, target.connections)
    end = time.perf_counter() + seconds

    def source() -> Exchange | None:
        if time.perf_counter() >= end or len(tally.errors) > MAX_ERRORS:
            return None
        return ahead.pop() if ahead else next(requests, None)

    with tally.clock():
        client.drive(source, tally.take, tally.take_broken)
    client.close()


def build_puts(target: Target, body: memoryview, count: int | None = None, first: int = 0) -> Iterator[Exchange]:
    """PUTs of new keys."""
    sha256 = hashlib.sha256(body).hexdigest()
    numbers = itertools.count(first) if count is None else range(first, first + count)
    for number in numbers:
        yield target.signer.build("PUT", target.path(target.key(number)), body=body, sha256=sha256)


def build_reads(target: Target, method: str, keys: int) -> Iterator[Exchange]:
    """GETs or HEADs of the filled keys in turn."""
    for number in itertools.count():
        age = number // keys % CLOCK_SPREAD
        yield target.signer.build(method, target.path(target.key(number % keys)), age=age)


def build_mix(target: Target, body: memoryview, keys: int) -> Iterator[Exchange]:
    """45 % GET, 30 % HEAD, 15 % PUT, 10 % DELETE (of what was put), in a fixed shuffled order."""
    gets, heads = build_reads(target, "GET", keys), build_reads(target, "HEAD", keys)
    puts = build_puts(target, body, first=10_000_000)
    dice = random.Random(1)
    born = gone = 0
    while True:
        roll = dice.random()
        if roll < 0.45:
            yield next(gets)
        elif roll < 0.75:
            yield next(heads)
        elif roll < 0.9 or gone + 64 >= born:
            born += 1
            yield next(puts)
        else:
            yield target.signer.build("DELETE", target.path(target.key(10_000_000 + gone)))
            gone += 1


def ask_checked(client: Client, exchange: Exchange) -> Answer:
    """One exchange that must succeed."""
    answer = client.ask(exchange)
    if answer.status >= 300 or b"<Error>" in answer.body:
        raise Broken(f"{answer.status} {answer.body[:300].decode(errors='replace')}")
    return answer


def walk_pages(target: Target, client: Client, prefix: str, delimiter: str = "", after: str = "") -> Iterator[Answer]:
    """Every page of a listing, one after the other."""
    query = {"list-type": "2", "prefix": prefix, "max-keys": "1000"}
    if delimiter:
        query["delimiter"] = delimiter
    if after:
        query["start-after"] = after
    while True:
        answer = ask_checked(client, target.signer.build("GET", f"/{target.bucket}", query))
        yield answer
        token = re.search(rb"<NextContinuationToken>(.*?)</NextContinuationToken>", answer.body)
        if b"<IsTruncated>true</IsTruncated>" not in answer.body:
            return
        if token is None:
            raise Broken("a truncated listing without a continuation token")
        query["continuation-token"] = unescape(token[1].decode())


def read_keys(page: bytes) -> list[str]:
    """Keys on a listing page."""
    return [unescape(key.decode()) for key in re.findall(rb"<Key>(.*?)</Key>", page)]


def run_list(target: Target, tally: Tally, args: argparse.Namespace) -> None:
    """The whole listing under the prefix; an operation is a key, a latency is a page."""
    client = Client(target.address, 1, keep_bodies=True)
    with tally.clock():
        pages = list(walk_pages(target, client, target.prefix + "/", args.delimiter))
    previous = b""
    for page in pages:
        keys = read_keys(page.body)
        tally.latencies.append(page.seconds)
        tally.operations += len(keys) + page.body.count(b"<CommonPrefixes>")
        tally.size += page.length
        for key in keys:
            if key.encode() <= previous:
                tally.errors.append(f"out of byte order: {key!r} after {previous.decode()!r}")
            previous = key.encode()
    tally.extra["first_page_ms"] = round(1000 * tally.latencies[0], 2)
    client.close()


def run_pages(target: Target, tally: Tally, args: argparse.Namespace) -> None:
    """The same page again and again: the first one, or the one after ``--start-after``."""
    query = {"list-type": "2", "prefix": target.prefix + "/", "max-keys": "1000"}
    if args.delimiter:
        query["delimiter"] = args.delimiter
    if args.start_after:
        query["start-after"] = args.start_after
    pages = (
        target.signer.build("GET", f"/{target.bucket}", query, age=number % CLOCK_SPREAD)
        for number in itertools.count()
    )
    run_timed(target, tally, pages, args.seconds, 500)


def run_multi_delete(target: Target, tally: Tally, _args: argparse.Namespace) -> None:
    """Delete everything under the prefix, 1,000 keys a request; an operation is a key, a latency a request."""
    client = Client(target.address, 1, keep_bodies=True)
    pages = [read_keys(page.body) for page in walk_pages(target, client, target.prefix + "/")]
    requests = []
    for keys in filter(None, pages):
        listed = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
        body = f"<Delete {XMLNS}><Quiet>true</Quiet>{listed}</Delete>".encode()
        md5 = b64encode(hashlib.md5(body).digest()).decode()
        headers = {"content-md5": md5, "content-type": "application/xml"}
        requests.append(target.signer.build("POST", f"/{target.bucket}", {"delete": ""}, body=body, headers=headers))
    with tally.clock():
        for keys, request in zip(filter(None, pages), requests, strict=True):
            tally.latencies.append(ask_checked(client, request).seconds)
            tally.operations += len(keys)
    client.close()


def run_multipart(target: Target, tally: Tally, args: argparse.Namespace) -> None:
    """One object by multipart upload, parts on all connections; an operation is a part."""
    path = target.path(target.key(0))
    client = Client(target.address, target.connections, keep_bodies=True)
    body = make_body(args.part_size)
    sha256 = hashlib.sha256(body).hexdigest()
    etags: dict[int, str] = {}

    def take(answer: Answer) -> None:
        tally.take(answer)
        assert isinstance(answer.exchange.label, int)
        etags[answer.exchange.label] = answer.header("etag")

    with tally.clock():
        answer = ask_checked(client, target.signer.build("POST", path, {"uploads": ""}))
        found = re.search(rb"<UploadId>(.*?)</UploadId>", answer.body)
        if found is None:
            raise Broken("no upload id")
        upload = unescape(found[1].decode())
        parts = build_parts(target, path, upload, args.size // args.part_size, body, sha256)
        client.drive(lambda: next(parts, None), take, tally.take_broken)
        listed = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>{escape(etags[n])}</ETag></Part>" for n in sorted(etags)
        )
        complete = f"<CompleteMultipartUpload {XMLNS}>{listed}</CompleteMultipartUpload>".encode()
        done = ask_checked(client, target.signer.build("POST", path, {"uploadId": upload}, body=complete))
    tally.extra["complete_s"] = round(done.seconds, 3)
    client.close()


def build_parts(
    target: Target, path: str, upload: str, count: int, body: memoryview, sha256: str
) -> Iterator[Exchange]:
    """The parts of one upload, labelled with their numbers."""
    for number in range(1, count + 1):
        query = {"partNumber": str(number), "uploadId": upload}
        part = target.signer.build("PUT", path, query, body=body, sha256=sha256)
        part.label = number
        yield part


def run_bucket(target: Target, tally: Tally, _args: argparse.Namespace) -> None:
    """Create the bucket; one that is there already is no error."""
    client = Client(target.address, 1, keep_bodies=True)
    with tally.clock():
        answer = client.ask(target.signer.build("PUT", f"/{target.bucket}", body=b""))
    if answer.status != 409:
        tally.take(answer)
    client.close()


def run_fill(target: Target, tally: Tally, args: argparse.Namespace) -> None:
    """Put ``--keys`` objects."""
    puts = build_puts(target, make_body(args.size), args.keys)
    put_alone(target, tally, puts)
    run_timed(target, tally, puts, 1e9, 0)


def put_alone(target: Target, tally: Tally, puts: Iterator[Exchange]) -> None:
    """The first PUT by itself: some servers lose writes when many make the same new folder at once."""
    client = Client(target.address, 1)
    tally.take(client.ask(next(puts)))
    client.close()


def run_put(target: Target, tally: Tally, args: argparse.Namespace) -> None:
    puts = build_puts(target, make_body(args.size), first=args.first)
    put_alone(target, Tally(), puts)
    run_timed(target, tally, puts, args.seconds, prepare_count(args))


def run_read(target: Target, tally: Tally, args: argparse.Namespace) -> None:
    reads = build_reads(target, args.op.upper(), args.keys)
    run_timed(target, tally, reads, args.seconds, prepare_count(args))
    if args.op == "get" and tally.size != tally.operations * args.size:
        tally.errors.append(f"{tally.size} bytes in {tally.operations} answers, not {args.size} each")


def run_mixed(target: Target, tally: Tally, args: argparse.Namespace) -> None:
    mix = build_mix(target, make_body(args.size), args.keys)
    run_timed(target, tally, mix, args.seconds, prepare_count(args))


def prepare_count(args: argparse.Namespace) -> int:
    """How many requests to sign ahead: those of the whole time when small, a few when large."""
    return int(PREPARED_RATE * args.seconds) if args.size <= 65536 else 256


OPERATIONS: dict[str, Callable[[Target, Tally, argparse.Namespace], None]] = {
    "bucket": run_bucket,
    "fill": run_fill,
    "put": run_put,
    "get": run_read,
    "head": run_read,
    "list": run_list,
    "pages": run_pages,
    "multi-delete": run_multi_delete,
    "multipart": run_multipart,
    "mixed": run_mixed,
}


def percentile(ordered: list[float], share: float) -> float:
    """The latency in milliseconds below which this share of the answers came."""
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else 0.0


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--access-key", required=True)
    parser.add_argument("--secret-key", required=True)
    parser.add_argument("--bucket", default="bench")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--op", required=True, choices=sorted(OPERATIONS))
    parser.add_argument("--prefix", default="p", help="keys are PREFIX/00000000 and so on")
    parser.add_argument("--size", type=int, default=4096, help="bytes of an object")
    parser.add_argument("--part-size", type=int, default=16 << 20, help="bytes of a part of a multipart upload")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--keys", type=int, default=256, help="objects that fill makes and get, head, mixed read")
    parser.add_argument("--first", type=int, default=0, help="number of the first key that put makes")
    parser.add_argument("--tree", action="store_true", help="keys in nested folders instead of one")
    parser.add_argument("--delimiter", default="")
    parser.add_argument("--start-after", default="")
    parser.add_argument("--pid", type=int, default=0, help="server process whose tree is measured")
    return parser.parse_args(argv)


def measure(args: argparse.Namespace) -> dict[str, object]:
    """Run the operation; the figures."""
    url = urlsplit(args.url)
    signer = Signer(url.netloc, args.access_key, args.secret_key, args.region)
    target = Target(
        signer, (url.hostname or "127.0.0.1", url.port or 80), args.bucket, args.prefix, args.connections, args.tree
    )
    tally = Tally(args.pid)
    OPERATIONS[args.op](target, tally, args)
    rss, peak = read_memory(args.pid) if args.pid else (0.0, 0.0)
    own = resource.getrusage(resource.RUSAGE_SELF)
    ordered = sorted(tally.latencies)
    count = max(tally.operations, 1)
    return {
        "op": args.op,
        "size": args.size,
        "connections": args.connections,
        "seconds": round(tally.seconds, 3),
        "operations": tally.operations,
        "rate": round(tally.operations / tally.seconds, 1),
        "mib_s": round(tally.size / tally.seconds / (1 << 20), 1),
        "p50_ms": percentile(ordered, 0.5),
        "p99_ms": percentile(ordered, 0.99),
        "max_ms": percentile(ordered, 1),
        "cpu_s_per_1000": round(1000 * tally.cpu / count, 4),
        "cpu_s": round(tally.cpu, 3),
        "rss_mib": round(rss, 1),
        "peak_mib": round(peak, 1),
        "client_cpu_s": round(own.ru_utime + own.ru_stime, 2),
        "errors": len(tally.errors),
        "first_error": tally.errors[0][:300] if tally.errors else "",
        **tally.extra,
    }


def main() -> int:
    figures = measure(parse_arguments(sys.argv[1:]))
    print(json.dumps(figures))
    return 1 if figures["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
