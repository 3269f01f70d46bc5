"""Measure cellsmono beside the peers that are found, and write bench/RESULTS.md.

    python bench/run.py [--quick] [--only small,large] [--peers cellsmono,minio] [--work FOLDER]

Sections that are run replace their figures in bench/results.json; RESULTS.md is written from all that is there.
Peers are looked for on PATH and in the folders named by BENCH_PATH. The work folder must be on a real disk.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import run_process
from peers import Peer, find_peers
from run_cases import FULL, QUICK, Results, Scale, large_cases, list_cases, prepare_keys, run_section, small_cases
from run_report import render

HERE = Path(__file__).parent
STORE = HERE / "results.json"
REPORT = HERE / "RESULTS.md"

Section = Callable[[list[Peer], Scale, Path], Results]


def run_small(peers: list[Peer], scale: Scale, work: Path) -> Results:
    """4 KiB objects."""
    return run_section(peers, small_cases(scale), scale, work)


def run_large(peers: list[Peer], scale: Scale, work: Path) -> Results:
    """1 MiB and more."""
    return run_section(peers, large_cases(scale), scale, work)


def run_list_flat(peers: list[Peer], scale: Scale, work: Path) -> Results:
    """All keys in one folder."""
    keys = prepare_keys(scale.keys, is_tree=False)
    return run_section(peers, list_cases(scale, is_tree=False), scale, work, keys)


def run_list_tree(peers: list[Peer], scale: Scale, work: Path) -> Results:
    """All keys in nested folders."""
    keys = prepare_keys(scale.keys, is_tree=True)
    return run_section(peers, list_cases(scale, is_tree=True), scale, work, keys)


SECTIONS: dict[str, Section] = {
    "small": run_small,
    "large": run_large,
    "flat": run_list_flat,
    "tree": run_list_tree,
    "follow": run_process.run_follow,
    "process": run_process.run_process,
    "million": run_process.run_million,
}


def describe_machine(work: Path) -> dict[str, str]:
    """The machine in general words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    inside = [fields for fields in mounts if work.resolve().is_relative_to(fields[1])]
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"Linux {platform.release().split('-')[0]}",
        "file system": max(inside, key=lambda fields: len(fields[1]))[2],
        "Python": platform.python_version(),
    }


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round, to see that everything runs")
    parser.add_argument("--rounds", type=int, help="rounds of every section")
    parser.add_argument("--only", default="", help=f"sections, separated by commas, of: {', '.join(SECTIONS)}")
    parser.add_argument("--peers", default="", help="names, separated by commas; all that are found otherwise")
    parser.add_argument("--work", type=Path, help="folder for the data; a temporary one otherwise")
    parser.add_argument("--no-write", action="store_true", help="print only; leave results.json and RESULTS.md alone")
    return parser.parse_args(argv)


def choose_peers(names: str) -> list[Peer]:
    """The peers that are wanted and there."""
    wanted = set(filter(None, names.split(",")))
    found = [peer for peer in find_peers() if not wanted or peer.name in wanted]
    missing = wanted - {peer.name for peer in found}
    if missing:
        raise SystemExit(f"not found: {', '.join(sorted(missing))}; set BENCH_PATH to the folders that hold them")
    return found


def choose_sections(names: str) -> list[str]:
    """The sections that are wanted, in their order."""
    wanted = set(filter(None, names.split(","))) or set(SECTIONS)
    if unknown := wanted - set(SECTIONS):
        raise SystemExit(f"no such section: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    return [name for name in SECTIONS if name in wanted]


def main() -> int:
    args = parse_arguments(sys.argv[1:])
    scale = QUICK if args.quick else FULL
    if args.rounds:
        scale = Scale(args.rounds, scale.seconds, scale.keys, scale.multipart)
    peers, sections = choose_peers(args.peers), choose_sections(args.only)
    stored = json.loads(STORE.read_text()) if STORE.exists() else {"sections": {}}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=args.work, ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        stored["machine"] = describe_machine(work)
        stored.setdefault("peers", {}).update({peer.name: [peer.read_version(), peer.note] for peer in peers})
        for name in sections:
            print(f"{name}: {', '.join(peer.name for peer in peers)}", flush=True)
            before = os.getloadavg()[0]
            results = SECTIONS[name](peers, scale, work)
            stored["sections"].setdefault(name, {"results": {}})
            stored["sections"][name] = {
                "results": merge(stored["sections"][name]["results"], results),
                "date": time.strftime("%Y-%m-%d", time.gmtime()),
                "rounds": scale.rounds,
                "is_quick": args.quick,
                "load_before": round(before, 1),
            }
            if not args.no_write:
                STORE.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
                REPORT.write_text(render(stored))
    return 0


def merge(old: Results, new: Results) -> Results:
    """New figures beside those of servers that were not run this time."""
    return {case: {**old.get(case, {}), **new.get(case, {})} for case in {**old, **new}}


if __name__ == "__main__":
    sys.exit(main())
