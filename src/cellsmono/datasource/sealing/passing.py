"""The half of a ``SealedStore`` that content does not pass through: everything is asked of the store below."""

from collections.abc import Sequence

from cellsmono.datasource.sealing.below import Below
from cellsmono.interfaces.objects import Capabilities, FolderMade, Holder, Staged
from cellsmono.interfaces.snapshots import SnapshotPlace


class Passing:
    """Calls that are the same for sealed and plain objects."""

    def __init__(self, below: Below) -> None:
        self.below = below
        self.name = below.name

    def capabilities(self, bucket: str) -> Capabilities:
        """What this bucket can do."""
        return self.below.capabilities(bucket)

    def check_key(self, bucket: str, key: str) -> None:
        """Raise what writing this key would raise for its form alone."""
        self.below.check_key(bucket, key)

    async def hold_bucket(self, bucket: str) -> None:
        """See ``Holder``; nothing where the store below can not."""
        if isinstance(self.below, Holder):
            await self.below.hold_bucket(bucket)

    def describe_loss(self, bucket: str) -> str:
        """See ``Holder``."""
        return self.below.describe_loss(bucket) if isinstance(self.below, Holder) else ""

    def forget_bucket(self, bucket: str) -> None:
        """Serve a bucket no longer."""
        self.below.forget_bucket(bucket)

    def snapshots(self, bucket: str) -> SnapshotPlace:
        """Where the snapshots of a bucket lie."""
        return self.below.snapshots(bucket)

    async def discard(self, staged: Staged) -> None:
        """Throw staged bytes away."""
        await self.below.discard(staged)

    async def make_folder(self, bucket: str, key: str) -> tuple[FolderMade, ...]:
        """Make a folder and its missing parents."""
        return await self.below.make_folder(bucket, key)

    async def delete(self, bucket: str, key: str) -> bool:
        """Remove one object."""
        return await self.below.delete(bucket, key)

    async def delete_many(self, bucket: str, keys: Sequence[str]) -> list[bool | Exception]:
        """Remove many objects."""
        return await self.below.delete_many(bucket, keys)

    async def remove_folder(self, bucket: str, key: str) -> bool:
        """Remove a folder that holds nothing but its marker."""
        return await self.below.remove_folder(bucket, key)

    async def create_bucket(self, bucket: str) -> None:
        """Make an empty bucket."""
        await self.below.create_bucket(bucket)

    async def remove_bucket(self, bucket: str) -> None:
        """Remove a bucket that is empty."""
        await self.below.remove_bucket(bucket)

    async def has_bucket(self, bucket: str) -> bool:
        """Whether the bucket is there."""
        return await self.below.has_bucket(bucket)

    async def used_space(self, bucket: str) -> tuple[int, int]:
        """Free and total bytes."""
        return await self.below.used_space(bucket)

    async def close(self) -> None:
        """Close the store below."""
        await self.below.close()

    async def stat_folders(self, bucket: str, folders: Sequence[str]) -> list[tuple[int, int] | None]:
        """Times of these folders."""
        return await self.below.stat_folders(bucket, folders)

    async def read_marker(self, bucket: str, folder: str) -> str:
        """The UUID in the folder's marker."""
        return await self.below.read_marker(bucket, folder)

    async def write_markers(self, bucket: str, markers: Sequence[tuple[str, str]]) -> list[tuple[int, int] | None]:
        """Write markers."""
        return await self.below.write_markers(bucket, markers)

    def key_of(self, bucket: str, path: bytes) -> str | None:
        """The key of an absolute path."""
        return self.below.key_of(bucket, path)

    def root(self, bucket: str) -> str:
        """The absolute path of a bucket's folder."""
        return self.below.root(bucket)

    async def finish_upload(self, bucket: str, upload_id: str) -> None:
        """Forget an upload and its parts."""
        await self.below.finish_upload(bucket, upload_id)

    async def remove_stale_uploads(self, older_than_ns: int) -> int:
        """Abort old uploads."""
        return await self.below.remove_stale_uploads(older_than_ns)
