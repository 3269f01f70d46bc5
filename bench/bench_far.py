"""A datasource in a bucket beside the server that holds the bucket: the same client, the same objects, in one run.

    .venv/bin/python bench/bench_far.py [--peer versitygw] [--rounds 5] [--format structured] [--transfers]

The client is boto3 with its defaults, which sends and reads whole bodies, one request at a time, first to the other
server and then through ours, round by round. Figures are medians. ``--transfers`` measures instead how much memory 16
objects of 1 GiB need that are stored and read at once.
"""

import argparse
import io
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from load_proc import read_cpu, read_memory, reset_peak
from peers import ACCESS_KEY, BUCKET, OTHERS, SECRET_KEY, Peer, Server, free_port, run_server

MIB = 1 << 20
COUNTS = {1: 40, 64: 3}
"""Objects of so many MiB a round."""
TRANSFERS = 16
TRANSFER_BYTES = 1 << 30


def make_client(url: str) -> Any:
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, max_pool_connections=TRANSFERS)
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config, **keys)


def make_ours(other: Server, format_: str) -> Peer:
    """Our server with one datasource in a bucket of the other one."""

    def command(_binary: str, folder: Path, port: int) -> list[str]:
        config = folder / "config.toml"
        keys = f'access_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"'
        place = f'storage = "s3"\nendpoint = "{other.url}"\nbucket = "far"\n{keys}\nformat = "{format_}"'
        config.write_text(f'[[datasource]]\nname = "{BUCKET}"\nhash_content = false\nwatch = "off"\n{place}\n')
        listen = ["--listen", f"127.0.0.1:{free_port()}", "--s3-listen", f"127.0.0.1:{port}"]
        return [
            *(sys.executable, "-m", "cellsmono", "serve", "--config", str(config)),
            *("--data-dir", str(folder / "data"), *listen),
        ]

    owner = {"CELLSMONO_OWNER_ACCESS_KEY": ACCESS_KEY, "CELLSMONO_OWNER_SECRET_KEY": SECRET_KEY}
    return Peer("cellsmono", "python", command, owner, has_plain_files=False)


def clock(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def time_puts(client: Any, bucket: str, size: int, *, body: bytes) -> list[float]:
    return [
        clock(lambda number=number: client.put_object(Bucket=bucket, Key=f"{size}/{number}", Body=body))
        for number in range(COUNTS[size])
    ]


def time_gets(client: Any, bucket: str, size: int) -> list[float]:
    def read(number: int) -> None:
        got = client.get_object(Bucket=bucket, Key=f"{size}/{number}")["Body"].read()
        assert len(got) == size * MIB

    return [clock(lambda number=number: read(number)) for number in range(COUNTS[size])]


def compare(other: Server, ours: Server, rounds: int) -> None:
    clients = {"far": make_client(other.url), BUCKET: make_client(ours.url)}
    bodies = {size: os.urandom(size * MIB) for size in COUNTS}
    taken: dict[tuple[str, int, str], list[float]] = {}
    spent: dict[tuple[str, int], float] = {}
    for number in range(rounds + 1):
        for size, body in bodies.items():
            for bucket, client in clients.items():
                for what, times in (("PUT", partial(time_puts, body=body)), ("GET", time_gets)):
                    before = read_cpu(ours.pid)
                    found = times(client, bucket, size)
                    if number:  # the first round makes connections and warms up
                        taken.setdefault((what, size, bucket), []).extend(found)
                        spent[what, size] = spent.get((what, size), 0.0) + read_cpu(ours.pid) - before
    for what in ("PUT", "GET"):
        for size in COUNTS:
            direct, through = (statistics.median(taken[what, size, bucket]) * 1000 for bucket in clients)
            cpu = spent[what, size] / len(taken[what, size, BUCKET]) * 1000
            print(
                f"{what} {size} MiB: {direct:.1f} ms to {other.name}, {through:.1f} ms through ours: "
                f"{through / direct - 1:+.0%} (processor time of ours {cpu:.1f} ms)"
            )


class Generated(io.RawIOBase):
    """A body that is made while it is sent."""

    def __init__(self) -> None:
        self._at = 0
        self._block = os.urandom(MIB)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + {0: 0, 1: self._at, 2: TRANSFER_BYTES}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), TRANSFER_BYTES - self._at, MIB - self._at % MIB)
        begin = self._at % MIB
        buffer[:length] = self._block[begin : begin + length]
        self._at += length
        return length


def measure_transfers(ours: Server) -> None:
    client = make_client(ours.url)
    client.put_object(Bucket=BUCKET, Key="warm", Body=b"x" * 9 * MIB)
    client.get_object(Bucket=BUCKET, Key="warm")["Body"].read()
    idle = read_memory(ours.pid)[0]

    def put(number: int) -> None:
        client.put_object(Bucket=BUCKET, Key=f"large/{number}", Body=Generated(), ContentLength=TRANSFER_BYTES)

    def get(number: int) -> None:
        body = client.get_object(Bucket=BUCKET, Key=f"large/{number}")["Body"]
        while body.read(MIB):
            pass

    for name, action in (("PUT", put), ("GET", get)):
        reset_peak(ours.pid)
        threads = [threading.Thread(target=action, args=(number,)) for number in range(TRANSFERS)]
        seconds = clock(
            lambda threads=threads: [step() for do in ("start", "join") for step in [getattr(t, do) for t in threads]]
        )
        peak = read_memory(ours.pid)[1]
        rate = TRANSFERS * TRANSFER_BYTES / MIB / seconds
        print(f"{TRANSFERS} {name}s of 1 GiB at once: {peak - idle:.1f} MiB above {idle:.0f} MiB, {rate:.0f} MiB/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--format", default="structured")
    parser.add_argument("--transfers", action="store_true")
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    peers = [peer for peer in OTHERS if peer.name in (asked.peer or "versitygw", asked.peer or "minio") and peer.find()]
    if not peers:
        raise SystemExit("no other server found; set BENCH_PATH to the folder of versitygw or minio")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=asked.work) as name:
        root = Path(name)
        with run_server(peers[0], root / "other", root / "other.log") as other:
            make_client(other.url).create_bucket(Bucket="far")
            with run_server(make_ours(other, asked.format), root / "ours", root / "ours.log") as ours:
                print(f"{asked.format} over {other.name}")
                if asked.transfers:
                    measure_transfers(ours)
                else:
                    compare(other, ours, asked.rounds)


if __name__ == "__main__":
    main()
