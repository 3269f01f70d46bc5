"""The object service over buckets of an S3-compatible server."""

import secrets
from collections.abc import AsyncIterable, Callable, Sequence
from typing import Any

from cellsmono.datasource.objects.names import (
    not_found,
    refuse_folder_key,
    refuse_move_into_itself,
    split_read,
    split_written,
)
from cellsmono.datasource.objects.s3.copying import Version, copy_version, find_version
from cellsmono.datasource.objects.s3.facts import make_facts
from cellsmono.datasource.objects.s3.failures import code_of
from cellsmono.datasource.objects.s3.folders import marker_key
from cellsmono.datasource.objects.s3.metadata import read_facts, read_metadata, write_metadata
from cellsmono.datasource.objects.s3.moves import move_folder, move_object
from cellsmono.datasource.objects.s3.place import FOLDER_FACTS, Place
from cellsmono.datasource.objects.s3.reader import S3Reader, open_reader
from cellsmono.datasource.objects.s3.requests import ask, ask_many, delete_keys, find_head, has_any, head, list_pages
from cellsmono.datasource.objects.s3.scanner import S3Scanner, is_readable
from cellsmono.datasource.objects.s3.service import Held, Join, Temporary
from cellsmono.datasource.objects.s3.snapshots import PREFIX as SNAPSHOTS
from cellsmono.datasource.objects.s3.snapshots import S3Snapshots
from cellsmono.datasource.objects.s3.spool import Spool
from cellsmono.datasource.objects.s3.staging import Intake, OpenUpload
from cellsmono.datasource.objects.s3.uploads import TEMPORARY, S3Uploads
from cellsmono.datasource.objects.workers import see_through
from cellsmono.interfaces.node import Facts, NodeAttributes
from cellsmono.interfaces.objects import (
    Capabilities,
    Committed,
    FolderMade,
    Hasher,
    ObjectInfo,
    Staged,
    Target,
)
from cellsmono.interfaces.snapshots import snapshots_inside
from cellsmono.kernel.errors import AlreadyExists, CellsError, Conflict, NotFound, Unavailable
from cellsmono.kernel.tasks import create_task


class S3Store(S3Uploads, S3Scanner):
    """ObjectStore, FolderScanner and Multipart over the buckets of one endpoint and key pair."""

    def capabilities(self, bucket: str) -> Capabilities:
        """No folders with times, no renames, no descriptors; versions are told apart by their ETags."""
        place = self.place(bucket)
        return Capabilities(
            rename_prefix=False, attributes=True, writable=not place.read_only, local=False, full_times=True
        )

    def check_key(self, bucket: str, key: str) -> None:
        """Raise what writing this key would raise for its form alone."""
        place = self.place(bucket)
        split_written(key)
        place.check_length(key)

    def snapshots(self, bucket: str) -> S3Snapshots:
        """Where the snapshots of a bucket lie. Raises NotFound for a bucket that is not served."""
        return S3Snapshots(self.connection, self.courier, self.place(bucket))

    async def stat(self, bucket: str, key: str) -> ObjectInfo:
        """Facts of an object or folder now."""
        place = self.place(bucket)
        split_read(key)
        if not key or key.endswith("/"):
            if not await self.folders.exists(place, key):
                raise not_found(key)
            return ObjectInfo(key, FOLDER_FACTS)
        answer = await find_head(self.connection, place, key)
        return ObjectInfo(key, read_facts(answer, answer["ContentLength"]))

    async def open(self, bucket: str, key: str) -> S3Reader:
        """Open an object for reading."""
        place = self.place(bucket)
        split_read(key)
        if not key or key.endswith("/") or place.is_too_long(key):
            raise not_found(key)
        return await open_reader(self.connection, place, key)

    async def stage(
        self,
        bucket: str,
        body: AsyncIterable[bytes],
        hashers: Sequence[Hasher] = (),
        size: int | None = None,
        target: Target | None = None,
    ) -> Staged:
        """Take a body in: a short one stays here, a long one goes to its key as an upload that is not completed."""
        place = self.writable(bucket)
        if target is None:
            intake = Intake(self.courier, place, TEMPORARY + secrets.token_hex(12), 0, {}, size)
        else:
            mtime_ns = self.clock.time_ns() if target.mtime_ns is None else target.mtime_ns
            options = write_metadata(mtime_ns, NodeAttributes(size or 0, mtime_ns, "", target.meta, target.path))
            intake = Intake(self.courier, place, target.key, mtime_ns, options, size)
        held: Held = await intake.run(body, hashers)
        if target is None and isinstance(held, OpenUpload):
            etag = await held.complete()
            held = Temporary(Version(place, held.key, etag, intake.size))
        key = held.key if isinstance(held, OpenUpload) else ""
        return self.keep(bucket, held, intake.size, key, is_free=target is not None and target.is_free)

    async def stage_copy(self, bucket: str, source_bucket: str, source: str) -> tuple[Staged, ObjectInfo]:
        """Note which version is to be copied; the commit copies it to its key."""
        self.writable(bucket)
        if source.endswith("/") or not is_readable(source):
            raise not_found(source)
        version, answer = await find_version(self.connection, self.place(source_bucket), source)
        return self.keep(bucket, version, version.size), ObjectInfo(source, read_facts(answer, version.size))

    async def commit(
        self,
        staged: Staged,
        key: str,
        *,
        mtime_ns: int | None = None,
        attributes: Callable[[Facts], NodeAttributes] | None = None,
    ) -> Committed:
        """Make staged bytes visible."""
        held, is_free = self.take(staged)
        if held is None:
            raise NotFound("These staged bytes were committed or discarded before.", reason="staged")
        try:
            place = await self.settled(staged.bucket)
            refuse_folder_key(key)
            self.check_key(staged.bucket, key)
            made = await self.folders.make_way(place, key, is_free=is_free)
            if mtime_ns is None:
                begun = held.upload if isinstance(held, Join) and held.is_native else None
                mtime_ns = self.clock.time_ns() if begun is None else begun.initiated_ns
            publishing = self._publish(place, held, key, staged.size, mtime_ns, attributes)
            # A request that was sent can not be called back: whoever gives up waits until it is known what came of it.
            facts = await see_through(create_task(publishing, f"{self.name}:publish"))
        except BaseException:
            await self.drop(held)
            raise
        if not isinstance(held, OpenUpload):
            await self.drop(held)
        return Committed(ObjectInfo(key, facts), made)

    async def _publish(
        self,
        place: Place,
        held: Held,
        key: str,
        size: int,
        mtime_ns: int,
        attributes: Callable[[Facts], NodeAttributes] | None,
    ) -> Facts:
        if isinstance(held, OpenUpload):
            return make_facts(size, await held.complete(), held.mtime_ns)
        # The ETag is the server's, so what is mirrored can only be asked for with size and time.
        mirrored = None if attributes is None else attributes(Facts(size, mtime_ns))
        options = write_metadata(mtime_ns, mirrored)
        if isinstance(held, Spool):
            etag = await self.courier.put(place, key, held, options)
        elif isinstance(held, Join):
            etag = await self.join(place, held, key, options)
        else:
            version = held.version if isinstance(held, Temporary) else held
            if not isinstance(version, Version):
                raise TypeError(held)
            etag = await copy_version(self.connection, version, place, key, options)
        return make_facts(size, etag, mtime_ns)

    async def drop(self, held: Held) -> None:
        """Throw away what was staged."""
        if isinstance(held, Spool):
            held.close()
        elif isinstance(held, OpenUpload):
            await held.abort()
        elif isinstance(held, Temporary):
            await self._remove_quietly(held.version.place, held.version.key)

    async def discard(self, staged: Staged) -> None:
        """Throw staged bytes away."""
        held, _ = self.take(staged)
        if held is not None:
            await self.drop(held)

    async def make_folder(self, bucket: str, key: str) -> tuple[FolderMade, ...]:
        """Make a folder and its missing parents."""
        place = await self.settled(bucket)
        split_written(key)
        place.check_length(marker_key(place, key))
        folder = key if key.endswith("/") else key + "/"
        return await self.folders.make_above(place, folder + "x")

    async def delete(self, bucket: str, key: str) -> bool:
        """Remove one object."""
        place = await self.settled(bucket)
        if not key or key.endswith("/") or not is_readable(key):
            return False
        try:
            await find_head(self.connection, place, key)
        except NotFound:
            return False
        await ask(self.connection, "delete_object", key, **place.at(key))
        return True

    async def delete_many(self, bucket: str, keys: Sequence[str]) -> list[bool | Exception]:
        """Remove many objects; True also where none was, since the server does not tell."""
        place = await self.settled(bucket)
        results: list[bool | Exception] = [False] * len(keys)
        wanted = []
        for position, key in enumerate(keys):
            try:
                split_written(key)
                if not key.endswith("/"):
                    wanted.append(key)
                    results[position] = True
            except CellsError as error:
                results[position] = error
        failed = await delete_keys(self.connection, place, wanted)
        for position, key in enumerate(keys):
            if key in failed:
                results[position] = Unavailable(
                    f"The S3 server does not delete '{key}' ({failed[key]}).", reason="io", path=key
                )
        return results

    async def set_mtime(self, bucket: str, key: str, mtime_ns: int) -> ObjectInfo:
        """Change an object's time of modification, by a copy onto itself."""
        place = await self.settled(bucket)
        if not is_readable(key) or key.endswith("/"):
            raise not_found(key)
        version, answer = await find_version(self.connection, place, key)
        etag = await copy_version(self.connection, version, place, key, write_metadata(mtime_ns, read_metadata(answer)))
        return ObjectInfo(key, make_facts(version.size, etag, mtime_ns))

    async def remove_folder(self, bucket: str, key: str) -> bool:
        """Remove a folder that holds nothing but its marker."""
        place = await self.settled(bucket)
        if not key.endswith("/") or not is_readable(key):
            return False
        ours = {key, place.marker(key)}
        async for page in list_pages(self.connection, place, key, limit=len(ours) + 1):
            found = {found for found, _ in page.objects}
            if not found or found - ours:
                return False
            self.folders.lose(place, key)
            await delete_keys(self.connection, place, sorted(found))
            return True
        return False

    async def move(self, bucket: str, source: str, target: str) -> Committed:
        """Move an object or a folder: copy everything, then delete the sources."""
        place = await self.settled(bucket)
        is_folder = source.endswith("/")
        if is_folder and not target.endswith("/"):
            target += "/"
        if not source:
            raise Conflict("The root of a bucket can not be moved.", reason="root")
        split_read(source)
        self.check_key(bucket, target)
        if is_folder and not await self.folders.exists(place, source):
            raise not_found(source)
        info = ObjectInfo(source, FOLDER_FACTS) if is_folder else await self.stat(bucket, source)
        if source == target:
            return Committed(info)
        refuse_move_into_itself(source, target)
        if not is_folder:
            refuse_folder_key(target)
        if place.has_folders:
            await self._refuse_target(place, target)
        made = await self.folders.make_above(place, target.rstrip("/"))
        if is_folder:
            await move_folder(self.connection, place, source, target)
            self.folders.lose(place, source)
            return Committed(ObjectInfo(target, FOLDER_FACTS), made)
        facts = await move_object(self.connection, place, source, target)
        return Committed(ObjectInfo(target, facts), made)

    async def _refuse_target(self, place: Place, target: str) -> None:
        """Raise Conflict for what must not be at the target of a move."""
        bare = target.rstrip("/")
        if await self.folders.exists(place, bare + "/"):
            reason = "exists" if target.endswith("/") else "is_folder"
            raise Conflict(f"There is a folder at '{target}' already.", reason=reason, path=target)
        if target.endswith("/") and await head(self.connection, place, bare) is not None:
            raise Conflict(f"There is an object at '{bare}' already.", reason="parent_is_object", path=target)

    async def set_attributes(self, bucket: str, key: str, attributes: NodeAttributes) -> None:
        """Mirror attributes beside an existing object, by a copy onto itself.

        Not for one that was uploaded in parts: the copy would get another ETag, and would be taken for new content.
        """
        place = await self.settled(bucket)
        if key.endswith("/") or not is_readable(key):
            raise not_found(key)
        version, answer = await find_version(self.connection, place, key)
        if "-" in version.etag:
            return
        mtime_ns = read_facts(answer, version.size).mtime_ns
        await copy_version(self.connection, version, place, key, write_metadata(mtime_ns, attributes))

    async def read_attributes(self, bucket: str, keys: Sequence[str]) -> list[NodeAttributes | None]:
        """What is mirrored beside these objects: one request for each."""
        place = self.place(bucket)

        async def read(key: str) -> NodeAttributes | None:
            answer = await head(self.connection, place, key) if is_readable(key) else None
            return None if answer is None else read_metadata(answer)

        return await ask_many(read, keys)

    async def create_bucket(self, bucket: str) -> None:
        """Make a bucket of that name on the server and serve it."""
        if bucket in self._places:
            raise AlreadyExists(f"The bucket '{bucket}' is there already.", reason="bucket")
        arguments: dict[str, Any] = {"Bucket": bucket}
        if self.endpoint.region != "us-east-1":
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": self.endpoint.region}
        await ask(self.connection, "create_bucket", **arguments)
        self.add_bucket(Place(bucket, bucket))

    async def remove_bucket(self, bucket: str) -> None:
        """Remove a bucket that is empty but for markers, and serve it no longer."""
        place = self.writable(bucket)
        async for page in list_pages(self.connection, place, ""):
            keys = [key for key, _ in page.objects]
            if any(is_readable(key) for key in keys):
                raise Conflict(f"The bucket '{bucket}' is not empty.", reason="not_empty")
            if any(key.startswith(SNAPSHOTS) for key in keys):
                raise snapshots_inside(bucket)
            await delete_keys(self.connection, place, keys)
        if not place.prefix:
            await ask(self.connection, "delete_bucket", Bucket=place.bucket)
        self.forget_bucket(bucket)

    async def has_bucket(self, bucket: str) -> bool:
        """Whether the bucket is served and is on the server. Raises what keeps the server from telling."""
        place = self._places.get(bucket)
        if place is None:
            return False
        try:
            await has_any(self.connection, place, "")
        except Unavailable as error:
            if code_of(error.__cause__) == "NoSuchBucket":
                return False
            raise
        return True

    async def used_space(self, bucket: str) -> tuple[int, int]:
        """Not to be told: (0, 0)."""
        self.place(bucket)
        return 0, 0
