"""Reports as names and values for people."""

from cellsmono.cli.output import format_bytes, format_time
from cellsmono.cli.progress import format_duration
from cellsmono.interfaces.operations import DatasourceInfo
from cellsmono.interfaces.sync import ResyncReport, SyncStatus

SHOWN_SKIPPED = 20

Fields = list[tuple[str, object]]


def describe_datasource(info: DatasourceInfo) -> Fields:
    """Everything about a datasource."""
    config = info.config
    fields: Fields = [
        ("name", config.name),
        ("folder" if config.folder else "bucket", config.place),
        ("state", info.state),
        ("from", "the configuration" if info.origin == "config" else "added at run time"),
        ("objects", info.objects or "none"),
        ("format", config.format),
        ("durability", config.durability),
        ("symlinks", config.symlinks),
        ("watch", config.watch),
        ("anonymous", config.anonymous or "nothing"),
    ]
    if info.error:
        fields.append(("error", info.error))
    if info.total:
        fields.append(("disk", f"{format_bytes(info.free)} free of {format_bytes(info.total)}"))
    if info.stats is not None:
        stats = info.stats
        fields += [
            ("content", f"{stats.folders} folders, {stats.files} files, {format_bytes(stats.bytes)}"),
            ("index", format_bytes(stats.database_bytes)),
            ("last event", stats.last_sequence),
        ]
    return fields + (_describe_sync(info.sync) if info.sync is not None else [])


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
