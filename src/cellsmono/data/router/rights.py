"""Who may do what: the owner everything that no policy denies; others what policy, ACLs and configuration open."""

import enum
from typing import Final

from cellsmono.data.policy.document import arn_of, parse_policy
from cellsmono.data.policy.evaluation import Decision, evaluate
from cellsmono.interfaces.bucket_settings import NO_SETTINGS, PUBLIC_ACLS, BucketSettings, BucketSettingsStore
from cellsmono.interfaces.datasource import NodeStore
from cellsmono.interfaces.node import Node, NodeMeta
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import Forbidden, Invalid
from cellsmono.kernel.log import get_logger

log = get_logger("rights")

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
    """What the rules say. BY_ACL: what the ACL of the object itself says, which must be read first."""

    YES = "yes"
    NO = "no"
    BY_ACL = "by_acl"


class Rights:
    """The rules, over the settings of buckets."""

    def __init__(self, settings: BucketSettingsStore) -> None:
        self._settings = settings

    def judge(self, actor: Actor, store: NodeStore, action: str, path: str = "") -> Verdict:
        """Whether ``actor`` may do ``action`` on the node ``path``, or on the datasource itself.

        The action of the whole request counts where the actor's circumstances name one.
        """
        settings = self._settings.find(store.config.name)
        if actor.kind == "anonymous":
            return self._judge_stranger(actor, store, settings or NO_SETTINGS, action, path)
        if settings is None or not settings.policy:
            return Verdict.YES
        asked = actor.circumstances.action or action
        is_denied = _ask_policy(actor, store.config.name, settings, asked, path) is Decision.DENY
        return Verdict.NO if is_denied and asked not in _ALWAYS else Verdict.YES

    def require(self, actor: Actor, store: NodeStore, action: str, path: str = "") -> None:
        """Raise Forbidden unless ``actor`` may. For actions that no object's ACL opens."""
        if self.judge(actor, store, action, path) is not Verdict.YES:
            raise forbid(store, path)

    def require_meta(self, actor: Actor, store: NodeStore, path: str, meta: NodeMeta) -> None:
        """Raise Forbidden or Invalid (reason ``acl``) unless ``actor`` may give a node this ACL, lock and tags."""
        if meta.tags:
            self.require(actor, store, PUT_TAGS, path)
        if meta.lock is not None:
            if meta.lock.mode:
                self.require(actor, store, PUT_RETENTION, path)
            if meta.lock.hold:
                self.require(actor, store, PUT_HOLD, path)
        if meta.acl:
            self.require(actor, store, PUT_ACL, path)
            _check_acl(self._settings.find(store.config.name) or NO_SETTINGS, meta.acl)

    def _judge_stranger(
        self, actor: Actor, store: NodeStore, settings: BucketSettings, action: str, path: str
    ) -> Verdict:
        name = store.config.name
        action = actor.circumstances.action or action
        if settings.policy:
            decision = _ask_policy(actor, name, settings, action, path)
            if decision is Decision.DENY:
                return Verdict.NO
            if decision is Decision.ALLOW and not _is_restricted(settings, name):
                return Verdict.YES
        if settings.block.ignore_acls:
            return Verdict.NO
        if action in _CONFIGURED[store.config.anonymous]:
            return Verdict.YES
        if not settings.has_acls:
            return Verdict.NO
        if action in _BUCKET_ACLS.get(settings.acl, ()):
            return Verdict.YES
        return Verdict.BY_ACL if action in (GET, GET_VERSION) else Verdict.NO


def is_open(node: Node) -> bool:
    """Whether the ACL of an object lets everybody read it."""
    return node.meta.acl in _PUBLIC_OBJECTS


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


def _ask_policy(actor: Actor, bucket: str, settings: BucketSettings, action: str, path: str) -> Decision:
    try:
        policy = parse_policy(settings.policy, bucket)
    except Invalid as error:
        # It was good when it was put, by another version of this server: nothing is guessed.
        log.error("the policy of a bucket can not be read and denies everything", bucket=bucket, error=error.message)
        return Decision.DENY
    return evaluate(
        policy,
        is_owner=actor.kind != "anonymous",
        action=action,
        resource=arn_of(bucket, path),
        values=actor.circumstances.values,
    )


def _is_restricted(settings: BucketSettings, bucket: str) -> bool:
    return settings.block.restrict and parse_policy(settings.policy, bucket).is_public
