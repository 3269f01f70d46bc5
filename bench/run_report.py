"""RESULTS.md from the figures: tables with ratios, and the targets beside what was reached."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from run_cases import Figures, Results

TITLES = {
    "small": "Small objects",
    "large": "Large objects",
    "flat": "Listing, all keys in one folder",
    "tree": "Listing, keys in nested folders",
    "follow": "Following the disk",
    "process": "The process",
    "million": "A million files",
}
REMARKS = Path(__file__).with_name("remarks.md")


def render(stored: Mapping[str, Any]) -> str:
    """The whole report."""
    parts = ["# What was measured", "", *_describe(stored), ""]
    sections = stored["sections"]
    merged: Results = {}
    for section in sections.values():
        merged.update(section["results"])
    parts += ["## Targets", "", *_list_targets(merged), ""]
    if REMARKS.exists():
        parts += [REMARKS.read_text().strip(), ""]
    for name, title in TITLES.items():
        if name in sections:
            parts += [f"## {title}", "", *_describe_section(sections[name]), ""]
    return "\n".join(parts)


def _describe(stored: Mapping[str, Any]) -> list[str]:
    machine = ", ".join(f"{name}: {value}" for name, value in stored["machine"].items())
    lines = [
        f"Machine: {machine}; a shared virtual machine, so compare figures of one run with each other only.",
        "",
        "The load generator is a process of its own; its requests are signed before the clock runs, each with a",
        "signature of its own. Every server starts on an empty folder of the same disk and is measured in turn,",
        "rounds interleaved; figures are medians of the rounds. CPU is user and system time of the server's whole",
        "process tree. `python bench/run.py` measures again; `bench/README.md` says how.",
        "",
        "| Server | Version | |",
        "|---|---|---|",
    ]
    return lines + [f"| {name} | {version} | {note} |" for name, (version, note) in stored["peers"].items()]


def _describe_section(section: Mapping[str, Any]) -> list[str]:
    how = "one short round" if section["is_quick"] else f"{section['rounds']} rounds"
    lines = [f"{section['date']}, {how}; load average before: {section['load_before']}.", ""]
    results: Results = section["results"]
    for case, by_server in results.items():
        if all("rate" in figures or figures.get("errors") for figures in by_server.values()):
            lines += _tabulate(case, by_server)
        else:
            lines += _list_values(case, by_server)
    return lines


def _list_values(case: str, by_server: Mapping[str, Figures]) -> list[str]:
    lines = [f"**{case}**", "", "| | |", "|---|---:|"]
    for server, figures in by_server.items():
        lines += [f"| {server}: {name} | {_show(value)} |" for name, value in figures.items()]
    return [*lines, ""]


def _tabulate(case: str, by_server: Mapping[str, Figures]) -> list[str]:
    ours = by_server.get("cellsmono", {}).get("rate")
    lines = [
        f"**{case}**",
        "",
        "| Server | per s | ours / theirs | MiB/s | p50 ms | p99 ms | CPU s per 1,000 | peak MiB | |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for server, figures in sorted(by_server.items(), key=lambda item: -_number(item[1], "rate")):
        rate = _number(figures, "rate")
        ratio = f"{float(ours) / rate:.2f}" if ours and rate and server != "cellsmono" else ""
        columns = [_show(figures.get(name, "")) for name in ("mib_s", "p50_ms", "p99_ms", "cpu_s_per_1000", "peak_mib")]
        error = f"{figures['errors']:.0f} errors: {figures['first_error']}"[:80] if figures.get("errors") else ""
        lines.append(f"| {server} | {_show(rate)} | {ratio} | {' | '.join(columns)} | {error} |")
    return [*lines, ""]


def _show(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _number(figures: Figures, name: str) -> float:
    value = figures.get(name, 0.0)
    return 0.0 if isinstance(value, str) else float(value)


@dataclass(frozen=True)
class Goal:
    """A target: what is compared, the figure that counts, and whether it is reached."""

    text: str
    measure: Callable[[Results], float | None]
    limit: float
    is_ceiling: bool


def _figure(results: Results, case: str, name: str, server: str = "cellsmono") -> float | None:
    figures = next((by for key, by in results.items() if key.startswith(case)), {}).get(server, {})
    value = figures.get(name)
    return None if value is None or isinstance(value, str) or figures.get("errors") else float(value)


def cost(case: str, name: str = "cpu_s_per_1000", factor: float = 1.0) -> Callable[[Results], float | None]:
    """A figure of ours."""

    def measure(results: Results) -> float | None:
        value = _figure(results, case, name)
        return None if value is None else value * factor

    return measure


def against(case: str, *others: str, ours: str = "cellsmono", name: str = "rate") -> Callable[[Results], float | None]:
    """Our figure over that of the best of the others (for times: theirs over ours). None when one is missing."""

    def measure(results: Results) -> float | None:
        own = _figure(results, case, name, ours)
        theirs = [value for other in others if (value := _figure(results, case, name, other))]
        if not own or not theirs:
            return None
        return own / max(theirs) if name in {"rate", "mib_s"} else min(theirs) / own

    return measure


ALL = ("minio", "versitygw", "rclone", "s3s-fs", "moto")
ON_DISK = ALL[:-1]
_GET, _HEAD, _PUT = "GET 4 KiB, 8", "HEAD, 8", "PUT 4 KiB, 8"
GOALS = (
    Goal("GET 4 KiB, 8 connections: server CPU, ms", cost(_GET), 0.20, True),
    Goal("HEAD: server CPU, ms", cost(_HEAD), 0.20, True),
    Goal("GET 4 KiB: rate over MinIO's", against(_GET, "minio"), 2, False),
    Goal("GET 4 KiB: rate over versitygw's", against(_GET, "versitygw"), 2, False),
    Goal("GET 4 KiB: rate over rclone's", against(_GET, "rclone"), 1, False),
    Goal("HEAD: rate over MinIO's", against(_HEAD, "minio"), 2, False),
    Goal("HEAD: rate over versitygw's", against(_HEAD, "versitygw"), 2, False),
    Goal("HEAD: rate over rclone's", against(_HEAD, "rclone"), 1, False),
    Goal("PUT 4 KiB, fsync: rate over MinIO's", against(_PUT, "minio"), 2, False),
    Goal("PUT 4 KiB, relaxed: rate over versitygw's", against(_PUT, "versitygw", ours="cellsmono-relaxed"), 1, False),
    Goal("PUT 4 KiB, relaxed: rate over rclone's", against(_PUT, "rclone", ours="cellsmono-relaxed"), 1.5, False),
    Goal("GET 1 MiB: rate over versitygw's", against("GET 1 MiB", "versitygw"), 1, False),
    Goal("GET 64 MiB: rate over versitygw's", against("GET 64 MiB", "versitygw"), 1, False),
    Goal(
        "PUT 1 MiB: rate over the better of MinIO and versitygw", against("PUT 1 MiB", "minio", "versitygw"), 1, False
    ),
    Goal("PUT 64 MiB: rate over the better of the two", against("PUT 64 MiB", "minio", "versitygw"), 1, False),
    Goal("multipart: rate over the better of the two", against("multipart", "minio", "versitygw"), 1, False),
    Goal("small GETs while large PUTs run: p99, ms", cost("GET 4 KiB during", "p99_ms"), 50, True),
    Goal("whole listing, flat: rate over the best", against("whole listing, flat", *ON_DISK), 3, False),
    Goal("whole listing, tree: rate over the best", against("whole listing, tree", *ON_DISK), 3, False),
    Goal(
        "first page, flat: times faster than the best", against("first page, flat", *ON_DISK, name="p50_ms"), 10, False
    ),
    Goal(
        "first page, tree: times faster than the best", against("first page, tree", *ON_DISK, name="p50_ms"), 10, False
    ),
    Goal("multi-delete: rate over MinIO's", against("multi-delete, flat", "minio"), 2, False),
    Goal("page of 1,000 at a million nodes: server CPU, ms", cost("first page, million"), 8, True),
    Goal("deep page at a million nodes: server CPU, ms", cost("deep page, million"), 8, True),
    Goal("change on the disk visible by S3, p95, s", cost("change on the disk", "p95_s"), 1, True),
    Goal("overflow of the watcher: converged after, s", cost("overflow", "converged_s"), 10, True),
    Goal("first import: times find", cost("import and resync", "import_over_find"), 6, True),
    Goal("quick resync: share of find", cost("import and resync", "quick_over_find"), 0.2, True),
    Goal("complete resync: times find", cost("import and resync", "full_over_find"), 2, True),
    Goal("memory during import and resync, MiB", cost("import and resync", "peak_mib"), 200, True),
    Goal("ready with a million nodes, s", cost("start with a million", "ready_s"), 1.5, True),
    Goal("idle memory with a million nodes, MiB", cost("start with a million", "idle_rss_mib"), 100, True),
    Goal("16 transfers of 1 GiB at once: memory added, MiB", cost("16 transfers", "added_mib"), 64, True),
    Goal("`cellsmono --help`: times the bare interpreter", cost("--help", "times_bare"), 3, True),
)


def _list_targets(results: Results) -> list[str]:
    lines = ["| | Target | Measured | |", "|---|---:|---:|---|"]
    for goal in GOALS:
        value = goal.measure(results)
        limit = f"{'≤' if goal.is_ceiling else '≥'} {goal.limit:g}"
        if value is None:
            lines.append(f"| {goal.text} | {limit} | | not measured |")
            continue
        is_met = value <= goal.limit if goal.is_ceiling else value >= goal.limit
        missed = "" if is_met else f"**missed by {abs(value / goal.limit - 1):.0%}**"
        lines.append(f"| {goal.text} | {limit} | {value:.3g} | {missed or 'met'} |")
    return lines
