"""What the owner of a bucket sets through S3: tags, CORS rules, a policy, ACLs, public access, expiry rules."""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from cellsmono.interfaces.lifecycle import LifecycleRule

Ownership = Literal["", "BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"]
"""What ACLs count for: nothing at all (BucketOwnerEnforced), or what they say. Empty: the controls were removed."""

CannedAcl = Literal["", "public-read", "public-read-write", "authenticated-read"]
"""An ACL that grants something beyond the owner's full control; empty is ``private``."""

PUBLIC_ACLS = frozenset({"public-read", "public-read-write", "authenticated-read"})
"""The ACLs that AWS calls public."""


class CorsRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which scripts of which web pages may use a bucket.

    ``origins`` and ``headers`` (lower-case) may each hold one ``*``. ``exposed`` are response headers that a script may
    read, ``max_age`` the seconds for which a browser may remember the answer to a preflight (None: its own choice).
    """

    methods: tuple[str, ...]
    origins: tuple[str, ...]
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: int | None = None
    id: str = ""


class PublicAccessBlock(msgspec.Struct, frozen=True, omit_defaults=True):
    """What keeps a bucket from becoming public.

    ``block_acls`` and ``block_policy`` refuse to set what would open it; ``ignore_acls`` and ``restrict`` take away
    what ACLs (and the ``anonymous`` of the configuration) or a public policy have opened already.
    """

    block_acls: bool = False
    ignore_acls: bool = False
    block_policy: bool = False
    restrict: bool = False


NO_BLOCK = PublicAccessBlock()


class BucketSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """The settings of one bucket. ``policy`` is the document as it was put, empty when there is none.

    ``encryption``: new content is encrypted at rest, also where the datasource is not set to do that.
    """

    tags: dict[str, str] = {}
    cors: tuple[CorsRule, ...] = ()
    policy: str = ""
    ownership: Ownership = "BucketOwnerEnforced"
    acl: CannedAcl = ""
    public_access_block: PublicAccessBlock | None = None
    lifecycle: tuple[LifecycleRule, ...] = ()
    encryption: Literal["", "AES256"] = ""

    @property
    def has_acls(self) -> bool:
        """Whether ACLs count for anything."""
        return self.ownership != "BucketOwnerEnforced"

    @property
    def block(self) -> PublicAccessBlock:
        """The limits on public access; none where none were set."""
        return self.public_access_block or NO_BLOCK


NO_SETTINGS = BucketSettings()

Change = Callable[[BucketSettings], BucketSettings]


class BucketSettingsStore(Protocol):
    """The settings of all buckets, by bucket name. They survive a restart."""

    def find(self, bucket: str) -> BucketSettings | None:
        """What is set for a bucket, None when nothing is. Never blocks: asked for each request."""

    async def change(self, bucket: str, change: Change) -> None:
        """Replace the settings by what ``change`` makes of the present ones, durably, in one step.

        ``change`` is pure and quick: it runs in a thread of the store, and may run twice. What it raises is raised, and
        nothing is changed.
        """
