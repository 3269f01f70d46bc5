"""What is mirrored beside a file, in extended attributes (xattr(7)).

``user.cellsmono`` holds JSON, where there is something to tell beyond the bytes. ``user.cellsmono.path`` holds the node
path alone, of a file whose name does not tell it: every such file has one, and a short one fits into its inode.
"""

import errno
import os
import re
from contextlib import suppress

import msgspec

from cellsmono.interfaces.node import NO_META, NodeAttributes

ATTRIBUTE = "user.cellsmono"
PATH_ATTRIBUTE = "user.cellsmono.path"

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
    # The path first: where there is no room for both, it is worth more.
    has_path = bool(attributes.path) and _keep(descriptor, device, PATH_ATTRIBUTE, attributes.path.encode())
    if is_worth_keeping(attributes):
        plain = msgspec.structs.replace(attributes, path="") if attributes.path else attributes
        if _keep(descriptor, device, ATTRIBUTE, _encoder.encode(plain)):
            return True
        if device in _unsupported:
            return False
    return has_path or (not fresh and _remove(descriptor))


def _keep(descriptor: int, device: int, name: str, value: bytes) -> bool:
    try:
        os.setxattr(descriptor, name, value)
    except OSError as error:
        if error.errno in _NOT_SUPPORTED:
            _unsupported.add(device)
        return False
    return True


def _remove(descriptor: int) -> bool:
    try:
        os.removexattr(descriptor, ATTRIBUTE)
    except OSError:
        return False
    return True


def read_attributes(descriptor: int) -> NodeAttributes | None:
    """What is mirrored at an open file; None when it is nothing, or not ours."""
    kept = path = None
    with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        kept = _decoder.decode(os.getxattr(descriptor, ATTRIBUTE))
    with suppress(OSError, UnicodeDecodeError):
        path = os.getxattr(descriptor, PATH_ATTRIBUTE).decode()
    if path and kept is None:
        status = os.fstat(descriptor)
        kept = NodeAttributes(status.st_size, status.st_mtime_ns)
    return msgspec.structs.replace(kept, path=path) if path and kept is not None else kept


def may_have_attributes(path: bytes, *, follow: bool) -> bool:
    """Whether something of ours may be mirrored at a file.

    By path, so whoever swaps a folder on the way for a link meanwhile decides which file is asked.
    """
    try:
        names = os.listxattr(path, follow_symlinks=follow)
    except OSError as error:
        return error.errno not in _NOT_SUPPORTED
    return ATTRIBUTE in names or PATH_ATTRIBUTE in names


def can_mirror(descriptor: int) -> bool:
    """Whether the file system of an open file or folder has extended attributes for users."""
    try:
        os.getxattr(descriptor, ATTRIBUTE)
    except OSError as error:
        return error.errno not in _NOT_SUPPORTED
    return True
