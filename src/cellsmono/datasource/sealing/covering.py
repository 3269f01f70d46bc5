"""What lies openly beside a sealed blob: its size and time. Its name, ETag and metadata are encrypted into one value.

The value stands as user metadata, as every storage keeps that: a salt of 16 bytes and the id of the data key, then JSON
under AES-256-GCM with a key that HKDF makes of both, in base64. S3 allows 2 KiB of metadata; what does not fit is left
to the index, the name last.
"""

import base64
import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cellsmono.datasource.sealing.format import plain_size, sealed_size
from cellsmono.interfaces.node import NodeAttributes, NodeMeta

DAMAGED = -1
"""The size of the content of a sealed blob that was cut off: it has a size that sealed content never has."""

COVERED = "cellsmono-sealed"
MOST_BYTES = 1200
"""Of JSON: with the rest around it, it stays below 2 KiB."""

_INFO = b"cellsmono sealed attributes 1"
_SALT_BYTES = 16
_KEY_BYTES = 8
_NONCE = bytes(12)  # each salt makes a key of its own


def cover(attributes: NodeAttributes, key: bytes, secret: bytes, blob: bytes) -> NodeAttributes:
    """The attributes as they may lie openly; ``blob`` is the number of the seal, to which they are bound."""
    salt = os.urandom(_SALT_BYTES)
    sealed = _cipher(secret, salt).encrypt(_NONCE, _choose(attributes), blob)
    text = base64.b64encode(salt + key + sealed).decode()
    return NodeAttributes(sealed_size(attributes.size), attributes.mtime_ns, "", NodeMeta(user={COVERED: text}))


def find_key(attributes: NodeAttributes) -> bytes | None:
    """The id of the data key that covers these attributes; None when they are not covered."""
    try:
        data = base64.b64decode(attributes.meta.user.get(COVERED, ""), validate=True)
    except ValueError:
        return None
    return data[_SALT_BYTES:][:_KEY_BYTES] or None


def uncover(attributes: NodeAttributes, secret: bytes, blob: bytes) -> NodeAttributes:
    """What was covered; size and time alone when it was altered."""
    data = base64.b64decode(attributes.meta.user[COVERED])
    salt, sealed = data[:_SALT_BYTES], data[_SALT_BYTES + _KEY_BYTES :]
    try:
        found = msgspec.json.decode(_cipher(secret, salt).decrypt(_NONCE, sealed, blob), type=NodeAttributes)
    except (ValueError, InvalidTag, msgspec.DecodeError):
        return bare(attributes)
    plain = bare(attributes)
    return msgspec.structs.replace(found, size=plain.size, mtime_ns=plain.mtime_ns)


def to_plain(attributes: NodeAttributes) -> NodeAttributes:
    """Attributes that are not covered, with the size of the content."""
    return msgspec.structs.replace(attributes, size=bare(attributes).size)


def bare(attributes: NodeAttributes) -> NodeAttributes:
    """Size of the content and time alone."""
    size = plain_size(attributes.size)
    return NodeAttributes(DAMAGED if size is None else size, attributes.mtime_ns)


def _choose(attributes: NodeAttributes) -> bytes:
    """As much as there is room for."""
    meta = attributes.meta
    choices = [
        attributes,
        msgspec.structs.replace(attributes, meta=msgspec.structs.replace(meta, parts=())),
        msgspec.structs.replace(attributes, meta=NodeMeta(meta.content_type, checksum=meta.checksum)),
        msgspec.structs.replace(attributes, meta=NodeMeta()),
    ]
    for choice in choices:
        data = msgspec.json.encode(choice)
        if len(data) <= MOST_BYTES:
            return data
    return msgspec.json.encode(msgspec.structs.replace(attributes, meta=NodeMeta(), path=""))


def _cipher(secret: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt, _INFO).derive(secret))
