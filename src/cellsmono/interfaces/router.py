"""The router: what every gateway talks to. It resolves a user-visible path and decides what the actor may do."""

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from cellsmono.interfaces.bucket_settings import BucketSettings, Change
from cellsmono.interfaces.datasource import (
    NO_CONDITIONS,
    Conditions,
    ContentDigest,
    CopyOptions,
    OpenNode,
    WriteOptions,
)
from cellsmono.interfaces.index import KeyPage, Usage
from cellsmono.interfaces.locks import LockRule, ObjectLock
from cellsmono.interfaces.node import FolderKind, Node, NodeMeta
from cellsmono.interfaces.objects import Part, PartDigest, Upload
from cellsmono.interfaces.version import Removal, Version, Versioning, VersionPage


class Circumstances(msgspec.Struct, frozen=True):
    """How somebody asks, for bucket policies.

    ``action`` is the request as a whole in S3's words (``s3:GetObjectTagging``), empty where its parts say it well
    enough: reading a node is ``s3:GetObject`` and so on. ``values`` are what conditions may ask for, by key in lower
    case (``aws:sourceip``).

    ``tags`` and ``lock`` are what the request wants to give an object that is there; what new objects get, the router
    knows by itself.
    """

    action: str = ""
    values: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}
    lock: ObjectLock | None = None


NO_CIRCUMSTANCES = Circumstances()


class Actor(msgspec.Struct, frozen=True):
    """Who asks. ``access_key`` is the key that signed the request, empty for an anonymous one.

    A ``user`` has a UUID, and perhaps scopes (``interfaces.tokens``) to which the key is bound. ``system`` is the
    server itself, on behalf of somebody whose rights were looked at.

    ``circumstances`` must be told for whoever is not the owner, and where a bucket with settings is concerned.
    """

    name: str
    kind: Literal["owner", "anonymous", "system", "user"] = "owner"
    access_key: str = ""
    user: str = ""
    scopes: tuple[str, ...] = ()
    circumstances: Circumstances = NO_CIRCUMSTANCES


class Root(msgspec.Struct, frozen=True):
    """A top-level entry that the actor sees: a datasource. ``created`` is seconds since the epoch, UTC."""

    name: str
    created: float


class NodeRouter(Protocol):
    """Nodes by root name and node path, on behalf of an actor.

    Every method raises NotFound (reason ``root``) for a root that is not there and Forbidden where the actor may not.
    Otherwise the contracts are those of ``NodeStore`` and ``NodeIndex``, whose methods these are named after.
    """

    async def list_roots(self, actor: Actor) -> list[Root]:
        """The roots the actor sees, by name."""

    async def read_root(self, actor: Actor, root: str) -> Root:
        """One root."""

    async def create_root(self, actor: Actor, root: str, *, object_lock: bool = False) -> Root:
        """Make a new datasource in the configured bucket root; it survives a restart.

        With ``object_lock`` it keeps versions and can lock them. Raises AlreadyExists, Invalid (reason ``name``),
        Forbidden, Conflict (reason ``versioning``) where new datasources can not do that.
        """

    async def delete_root(self, actor: Actor, root: str) -> None:
        """Remove an empty datasource. Raises Conflict (reason ``not_empty``)."""

    def find_settings(self, root: str) -> BucketSettings | None:
        """What is set for a root, None when nothing is. Never blocks, and asks for no right: it is for what every
        answer must say about them (CORS, expiry).
        """

    def find_anonymous(self, root: str) -> str:
        """What the configuration opens of a root to unsigned requests, unless a public access block takes it away:
        nothing, ``read`` or ``write``. As ``find_settings`` it asks for no right.
        """

    async def read_settings(self, actor: Actor, root: str, action: str) -> BucketSettings:
        """The settings of a root. ``action`` is what reads them in S3's words (``s3:GetBucketCORS``)."""

    async def change_settings(self, actor: Actor, root: str, action: str, change: Change) -> None:
        """Change the settings of a root, as ``BucketSettingsStore.change`` does.

        Raises Invalid for a policy that is none (reason ``policy``), for an ACL where ACLs count for nothing
        (``acl``), for ownership that the present ACL contradicts (``acl_ownership``); Forbidden for what would open a
        root that is kept from becoming public.
        """

    async def is_public(self, actor: Actor, root: str) -> bool:
        """Whether the policy of a root lets in everybody. Raises NotFound (reason ``policy``) when it has none."""

    def is_sealing(self, root: str) -> bool:
        """Whether content is encrypted here that nobody asks to be. As ``find_settings`` it asks for no right."""

    async def check_sealing(self, actor: Actor, root: str) -> None:
        """Raise Invalid (reason ``encryption``) for a root that can not encrypt."""

    def find_versioning(self, root: str) -> Versioning:
        """Whether a root keeps versions; OFF also for one that is not there.

        As ``find_settings`` it asks for no right.
        """

    async def set_versioning(self, actor: Actor, root: str, versioning: Versioning) -> None:
        """See ``NodeStore.set_versioning``."""

    async def list_versions(
        self,
        actor: Actor,
        root: str,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_version: str | None = None,
        limit: int = 1000,
    ) -> VersionPage:
        """See ``NodeIndex.list_versions``."""

    async def read_version(self, actor: Actor, root: str, path: str, version: str) -> Version:
        """See ``NodeStore.read_version``."""

    async def read_latest(self, actor: Actor, root: str, path: str) -> Version | None:
        """The newest version of a key, also when it is a delete marker; None for a key without any."""

    async def open_version(self, actor: Actor, root: str, path: str, version: str) -> OpenNode:
        """See ``NodeStore.open_version``."""

    async def delete_version(
        self, actor: Actor, root: str, path: str, version: str, *, bypass: bool = False
    ) -> Version:
        """See ``NodeStore.delete_version``. ``bypass`` counts for actors that may ``s3:BypassGovernanceRetention``."""

    def find_object_lock(self, root: str) -> LockRule | None:
        """The rule for new versions where object lock is on. As ``find_settings`` it asks for no right."""

    async def read_object_lock(self, actor: Actor, root: str) -> LockRule | None:
        """As ``find_object_lock``, for whoever may read it."""

    async def set_object_lock(self, actor: Actor, root: str, rule: LockRule) -> None:
        """See ``NodeStore.set_object_lock``."""

    async def update_lock(
        self,
        actor: Actor,
        root: str,
        path: str,
        version: str | None,
        change: Callable[[ObjectLock | None, bool], ObjectLock],
        action: str,
        *,
        bypass: bool = False,
    ) -> Node:
        """See ``NodeStore.update_lock``. ``action`` is what that is in S3's words.

        ``change`` is told, too, whether GOVERNANCE may be overruled: the actor wants to (``bypass``), and may.
        """

    async def update_version_meta(
        self, actor: Actor, root: str, path: str, version: str, change: Callable[[NodeMeta], NodeMeta]
    ) -> Node:
        """See ``NodeStore.update_version_meta``."""

    async def check_meta(self, actor: Actor, root: str, path: str, meta: NodeMeta) -> None:
        """Raise what storing a node with this ACL and these tags would raise: Forbidden, Invalid (reason ``acl``)."""

    async def read_node(self, actor: Actor, root: str, path: str) -> Node:
        """See ``NodeStore.read_node``."""

    async def open_node(self, actor: Actor, root: str, path: str) -> OpenNode:
        """See ``NodeStore.open_node``."""

    async def put_node(
        self,
        actor: Actor,
        root: str,
        path: str,
        body: AsyncIterable[bytes],
        digest: ContentDigest,
        options: WriteOptions,
    ) -> Node:
        """See ``NodeStore.put_node``."""

    async def create_folder(
        self, actor: Actor, root: str, path: str, kind: FolderKind, meta: NodeMeta | None = None
    ) -> Node:
        """See ``NodeStore.create_folder``."""

    async def copy_node(
        self, actor: Actor, source_root: str, source: str, root: str, path: str, options: CopyOptions
    ) -> Node:
        """Copy a leaf, also across roots."""

    async def move_node(self, actor: Actor, root: str, source: str, path: str) -> Node:
        """See ``NodeStore.move_node``."""

    async def delete_node(self, actor: Actor, root: str, path: str, conditions: Conditions = NO_CONDITIONS) -> bool:
        """See ``NodeStore.delete_node``."""

    async def remove_node(self, actor: Actor, root: str, path: str, conditions: Conditions = NO_CONDITIONS) -> Removal:
        """See ``NodeStore.remove_node``."""

    async def delete_nodes(self, actor: Actor, root: str, paths: Sequence[str]) -> list[Exception | str | None]:
        """See ``NodeStore.delete_nodes``."""

    async def update_meta(self, actor: Actor, root: str, path: str, change: Callable[[NodeMeta], NodeMeta]) -> Node:
        """See ``NodeStore.update_meta``."""

    async def list_children(self, actor: Actor, root: str, path: str, after: str = "", limit: int = 1000) -> list[Node]:
        """See ``NodeIndex.list_children``."""

    async def list_keys(
        self,
        actor: Actor,
        root: str,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        limit: int = 1000,
    ) -> KeyPage:
        """See ``NodeIndex.list_keys``."""

    async def usage(self, actor: Actor, root: str, path: str) -> Usage:
        """See ``NodeIndex.usage``."""

    async def create_upload(
        self, actor: Actor, root: str, path: str, context: bytes, options: WriteOptions | None = None
    ) -> Upload:
        """See ``NodeStore.create_upload``."""

    async def read_upload(self, actor: Actor, root: str, upload_id: str) -> Upload:
        """See ``NodeStore.read_upload``."""

    async def list_uploads(
        self, actor: Actor, root: str, prefix: str, after_key: str, after_id: str, limit: int
    ) -> list[Upload]:
        """See ``NodeStore.list_uploads``."""

    async def put_part(
        self,
        actor: Actor,
        root: str,
        upload_id: str,
        number: int,
        body: AsyncIterable[bytes],
        digest: PartDigest,
        size: int | None,
    ) -> Part:
        """See ``NodeStore.put_part``."""

    async def list_parts(self, actor: Actor, root: str, upload_id: str, after: int, limit: int) -> list[Part]:
        """See ``NodeStore.list_parts``."""

    async def complete_upload(
        self, actor: Actor, root: str, upload_id: str, parts: Sequence[Part], etag: str, options: WriteOptions
    ) -> Node:
        """See ``NodeStore.complete_upload``."""

    async def abort_upload(self, actor: Actor, root: str, upload_id: str) -> None:
        """See ``NodeStore.abort_upload``."""
