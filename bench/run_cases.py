"""What is measured on every server: the cases, and the loop that runs them in turn.

A round starts each server once, on an empty folder, and runs all cases of a section on it; the next round does the
same in another order. Figures are medians over the rounds, so a slow minute of the machine hits everybody alike.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from peers import ACCESS_KEY, BUCKET, SECRET_KEY, Peer, Server, run_server

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
Figures = dict[str, float | str]
Results = dict[str, dict[str, Figures]]
"""Section's figures by case and then by server."""

LOAD = Path(__file__).with_name("load.py")


@dataclass(frozen=True)
class Case:
    """One measured call of the load generator; an empty name marks a preparation."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Scale:
    """How thorough a run is."""

    rounds: int
    seconds: float
    keys: int
    """Objects in the listing sections."""
    multipart: int
    """Bytes of the object uploaded in parts."""


FULL = Scale(3, 4, 100_000, GIB)
QUICK = Scale(1, 1.5, 5_000, 64 * MIB)


def run_load(server: Server, arguments: Iterable[str]) -> Figures:
    """Run the load generator in its own process; its figures."""
    command = [
        *(sys.executable, str(LOAD), "--url", server.url, "--pid", str(server.pid), "--bucket", BUCKET),
        *("--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY, *arguments),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        figures: Figures = json.loads(done.stdout)
    except ValueError:
        return {"first_error": (done.stderr.strip().splitlines() or ["no output"])[-1][:300], "errors": 1}
    return figures


def small_cases(scale: Scale) -> list[Case]:
    """4 KiB objects."""
    cases = [Case("", ("--op", "fill"))]
    for connections in (8, 1, 64):
        common = ("--seconds", str(scale.seconds), "--connections", str(connections))
        cases += [
            Case(f"GET 4 KiB, {connections} conn.", ("--op", "get", *common)),
            Case(f"HEAD, {connections} conn.", ("--op", "head", *common)),
            Case(f"PUT 4 KiB, {connections} conn.", ("--op", "put", "--prefix", f"c{connections}", *common)),
        ]
    return [*cases, Case("mixed 4 KiB, 8 conn.", ("--op", "mixed", "--seconds", str(scale.seconds)))]


def large_cases(scale: Scale) -> list[Case]:
    """1 MiB, 64 MiB, and one large multipart upload."""
    time = ("--seconds", str(scale.seconds))
    one, many = ("--size", str(MIB), "--prefix", "one"), ("--size", str(64 * MIB), "--prefix", "many")
    return [
        Case("", ("--op", "fill", "--keys", "64", *one)),
        Case("", ("--op", "fill", "--keys", "4", "--connections", "2", *many)),
        Case("GET 1 MiB, 8 conn.", ("--op", "get", "--keys", "64", *one, *time)),
        Case("GET 64 MiB, 4 conn.", ("--op", "get", "--keys", "4", "--connections", "4", *many, *time)),
        Case("PUT 1 MiB, 8 conn.", ("--op", "put", "--first", "1000", *one, *time)),
        Case("PUT 64 MiB, 4 conn.", ("--op", "put", "--first", "1000", "--connections", "4", *many, *time)),
        Case(
            f"multipart {scale.multipart // MIB} MiB, 16 MiB parts, 4 conn.",
            ("--op", "multipart", "--size", str(scale.multipart), "--connections", "4", "--prefix", "parts"),
        ),
    ]


def list_cases(scale: Scale, *, is_tree: bool) -> list[Case]:
    """Whole listing, first and deep page, and the deletion of everything. The keys are there already."""
    shape = "tree" if is_tree else "flat"
    middle = scale.keys // 2
    deep = f"p/{middle // 1000:04d}/{middle // 10 % 100:02d}/{middle:08d}" if is_tree else f"p/{middle:08d}"
    pages = ("--op", "pages", "--connections", "1", "--seconds", str(scale.seconds / 2))
    cases = [
        Case(f"whole listing, {shape}", ("--op", "list")),
        Case(f"first page, {shape}", pages),
        Case(f"deep page, {shape}", (*pages, "--start-after", deep)),
    ]
    return [*cases, Case(f"multi-delete, {shape}", ("--op", "multi-delete"))]


_PATIENCE = 300.0
"""Seconds that a server may take to list what is in its folder when it starts."""


def make_plain_keys(folder: Path, count: int, *, is_tree: bool) -> None:
    """The keys that ``fill`` would put, as files of one byte."""
    for number in range(count):
        path = folder / "p"
        if is_tree:
            path = path / f"{number // 1000:04d}" / f"{number // 10 % 100:02d}"
        if number % 10 == 0 if is_tree else number == 0:
            path.mkdir(parents=True, exist_ok=True)
        (path / f"{number:08d}").write_bytes(b"x")


def wait_for_keys(server: Server, count: int) -> None:
    """Until the listing has them all (a server that imports a folder needs its time)."""
    ends = time.monotonic() + _PATIENCE
    while True:
        figures = run_load(server, ("--op", "list"))
        listed = int(figures.get("operations", 0))
        if listed >= count:
            return
        if time.monotonic() > ends:
            raise RuntimeError(f"{server.name} lists {listed} of {count} keys: {figures.get('first_error')}")
        time.sleep(0.2)


Prepare = Callable[[Peer, Path], Callable[[Server], None]]
"""Called with the empty folder before the start; what it returns is called when the server answers."""


def prepare_nothing(_peer: Peer, _folder: Path) -> Callable[[Server], None]:
    """An empty bucket."""
    return lambda server: None


def prepare_keys(count: int, *, is_tree: bool) -> Prepare:
    """A bucket with this many one-byte objects: written as files where files are objects, put otherwise."""

    def prepare(peer: Peer, folder: Path) -> Callable[[Server], None]:
        if peer.has_plain_files:
            make_plain_keys(folder / BUCKET, count, is_tree=is_tree)
            return lambda server: wait_for_keys(server, count)
        tree = ("--tree",) if is_tree else ()
        fill = ("--op", "fill", "--size", "1", "--keys", str(count), "--connections", "16", *tree)
        return lambda server: check_figures(run_load(server, fill))

    return prepare


def check_figures(figures: Figures) -> None:
    """A preparation must not fail."""
    if figures.get("errors"):
        raise RuntimeError(str(figures.get("first_error")))


def run_section(
    peers: list[Peer], cases: list[Case], scale: Scale, work: Path, prepare: Prepare = prepare_nothing
) -> Results:
    """All cases on all servers, round by round; medians."""
    samples: dict[str, dict[str, list[Figures]]] = {case.name: {} for case in cases if case.name}
    for turn in range(scale.rounds):
        for position in range(len(peers)):
            peer = peers[(position + turn) % len(peers)]
            place = work / f"{time.monotonic_ns()}"
            for name, figures in run_peer(peer, cases, place, prepare).items():
                samples[name].setdefault(peer.name, []).append(figures)
                print(f"  round {turn + 1} {peer.name:18} {name:36} {summarise(figures)}", flush=True)
    return {name: {peer: take_medians(rounds) for peer, rounds in by_peer.items()} for name, by_peer in samples.items()}


def run_peer(peer: Peer, cases: list[Case], work: Path, prepare: Prepare) -> dict[str, Figures]:
    """All cases on one freshly started server, in a folder of its own.

    Nothing is removed before the end of the whole run: ext4 passes over inodes that were freed within the last
    minutes, one by one, so that removing one server's files would be paid for by the next server that makes some.
    """
    folder, log = work / peer.name, work / f"{peer.name}.log"
    work.mkdir()
    found: dict[str, Figures] = {}
    try:
        ready = prepare(peer, folder)
        with run_server(peer, folder, log) as server:
            if not (folder / BUCKET).is_dir():
                check_figures(run_load(server, ("--op", "bucket")))
            ready(server)
            for case in cases:
                figures = run_load(server, case.arguments)
                if case.name:
                    found[case.name] = figures
    except RuntimeError as error:
        print(f"  {peer.name} left out: {error}", flush=True)
    return found


def summarise(figures: Figures) -> str:
    """One line for whoever watches."""
    if figures.get("errors"):
        return f"{figures['errors']} errors: {figures['first_error']}"
    return (
        f"{figures['rate']}/s {figures['mib_s']} MiB/s p50 {figures['p50_ms']} p99 {figures['p99_ms']} ms, "
        f"{figures['cpu_s_per_1000']} s CPU per 1,000, peak {figures['peak_mib']} MiB"
    )


def take_medians(rounds: list[Figures]) -> Figures:
    """The median of every figure; rounds with errors do not count unless there is no other."""
    good = [figures for figures in rounds if not figures.get("errors")] or rounds
    merged: Figures = {}
    for name, value in good[0].items():
        values = [figures[name] for figures in good if name in figures]
        numbers = [one for one in values if not isinstance(one, str)]
        merged[name] = round(statistics.median(numbers), 4) if numbers else value
    return merged
