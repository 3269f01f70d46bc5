"""What a ``SealedStore`` stands on."""

from typing import Protocol

from cellsmono.interfaces.objects import FolderScanner, Multipart, ObjectStore
from cellsmono.interfaces.snapshots import SnapshotPlace


class Below(ObjectStore, FolderScanner, Multipart, Protocol):
    """An object service with everything that blobs need."""

    def snapshots(self, bucket: str) -> SnapshotPlace:
        """Where the snapshots of a bucket lie."""

    def forget_bucket(self, bucket: str) -> None:
        """Serve a bucket no longer."""
