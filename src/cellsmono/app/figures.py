"""Figures about datasources for the metrics page: what the services know, asked for when somebody looks."""

from collections.abc import Iterable

from cellsmono.datasource.build import Datasources
from cellsmono.interfaces.sync import SyncState, SyncStatus
from cellsmono.kernel.metrics import Sample

_MANY = 1000


async def list_figures(datasources: Datasources) -> Iterable[Sample]:
    """Size of each index, state and lag of each synchronizer, uploads in progress."""
    samples = []
    for name in datasources.names():
        triple = datasources.triple(name)
        labels = {"datasource": name}
        stats, unhashed = await triple.store.index.stats(), await triple.store.index.count_unhashed()
        uploads = await triple.store.list_uploads("", "", "", _MANY)
        samples += [
            Sample("index_files", "Files in the index.", stats.files, labels),
            Sample("index_folders", "Folders in the index.", stats.folders, labels),
            Sample("index_bytes", "Bytes of content in the index.", stats.bytes, labels),
            Sample("index_versions", "Noncurrent versions and delete markers.", stats.versions, labels),
            Sample("index_version_bytes", "Bytes of noncurrent versions.", stats.version_bytes, labels),
            Sample("index_unhashed_files", "Files whose content lacks a hash.", unhashed.files, labels),
            Sample("index_unhashed_bytes", "Bytes of content that lacks a hash.", unhashed.bytes, labels),
            Sample("index_database_bytes", "Bytes of the index database.", stats.database_bytes, labels),
            Sample("index_events_total", "Events published by the index.", stats.last_sequence, labels),
            Sample(
                "read_only", "1 while a failed disk forbids writing.", float(bool(triple.store.alarm.reason)), labels
            ),
            Sample("uploads_open", f"Multipart uploads in progress (at most {_MANY}).", len(uploads), labels),
        ]
        if triple.store.sync is not None:
            samples += _sync_figures(triple.store.sync.status(), labels)
    return samples


def _sync_figures(sync: SyncStatus, labels: dict[str, str]) -> list[Sample]:
    return [
        Sample("sync_pending", "Hints of the watcher that wait to be looked at.", sync.pending, labels),
        Sample("sync_lag_seconds", "Age of the oldest hint that waits.", sync.lag, labels),
        Sample("sync_last_reconciled_seconds", "When folders were last compared.", sync.last_reconciled, labels),
        Sample("sync_skipped", "Entries on the storage that are not served.", sum(sync.skipped.values()), labels),
        *(
            Sample(
                "sync_state", "1 for the state that it is in.", float(sync.state is state), labels | {"state": state}
            )
            for state in SyncState
        ),
    ]
