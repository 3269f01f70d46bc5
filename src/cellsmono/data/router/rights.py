"""Who may do what: the owner everything that no policy denies; others what policy, ACLs and configuration open."""

import enum
from collections.abc import Iterator
from typing import Final

from cellsmono.data.policy.document import parse_policy
from cellsmono.data.policy.evaluation import Decision
from cellsmono.data.router.asking import NO_DETAILS, Details, ask_policy
from cellsmono.interfaces.bucket_settings import NO_SETTINGS, PUBLIC_ACLS, BucketSettings, BucketSettingsStore
from cellsmono.interfaces.datasource import NodeStore
from cellsmono.interfaces.node import NO_META, NodeMeta
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import Forbidden, Invalid

GET: Final = "s3:GetObject"
PUT: Final = "s3:PutObject"
DELETE: Final = "s3:DeleteObject"
LIST: Final = "s3:ListBucket"
PUT_ACL: Final = "s3:PutObjectAcl"
PUT_TAGS: Final = "s3:PutObjectTagging"
PUT_RETENTION: Final = "s3:PutObjectRetention"
PUT_HOLD: Final = "s3:PutObjectLegalHold"

GET_VERSION: Final = "s3:GetObjectVersion"
DELETE_VERSION: Final = "s3:DeleteObjectVersion"
LIST_VERSIONS: Final = "s3:ListBucketVersions"
PUT_VERSION_TAGS: Final = "s3:PutObjectVersionTagging"

_LISTS: Final = frozenset({LIST, LIST_VERSIONS})
_READS: Final = _LISTS | {GET, "s3:GetBucketLocation", "s3:GetObjectAttributes", "s3:GetObjectTagging"}
"""What a datasource that is configured ``anonymous = "read"`` lets everybody do."""
_UPLOADS: Final = frozenset(
    {PUT, DELETE, "s3:AbortMultipartUpload", "s3:ListBucketMultipartUploads", "s3:ListMultipartUploadParts"}
)
_WRITES: Final = _UPLOADS | {PUT_TAGS, "s3:DeleteObjectTagging"}
"""What ``anonymous = "write"`` adds to that."""

_CONFIGURED: Final = {"": frozenset[str](), "read": _READS, "write": _READS | _WRITES}
_BUCKET_ACLS: Final = {"public-read": _LISTS, "public-read-write": _LISTS | _UPLOADS}
_PUBLIC_OBJECTS: Final = frozenset({"public-read", "public-read-write"})

_ALWAYS: Final = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})
"""What no policy takes from the owner, so that nobody is locked out for good."""


class Verdict(enum.Enum):
    """What the rules say. BY_NODE: that depends on the object itself, its ACL or its tags, which must be read first."""

    YES = "yes"
    NO = "no"
    BY_NODE = "by_node"


class Rights:
    """The rules, over the settings of buckets."""

    def __init__(self, settings: BucketSettingsStore) -> None:
        self._settings = settings

    def judge(
        self, actor: Actor, store: NodeStore, action: str, path: str = "", details: Details = NO_DETAILS
    ) -> Verdict:
        """Whether ``actor`` may do ``action`` on the node ``path``, or on the datasource itself.

        The action of the whole request counts where the actor's circumstances name one. With ``details.found`` the
        verdict is never BY_NODE.
        """
        settings = self._settings.find(store.config.name) or NO_SETTINGS
        decision = _decide(actor, store, settings, action, path, details)
        if decision is None:
            return Verdict.BY_NODE
        action = actor.circumstances.action or action
        if actor.kind == "anonymous":
            return _judge_stranger(store, settings, action, decision, details.found)
        return Verdict.NO if decision is Decision.DENY and action not in _ALWAYS else Verdict.YES

    def denies_missing(
        self, actor: Actor, store: NodeStore, action: str, path: str, version: str | None = None
    ) -> bool:
        """Whether a policy denies an action on something that is not there."""
        settings = self._settings.find(store.config.name) or NO_SETTINGS
        details = Details(version, found=NO_META)
        return _decide(actor, store, settings, action, path, details) is Decision.DENY

    def require(
        self, actor: Actor, store: NodeStore, action: str, path: str = "", details: Details = NO_DETAILS
    ) -> None:
        """Raise Forbidden unless ``actor`` may; also where that depends on the node, and nobody looked at it."""
        if self.judge(actor, store, action, path, details) is not Verdict.YES:
            raise forbid(store, path)

    def require_meta(self, actor: Actor, store: NodeStore, path: str, meta: NodeMeta) -> None:
        """Raise Forbidden or Invalid (reason ``acl``) unless ``actor`` may give a node this ACL, lock and tags.

        Where an action stands for the whole request, that action is all that there is to be allowed.
        """
        if not actor.circumstances.action:
            for action in _implied_actions(meta):
                # New content has no tags yet: those of what it replaces go with it, and are nothing to decide by.
                self.require(actor, store, action, path, Details(asked=meta, found=NO_META))
        if meta.acl:
            _check_acl(self._settings.find(store.config.name) or NO_SETTINGS, meta.acl)


def _implied_actions(meta: NodeMeta) -> Iterator[str]:
    """What writing a node with this metadata is beside writing it."""
    if meta.tags:
        yield PUT_TAGS
    if meta.lock is not None and meta.lock.mode:
        yield PUT_RETENTION
    if meta.lock is not None and meta.lock.hold:
        yield PUT_HOLD
    if meta.acl:
        yield PUT_ACL


def _decide(
    actor: Actor, store: NodeStore, settings: BucketSettings, action: str, path: str, details: Details
) -> Decision | None:
    """What the bucket's policy says, see ``ask_policy``."""
    if not settings.policy:
        return Decision.NONE
    action = actor.circumstances.action or action
    return ask_policy(actor, store.config.name, settings.policy, action, path, details)


def _judge_stranger(
    store: NodeStore, settings: BucketSettings, action: str, decision: Decision, found: NodeMeta | None
) -> Verdict:
    if decision is Decision.DENY:
        return Verdict.NO
    if decision is Decision.ALLOW and not _is_restricted(settings, store.config.name):
        return Verdict.YES
    if settings.block.ignore_acls:
        return Verdict.NO
    if action in _CONFIGURED[store.config.anonymous]:
        return Verdict.YES
    if not settings.has_acls:
        return Verdict.NO
    if action in _BUCKET_ACLS.get(settings.acl, ()):
        return Verdict.YES
    if action not in (GET, GET_VERSION):
        return Verdict.NO
    if found is None:
        return Verdict.BY_NODE
    return Verdict.YES if found.acl in _PUBLIC_OBJECTS else Verdict.NO


def forbid(store: NodeStore, path: str) -> Forbidden:
    """The refusal. It does not say which rule refuses: that is the owner's business."""
    return Forbidden("Access Denied", path=path or store.config.name)


def check_change(bucket: str, old: BucketSettings, new: BucketSettings) -> None:
    """Raise Invalid or Forbidden for settings that can not be made (see ``NodeRouter.change_settings``)."""
    if new.acl and not new.has_acls and old.has_acls:
        raise Invalid("Remove the bucket's ACL before ACLs are disabled", reason="acl_ownership")
    if new.acl != old.acl:
        _check_acl(new, new.acl)
    if new.policy and new.policy != old.policy:
        policy = parse_policy(new.policy, bucket)
        if new.block.block_policy and policy.is_public:
            raise Forbidden("Public policies are blocked by the bucket's public access block", path=bucket)


def _check_acl(settings: BucketSettings, acl: str) -> None:
    if not acl:
        return
    if not settings.has_acls:
        raise Invalid("The bucket does not allow ACLs", reason="acl")
    if settings.block.block_acls and acl in PUBLIC_ACLS:
        raise Forbidden("Public ACLs are blocked by the bucket's public access block")


def _is_restricted(settings: BucketSettings, bucket: str) -> bool:
    return settings.block.restrict and parse_policy(settings.policy, bucket).is_public
