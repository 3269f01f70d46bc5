"""Reports as names and values for people."""

from collections.abc import Sequence

from cellsmono.cli.output import format_bytes, format_time
from cellsmono.cli.progress import format_duration
from cellsmono.interfaces.datasource import Format
from cellsmono.interfaces.hashes import HashProblem, RehashReport
from cellsmono.interfaces.index import IndexStats, Unhashed
from cellsmono.interfaces.locks import LockRule
from cellsmono.interfaces.migration import MigrationAction, MigrationPhase, MigrationReport
from cellsmono.interfaces.operations import BlobProblem, BlobReport, CheckReport, DatasourceInfo
from cellsmono.interfaces.snapshots import ExportReport, LoadReport
from cellsmono.interfaces.sync import ResyncReport, SyncStatus
from cellsmono.interfaces.version import Versioning

SHOWN_SKIPPED = 20
_OF_KEPT = (BlobProblem.LEFTOVER, BlobProblem.MISSING, BlobProblem.SIZE)

Fields = list[tuple[str, object]]


def describe_state(info: DatasourceInfo) -> str:
    """What is wrong with a datasource, or what it is busy with; empty for nothing."""
    if info.error:
        return info.error
    details = [info.sync.detail] if info.sync is not None and info.sync.detail else []
    if info.unhashed.files:
        details.append(f"{info.unhashed.files} files to be hashed")
    return "; ".join(details)


def list_object_services(infos: Sequence[DatasourceInfo]) -> list[tuple[str, str]]:
    """Each object service with the datasources whose buckets it serves."""
    return sorted({(info.objects, ", ".join(info.objects_serves)) for info in infos if info.objects})


def describe_datasource(info: DatasourceInfo) -> Fields:
    """Everything about a datasource."""
    config = info.config
    fields: Fields = [
        ("name", config.name),
        ("folder" if config.folder else "bucket", config.place),
        ("state", info.state),
        ("from", "the configuration" if info.origin == "config" else "added at run time"),
        ("objects", _describe_objects(info)),
        ("format", config.format),
        ("durability", config.durability),
        ("anonymous", config.anonymous or "nothing"),
        ("encryption", config.encryption),
    ]
    if config.format == Format.STRUCTURED:
        fields += [("symlinks", config.symlinks), ("markers", config.markers), ("watch", config.watch)]
    if info.error:
        fields.append(("error", info.error))
    if info.total:
        fields.append(("disk", f"{format_bytes(info.free)} free of {format_bytes(info.total)}"))
    if info.stats is not None:
        stats = info.stats
        fields += [
            ("content", f"{stats.folders} folders, {stats.files} files, {format_bytes(stats.bytes)}"),
            ("versions", _describe_versions(stats)),
            ("object lock", _describe_lock(stats.object_lock)),
            ("hashes", _describe_unhashed(info.unhashed)),
            ("index", format_bytes(stats.database_bytes)),
            ("last event", stats.last_sequence),
        ]
    return fields + (_describe_sync(info.sync) if info.sync is not None else [])


def _describe_versions(stats: IndexStats) -> str:
    if stats.versioning is Versioning.OFF:
        return "not kept"
    kept = f"{stats.versions} noncurrent, {format_bytes(stats.version_bytes)}"
    return f"{kept} (suspended)" if stats.versioning is Versioning.SUSPENDED else kept


def _describe_lock(rule: LockRule | None) -> str:
    if rule is None:
        return "off"
    if not rule.mode:
        return "on, without a default retention"
    return f"on, new versions {rule.mode} for {f'{rule.days} days' if rule.days else f'{rule.years} years'}"


def _describe_objects(info: DatasourceInfo) -> str:
    return f"{info.objects}, serves {', '.join(info.objects_serves)}" if info.objects else "none"


def _describe_unhashed(unhashed: Unhashed) -> str:
    return f"lacking for {unhashed.files} files, {format_bytes(unhashed.bytes)}" if unhashed.files else "complete"


def _describe_sync(sync: SyncStatus) -> Fields:
    fields: Fields = [
        ("sync", f"{sync.state} {sync.detail}".strip()),
        ("watcher", sync.watcher or "none"),
        ("reconciled", format_time(sync.last_reconciled)),
        ("pending", sync.pending),
    ]
    fields += [(f"skipped {reason}", count) for reason, count in sorted(sync.skipped.items())]
    if sync.last_error:
        fields.append(("last error", sync.last_error))
    return fields


def describe_check(report: CheckReport) -> Fields:
    """What a check found, beside what the index says of itself."""
    fields = [] if report.differences is None else describe_report(report.differences)
    if report.blobs is not None:
        fields += _describe_blobs(report.blobs)
    return fields if report.kept is None else fields + _describe_kept(report.kept)


def _describe_kept(report: BlobReport) -> Fields:
    fields: Fields = [
        ("old versions", f"{report.blobs} kept, {format_bytes(report.bytes)}"),
        *((f"versions {problem}", report.count(problem)) for problem in _OF_KEPT),
        ("versions too recent", _describe_young(report)),
    ]
    if report.unsure:
        fields.append(("versions not judged", f"{report.unsure}: a datasource is not open, or on its way"))
    if report.removed:
        fields.append(("versions removed", report.removed))
    return fields


def _describe_young(report: BlobReport) -> str:
    """Blobs that a write may be about to name are not judged."""
    return f"{report.young}, written less than an hour ago: a later check judges them" if report.young else "0"


def _describe_blobs(report: BlobReport) -> Fields:
    fields: Fields = [
        ("looked at", f"{report.blobs} blobs, {format_bytes(report.bytes)} in {format_duration(report.seconds)}"),
        *((str(problem), report.count(problem)) for problem in BlobProblem if problem is not BlobProblem.LEFTOVER),
        ("too recent", _describe_young(report)),
    ]
    if report.attached:
        fields.append(("brought back", f"{report.attached} below lost+found/"))
    if report.removed:
        fields.append(("removed", report.removed))
    return fields


def list_findings(report: CheckReport) -> list[str]:
    """One line for each difference that a check names."""
    changes = [] if report.differences is None else list(report.differences.changes)
    reports = [each for each in (report.blobs, report.kept) if each is not None]
    return changes + [
        f"{found.problem}: {found.key}, {format_bytes(found.size)}{f', {found.path}' if found.path else ''}"
        for each in reports
        for found in each.findings
    ]


def describe_report(report: ResyncReport) -> Fields:
    """What a resync found."""
    verb = "would be " if report.dry_run else ""
    fields: Fields = [
        ("looked at", f"{report.folders} folders, {report.entries} entries in {format_duration(report.seconds)}"),
        (f"{verb}created", report.created),
        (f"{verb}updated", report.updated),
        (f"{verb}moved", report.moved),
        (f"{verb}deleted", report.deleted),
        ("skipped", report.skipped_total),
    ]
    fields += [(f"  {entry.reason}", entry.key) for entry in report.skipped[:SHOWN_SKIPPED]]
    if report.skipped_total > SHOWN_SKIPPED:
        fields.append(("  ...", f"{report.skipped_total - SHOWN_SKIPPED} more (--output json shows up to 1,000)"))
    if report.cancelled:
        fields.append(("cancelled", "what was done stays; run it again to go on"))
    return fields


def describe_rehash(report: RehashReport) -> Fields:
    """What a rehash did."""
    return [
        ("read", f"{report.files} files, {format_bytes(report.bytes)} in {format_duration(report.seconds)}"),
        ("hashed", report.hashed),
        ("verified", report.verified),
        *((str(problem), report.counts.get(problem, 0)) for problem in HashProblem),
        ("replaced", report.replaced),
        ("changed", report.changed),
    ]


def describe_load(report: LoadReport) -> Fields:
    """What a load did."""
    header = report.snapshot.header
    fields: Fields = [("loaded", report.snapshot.name)]
    if header is not None:
        fields += [
            ("taken", f"{format_time(header.created)} from {header.datasource}"),
            ("held", f"{header.folders} folders, {header.files} files, {format_bytes(header.bytes)}"),
        ]
    fields.append(("before", report.safety or report.kept or "nothing"))
    fields += [("absent", report.absent_total), ("recognised", report.adopted)]
    return fields + (describe_report(report.differences) if report.differences is not None else [])


def describe_export(report: ExportReport) -> Fields:
    """What an export wrote."""
    taken = report.snapshot
    return [
        ("exported", f"{taken.datasource} as of {format_time(taken.created)}"),
        ("into", report.target),
        ("written", f"{report.folders} folders, {report.files} files, {format_bytes(report.bytes)}"),
        ("older versions", f"{report.versions} written, {report.versions_left} left out"),
        ("missing", report.missing_total),
        ("differing", report.differing_total),
        ("renamed", report.renamed_total),
    ]


def describe_migration(report: MigrationReport) -> Fields:
    """What a migration did or would do."""
    fields: Fields = [
        ("from", report.source),
        ("to", f"{report.target} ({report.format})"),
        ("holds", f"{report.folders} folders, {report.files} files, {format_bytes(report.bytes)}"),
    ]
    if report.versions:
        fields.append(("older versions", f"{report.versions}, {format_bytes(report.version_bytes)}"))
    if report.action in (MigrationAction.PLAN, MigrationAction.RUN):
        fields.append(("there", f"{report.done_files} files, {format_bytes(report.done_bytes)}"))
        if report.free is not None:
            fields.append(("room there", f"{format_bytes(report.free)} free"))
        fields.append(("in the way", report.problems_total))
        if report.snapshots:
            fields.append(("snapshots", f"{report.snapshots} that go along"))
    if report.skipped and report.action in (MigrationAction.PLAN, MigrationAction.RUN):
        fields.append(("not served", f"{report.skipped} entries of the source stay where they are"))
    if report.action in (MigrationAction.FINISH, MigrationAction.ABORT) or report.removed:
        fields += [("removed", report.removed), ("left", report.left_total)]
    return fields


def tell_next_step(report: MigrationReport) -> str:
    """What is so now, and what to do next, in a sentence."""
    name, again = report.datasource, f"`cellsmono ds migrate {report.datasource}`"
    if report.action is MigrationAction.ABORT:
        return f"{name!r} stays at {report.source}"
    if report.problems_total and report.phase is None:
        return "Nothing was begun. Mend what is in the way, then give the same command again"
    if report.problems_total:
        return f"Nothing was switched. Mend what is in the way; then {again} goes on, with --abort it is given up"
    if report.action is MigrationAction.FINISH or (report.action is MigrationAction.RUN and report.phase is None):
        return f"{name!r} is at {report.target}; what was left in {report.source} was not part of it"
    if report.phase is MigrationPhase.SWITCHED:
        return f"{name!r} is at {report.target} now. {again[:-1]} --finish` removes what is in {report.source}"
    return "Nothing was changed. The same without --dry-run does it"
