"""SSE-C: encryption with a key that each request brings, and that is kept nowhere.

Source: "Using server-side encryption with customer-provided keys" in AWS's documentation. That an object is encrypted
so stands in its metadata, under the header that answers name it by.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
from typing import Final

import msgspec
from multidict import MultiMapping

from cellsmono.gateway.http import Exchange
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.interfaces.datasource import OpenNode
from cellsmono.interfaces.node import Checksum, Node, NodeMeta
from cellsmono.interfaces.objects import PartDigest
from cellsmono.interfaces.sealing import Locked
from cellsmono.kernel.errors import Forbidden

PREFIX: Final = "x-amz-server-side-encryption-customer-"
COPY_PREFIX: Final = "x-amz-copy-source-server-side-encryption-customer-"
MARK: Final = PREFIX + "algorithm"
"""The header in an object's metadata that says so."""
KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16

_NEEDED: Final = (
    "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve"
    " the object."
)
_NOT_APPLICABLE: Final = "The encryption parameters are not applicable to this object."
_INSECURE: Final = (
    "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection."
)


class ClientKey(msgspec.Struct, frozen=True):
    """A client's key, as a request brought it."""

    secret: bytes

    def __repr__(self) -> str:
        return "ClientKey(...)"

    def headers(self, *, has_mark: bool = True) -> list[tuple[str, str]]:
        """What the answer says of it; ``has_mark``: the algorithm is not among the object's metadata there."""
        digest = hashlib.md5(self.secret, usedforsecurity=False).digest()
        told = [(PREFIX + "key-MD5", base64.b64encode(digest).decode())]
        return [(MARK, "AES256"), *told] if has_mark else told

    def make_check(self) -> bytes:
        """By what the key is known again, while it tells nothing about it."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return salt + hmac.digest(self.secret, salt, "sha256")

    def fits(self, check: bytes) -> bool:
        """Whether it is the key that the check was made of."""
        salt, expected = check[:_SALT_BYTES], check[_SALT_BYTES:]
        return hmac.compare_digest(hmac.digest(self.secret, salt, "sha256"), expected)


def read_client_key(
    s3: S3Context, exchange: Exchange, headers: MultiMapping[str], prefix: str = PREFIX
) -> ClientKey | None:
    """The key that a request brings, None when it brings none.

    Raises S3Error InvalidArgument, InvalidEncryptionAlgorithmError; InvalidRequest over a connection that others can
    read, unless it is one of this machine or the configuration allows it.
    """
    algorithm, key, md5 = (headers.get(prefix + name) for name in ("algorithm", "key", "key-md5"))
    if algorithm is None and key is None and md5 is None:
        return None
    if not (exchange.secure or _is_local(exchange.remote) or s3.settings.insecure_client_keys):
        raise S3Error("InvalidRequest", _INSECURE)
    if algorithm is None or key is None or md5 is None:
        missing = "algorithm" if algorithm is None else "key" if key is None else "key-MD5"
        what = {"algorithm": "a valid encryption algorithm", "key": "an appropriate secret key"}
        raise invalid_argument(
            "Requests specifying Server Side Encryption with Customer provided keys must provide "
            f"{what.get(missing, 'the client calculated MD5 of the secret key')}.",
            prefix + missing,
            "null",
        )
    if algorithm != "AES256":
        raise S3Error("InvalidEncryptionAlgorithmError", fields={"ArgumentName": prefix + "algorithm"})
    secret = _decode(key)
    if len(secret) != KEY_BYTES:
        raise invalid_argument("The secret key was invalid for the specified algorithm.", prefix + "key", "null")
    if not hmac.compare_digest(_decode(md5), hashlib.md5(secret, usedforsecurity=False).digest()):
        raise invalid_argument(
            "The calculated MD5 hash of the key did not match the hash that was provided.", prefix + "key-MD5", "null"
        )
    return ClientKey(secret)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _is_local(remote: str | None) -> bool:
    try:
        return not remote or ipaddress.ip_address(remote.partition("%")[0]).is_loopback
    except ValueError:
        return False


def mark_meta(meta: NodeMeta, key: ClientKey | None) -> NodeMeta:
    """The metadata of content that is encrypted with this key, or with none of a client."""
    headers = {name: value for name, value in meta.headers.items() if name != MARK}
    if key is not None:
        headers[MARK] = "AES256"
    return meta if headers == meta.headers else msgspec.structs.replace(meta, headers=headers)


def is_client_sealed(node: Node) -> bool:
    """Whether content is encrypted with a key of its client."""
    return MARK in node.meta.headers


async def unlock(opened: OpenNode, key: ClientKey | None) -> None:
    """Make content readable with the key that a request brought.

    Raises S3Error InvalidRequest when it needs one, or none; AccessDenied for another one.
    """
    reader = opened.reader
    if not isinstance(reader, Locked):
        if key is not None:
            raise S3Error("InvalidRequest", _NOT_APPLICABLE)
        return
    if key is None:
        raise S3Error("InvalidRequest", _NEEDED)
    try:
        await reader.unlock(key.secret)
    except Forbidden:
        raise S3Error("AccessDenied") from None


async def check_key(s3: S3Context, request: S3Request, node: Node, version: str | None) -> list[tuple[str, str]]:
    """Check the key of a request that asks about an object and reads nothing of it; what the answer says of it."""
    key = read_client_key(s3, request.exchange, request.headers)
    if not is_client_sealed(node):
        if key is not None:
            raise S3Error("InvalidRequest", _NOT_APPLICABLE)
        return []
    if key is None:
        raise S3Error("InvalidRequest", _NEEDED)
    if version is None:
        opened = await s3.router.open_node(request.actor, request.bucket, request.key)
    else:
        opened = await s3.router.open_version(request.actor, request.bucket, request.key, version)
    try:
        await unlock(opened, key)
    finally:
        opened.reader.close()
    return key.headers(has_mark=False)


class SecretDigest:
    """A digest that tells nothing about the bytes: its ETag is random, as that of AWS is none of theirs."""

    def __init__(self, digest: PartDigest) -> None:
        self._digest = digest
        self._etag = secrets.token_hex(16)

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """See ``PartDigest``."""
        self._digest.update(data)

    def verify(self) -> None:
        """See ``PartDigest``."""
        self._digest.verify()

    def etag(self) -> str:
        """See ``PartDigest``."""
        return self._etag

    def checksum(self) -> Checksum | None:
        """See ``PartDigest``."""
        return self._digest.checksum()
