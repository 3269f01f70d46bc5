"""What is mirrored beside a file, in the extended attribute ``user.cellsmono`` (xattr(7)), as JSON."""

import errno
import os
import re

import msgspec

from cellsmono.interfaces.node import NO_META, NodeAttributes

ATTRIBUTE = "user.cellsmono"

_PLAIN_MD5 = re.compile("[0-9a-f]{32}")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(NodeAttributes)
_unsupported: set[int] = set()
"""Devices that have no extended attributes for users: asked once, not at every file."""

_NOT_SUPPORTED = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


def is_worth_keeping(attributes: NodeAttributes) -> bool:
    """Whether the file's bytes alone would not tell this: any metadata, or an ETag that is not simply their MD5."""
    return attributes.meta != NO_META or not (not attributes.etag or _PLAIN_MD5.fullmatch(attributes.etag))


def write_attributes(descriptor: int, device: int, attributes: NodeAttributes, *, fresh: bool) -> bool:
    """Mirror attributes at an open file; True when its inode was changed.

    Where the file system has no room or no attributes nothing is kept: the index has them all the same. An older value
    never stays beside newer metadata. ``fresh`` says that the file is new and has none.
    """
    if device in _unsupported:
        return False
    if is_worth_keeping(attributes):
        try:
            os.setxattr(descriptor, ATTRIBUTE, _encoder.encode(attributes))
            return True
        except OSError as error:
            if error.errno in _NOT_SUPPORTED:
                _unsupported.add(device)
                return False
    return not fresh and _remove(descriptor)


def _remove(descriptor: int) -> bool:
    try:
        os.removexattr(descriptor, ATTRIBUTE)
    except OSError:
        return False
    return True


def read_attributes(descriptor: int) -> NodeAttributes | None:
    """What is mirrored at an open file; None when it is nothing, or not ours."""
    try:
        return _decoder.decode(os.getxattr(descriptor, ATTRIBUTE))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def may_have_attributes(path: bytes, *, follow: bool) -> bool:
    """Whether something of ours may be mirrored at a file.

    By path, so whoever swaps a folder on the way for a link meanwhile decides which file is asked.
    """
    try:
        return ATTRIBUTE in os.listxattr(path, follow_symlinks=follow)
    except OSError as error:
        return error.errno not in _NOT_SUPPORTED


def can_mirror(descriptor: int) -> bool:
    """Whether the file system of an open file or folder has extended attributes for users."""
    try:
        os.getxattr(descriptor, ATTRIBUTE)
    except OSError as error:
        return error.errno not in _NOT_SUPPORTED
    return True
