"""The condition keys that a bucket policy can ask for, and the actions that each is about.

A key that is not about an action is missing there, whatever the request holds: a stranger who writes ``?prefix=open/``
behind the address of an object has listed nothing, and must not be taken for one who did.

Source: "Actions, resources, and condition keys for Amazon S3" in the service authorization reference.
"""

from typing import Final

import msgspec

EXISTING_TAG: Final = "s3:existingobjecttag/"
REQUEST_TAG: Final = "s3:requestobjecttag/"
REQUEST_TAG_KEYS: Final = "s3:requestobjecttagkeys"
SOURCE_IP: Final = "aws:sourceip"


VERSION_ID: Final = "s3:versionid"
LOCK_MODE: Final = "s3:object-lock-mode"
LOCK_DAYS: Final = "s3:object-lock-remaining-retention-days"
LOCK_UNTIL: Final = "s3:object-lock-retain-until-date"
LOCK_HOLD: Final = "s3:object-lock-legal-hold"


class Key(msgspec.Struct, frozen=True):
    """A condition key, in lower case. ``tag`` is the tag that it names, in its own case, where it names one.

    ``actions`` are those that it is about, in lower case; None: all. ``is_many``: a request may have several values.
    """

    name: str
    actions: frozenset[str] | None = None
    is_many: bool = False
    tag: str = ""

    def applies(self, action: str) -> bool:
        """Whether it is about an action (in lower case)."""
        return self.actions is None or action in self.actions

    @property
    def is_existing_tag(self) -> bool:
        """Whether it asks for a tag that an object has already."""
        return self.name == EXISTING_TAG


def find_key(name: str) -> Key | None:
    """The key of this name, whose case does not matter; None for one that this server does not know."""
    lower = name.lower()
    for family in (EXISTING_TAG, REQUEST_TAG):
        if lower.startswith(family) and len(lower) > len(family):
            return msgspec.structs.replace(_FAMILIES[family], tag=name[len(family) :])
    return _KEYS.get(lower)


def known_names() -> frozenset[str]:
    """The names of all keys in lower case; those of tags end in ``/``."""
    return frozenset(_KEYS) | frozenset(_FAMILIES)


def _actions(names: str) -> frozenset[str]:
    return frozenset(f"s3:{name}".lower() for name in names.split())


_WRITES: Final = "PutObject BypassGovernanceRetention"
_LISTS: Final = _actions("ListBucket ListBucketVersions")
_RETENTION: Final = _actions("PutObject PutObjectRetention")
_ACLS: Final = _actions(f"{_WRITES} PutBucketAcl PutObjectAcl PutObjectVersionAcl")
_TAGS: Final = _actions(f"{_WRITES} PutObjectTagging PutObjectVersionTagging")
_STORES: Final = _actions(f"{_WRITES} ReplicateObject")

_FAMILIES: Final = {
    EXISTING_TAG: Key(
        EXISTING_TAG,
        _actions(
            "DeleteObjectTagging DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes GetObjectTagging"
            " GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes GetObjectVersionTagging PutObjectAcl"
            " PutObjectTagging PutObjectVersionAcl PutObjectVersionTagging"
        ),
    ),
    REQUEST_TAG: Key(REQUEST_TAG, _TAGS),
}

_ABOUT: Final[dict[str, frozenset[str] | None]] = {
    "aws:currenttime": None,
    "aws:epochtime": None,
    "aws:referer": None,
    "aws:securetransport": None,
    SOURCE_IP: None,
    "aws:useragent": None,
    "s3:authtype": None,
    "s3:signatureversion": None,
    "s3:x-amz-content-sha256": None,
    "s3:delimiter": _LISTS,
    "s3:max-keys": _LISTS,
    "s3:prefix": _LISTS,
    VERSION_ID: _actions(
        "DeleteObjectVersion DeleteObjectVersionTagging GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes"
        " GetObjectVersionTagging GetObjectVersionTorrent PutObjectVersionAcl PutObjectVersionTagging"
    ),
    LOCK_HOLD: _actions("PutObject PutObjectLegalHold"),
    LOCK_MODE: _RETENTION,
    LOCK_DAYS: _RETENTION,
    LOCK_UNTIL: _RETENTION,
    "s3:if-match": _actions("PutObject DeleteObject"),
    "s3:if-none-match": _actions("PutObject"),
    "s3:x-amz-acl": _ACLS,
    "s3:x-amz-grant-full-control": _ACLS,
    "s3:x-amz-grant-read": _ACLS,
    "s3:x-amz-grant-read-acp": _ACLS,
    "s3:x-amz-grant-write": _ACLS,
    "s3:x-amz-grant-write-acp": _ACLS,
    "s3:x-amz-copy-source": _actions(_WRITES),
    "s3:x-amz-metadata-directive": _actions(_WRITES),
    "s3:x-amz-website-redirect-location": _actions(_WRITES),
    "s3:x-amz-server-side-encryption": _STORES,
    "s3:x-amz-server-side-encryption-aws-kms-key-id": _STORES,
    "s3:x-amz-server-side-encryption-customer-algorithm": _STORES,
    "s3:x-amz-storage-class": _actions(f"{_WRITES} PutObjectAcl PutObjectVersionAcl"),
}

_KEYS: Final = {name: Key(name, actions) for name, actions in _ABOUT.items()} | {
    REQUEST_TAG_KEYS: Key(REQUEST_TAG_KEYS, _TAGS, is_many=True)
}

OF_NEW_OBJECTS: Final = frozenset(
    name
    for name, actions in _ABOUT.items()
    if name.startswith("s3:x-amz-") and actions is not None and "s3:putobject" in actions
) - {"s3:x-amz-copy-source", "s3:x-amz-metadata-directive"}
"""What a request says of the object that it makes; of an upload in parts it is said when the upload begins."""
