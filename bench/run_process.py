"""What only our own server is asked: following the disk, a million files, start, memory, many transfers at once."""

import http.client
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from load_proc import read_cpu, read_memory, reset_peak
from load_sign import Signer
from peers import ACCESS_KEY, BUCKET, OURS, SECRET_KEY, WITHOUT_HASHING, Peer, Server, run_server
from run_cases import GIB, MIB, Figures, Results, Scale, check_figures, make_plain_keys, run_load, wait_for_keys

OWN = OURS[0]
FULL_KEYS = 100_000
"""A scale with fewer keys is a quick one, and a million becomes a tenth of that many times ten."""


@contextmanager
def own_server(work: Path, count: int, *, is_tree: bool = True) -> Iterator[tuple[Server, Path]]:
    """Our server over a folder with this many files, all of them indexed; and the folder."""
    folder, log = work / OWN.name, work / f"{OWN.name}.log"
    try:
        (folder / BUCKET).mkdir(parents=True)
        make_plain_keys(folder / BUCKET, count, is_tree=is_tree)
        with run_server(OWN, folder, log) as server:
            if count:
                wait_for_keys(server, count)
            yield server, folder / BUCKET
    finally:
        for leftover in work.glob(f"{OWN.name}*"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def command_of(work: Path, *arguments: str) -> list[str]:
    """Our command line on the benchmark's data directory."""
    data, config = work / f"{OWN.name}.data", work / f"{OWN.name}.toml"
    return [sys.executable, "-m", "cellsmono", *arguments, "--data-dir", str(data), "--config", str(config)]


def is_listed(server: Server, key: str) -> bool:
    """Whether a listing shows the key."""
    url = urlsplit(server.url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
    exchange = Signer(url.netloc, ACCESS_KEY, SECRET_KEY).build("GET", f"/{BUCKET}", {"list-type": "2", "prefix": key})
    lines = exchange.head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    connection.request("GET", lines[0].split(" ")[1], headers=headers)
    body = connection.getresponse().read()
    connection.close()
    return f"<Key>{key}</Key>".encode() in body


def wait_until(condition: Callable[[], bool], seconds: float) -> float:
    """Seconds until the condition held, asked every 10 ms; the limit when it never did."""
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        if condition():
            return time.perf_counter() - begin
        time.sleep(0.01)
    return seconds


def run_follow(_peers: list[Peer], scale: Scale, work: Path) -> Results:
    """How long a change behind the server's back takes to be listed, and how an overflow of the watcher ends."""
    with own_server(work, scale.keys) as (server, bucket):
        delays = []
        for number in range(40):
            key = f"p/0000/{number % 100:02d}/new-{number}"
            (bucket / key).write_bytes(b"new")
            delays.append(wait_until(lambda key=key: is_listed(server, key), 30))  # type: ignore[misc]
        delays.sort()
        changes: Figures = {
            "files": scale.keys,
            "p50_s": round(statistics.median(delays), 3),
            "p95_s": round(delays[int(0.95 * len(delays))], 3),
            "max_s": round(delays[-1], 3),
        }
        overflow = measure_overflow(server, bucket)
    return {"change on the disk": {OWN.name: changes}, "overflow of the watcher": {OWN.name: overflow}}


def measure_overflow(server: Server, bucket: Path, count: int = 20_000) -> Figures:
    """Stop the process, make more files than the kernel queues events for, let it go on."""
    os.kill(server.pid, signal.SIGSTOP)
    for number in range(count):
        folder = bucket / "flood" / f"{number // 200:03d}"
        if number % 200 == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:05d}").write_bytes(b"x")
    os.kill(server.pid, signal.SIGCONT)
    begin = time.perf_counter()
    seen = 0
    while seen < count and time.perf_counter() - begin < 120:
        seen = int(run_load(server, ("--op", "list", "--prefix", "flood")).get("operations", 0))
    return {"files": count, "converged_s": round(time.perf_counter() - begin, 2), "missing": count - seen}


def run_process(_peers: list[Peer], scale: Scale, work: Path) -> Results:
    """The command's start, small reads during large writes, and memory under many transfers."""
    results: Results = {"--help": {OWN.name: measure_help()}}
    with own_server(work, 0) as (server, _):
        results["GET 4 KiB during large PUTs"] = {OWN.name: measure_reads_during_writes(server, scale)}
        results["16 transfers of 1 GiB at once"] = {OWN.name: measure_transfers(server, scale)}
    return results


def measure_help() -> Figures:
    """CPU of ``cellsmono --help`` beside that of the bare interpreter."""

    def cost(command: Sequence[str]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    script = shutil.which("cellsmono", path=str(Path(sys.executable).parent))
    ours = [script, "--help"] if script else [sys.executable, "-m", "cellsmono", "--help"]
    bare = statistics.median(cost([sys.executable, "-c", "pass"]) for _ in range(15))
    own = statistics.median(cost(ours) for _ in range(15))
    return {"cpu_ms": round(1000 * own, 1), "bare_cpu_ms": round(1000 * bare, 1), "times_bare": round(own / bare, 2)}


def start_load(server: Server, *arguments: str) -> subprocess.Popen[bytes]:
    """A load that runs beside another one."""
    load = Path(__file__).with_name("load.py")
    keys = ("--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY)
    return subprocess.Popen(
        [sys.executable, str(load), "--url", server.url, *keys, *arguments], stdout=subprocess.DEVNULL
    )


def measure_reads_during_writes(server: Server, scale: Scale) -> Figures:
    """Latency of small GETs on 4 connections while two 64 MiB PUTs are always under way."""
    check_figures(run_load(server, ("--op", "fill")))
    seconds = str(2 * scale.seconds + 2)
    writer = start_load(
        server, "--op", "put", "--size", str(64 * MIB), "--prefix", "big", "--connections", "2", "--seconds", seconds
    )
    wait_until(lambda: is_listed(server, "big/00000000"), 60)
    figures = run_load(server, ("--op", "get", "--connections", "4", "--seconds", str(scale.seconds)))
    writer.wait()
    return figures


def measure_transfers(server: Server, scale: Scale) -> Figures:
    """Memory that eight PUTs and eight GETs of 1 GiB at once add."""
    size = ("--size", str(GIB if scale.keys >= FULL_KEYS else 64 * MIB))
    check_figures(run_load(server, ("--op", "fill", "--keys", "1", "--prefix", "down", "--connections", "1", *size)))
    reset_peak(server.pid)
    idle, _ = read_memory(server.pid)
    begin = time.perf_counter()
    upload = start_load(server, "--op", "fill", "--keys", "8", "--prefix", "up", "--connections", "8", *size)
    download = start_load(
        server, "--op", "get", "--keys", "1", "--prefix", "down", "--connections", "8", "--seconds", "20", *size
    )
    statuses = upload.wait(), download.wait()
    _, peak = read_memory(server.pid)
    return {
        "idle_rss_mib": round(idle, 1),
        "peak_mib": round(peak, 1),
        "added_mib": round(peak - idle, 1),
        "seconds": round(time.perf_counter() - begin, 1),
        "failed_loads": sum(map(bool, statuses)),
    }


def time_find(folder: Path) -> float:
    """Seconds of wall clock of ``find -printf`` over the folder, with a warm cache."""
    command = ["find", str(folder), "-printf", "%p %y %s %T@ %i\\n"]
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - begin)
    return min(times)


def run_million(_peers: list[Peer], scale: Scale, work: Path) -> Results:
    """Import, resync, restart, and pages with a million files (ten times the listing sections' keys), ten to a folder.

    Without hashing in the background, which would be counted in.
    """
    count = 10 * scale.keys
    folder, log = work / OWN.name, work / f"{OWN.name}.log"
    bucket = folder / BUCKET
    results: Results = {}
    try:
        bucket.mkdir(parents=True)
        make_plain_keys(bucket, count, is_tree=True)
        find = time_find(bucket)
        with run_server(WITHOUT_HASHING, folder, log) as server:
            results["import and resync"] = {OWN.name: measure_scans(server, work, count, find)}
        with run_server(WITHOUT_HASHING, folder, log) as server:
            wait_until_idle(server)
            memory, _ = read_memory(server.pid)
            results["start with a million nodes"] = {
                OWN.name: {"nodes": count, "ready_s": round(server.start_seconds, 2), "idle_rss_mib": round(memory, 1)}
            }
            pages = ("--op", "pages", "--connections", "1", "--seconds", str(scale.seconds))
            deep = ("--start-after", f"p/{count // 1000 - 2:04d}/50/")
            results["first page, million nodes"] = {OWN.name: run_load(server, pages)}
            results["deep page, million nodes"] = {OWN.name: run_load(server, (*pages, *deep))}
            results["whole listing, million nodes"] = {OWN.name: run_load(server, ("--op", "list"))}
    finally:
        for leftover in work.glob(f"{OWN.name}*"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    return results


def wait_until_idle(server: Server, seconds: float = 120) -> None:
    """Wait until what a start left to do is done: the process takes less than a twentieth of a core."""
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        before = read_cpu(server.pid)
        time.sleep(2)
        if read_cpu(server.pid) - before < 0.1:
            return


def measure_scans(server: Server, work: Path, count: int, find: float) -> Figures:
    """The first import, then a quick and a complete resync of what has not changed."""
    reset_peak(server.pid)
    begin = time.perf_counter()
    subprocess.run(command_of(work, "ds", "resync", BUCKET, "--wait"), stdout=subprocess.DEVNULL, check=True)
    wait_for_keys(server, count)
    took = time.perf_counter() - begin + server.start_seconds
    figures: Figures = {"files": count, "find_s": round(find, 2), "import_s": round(took, 1)}
    figures["import_over_find"] = round(took / find, 2)
    for name, options in {"quick": [], "full": ["--full"]}.items():
        cpu, begin = read_cpu(server.pid), time.perf_counter()
        subprocess.run(
            command_of(work, "ds", "resync", BUCKET, "--wait", *options), stdout=subprocess.DEVNULL, check=True
        )
        seconds = time.perf_counter() - begin
        figures[f"{name}_s"] = round(seconds, 2)
        figures[f"{name}_cpu_s"] = round(read_cpu(server.pid) - cpu, 2)
        figures[f"{name}_over_find"] = round(seconds / find, 2)
    figures["peak_mib"] = round(read_memory(server.pid)[1], 1)
    return figures
