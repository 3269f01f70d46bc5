"""Keys as a file that a password protects.

The file is JSON. Scrypt (RFC 7914) makes a key of the password and the salt, which encrypts the keys (a ``KeyBundle``
as JSON) with AES-256-GCM; what stands beside them is bound to them.
"""

import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from cellsmono.interfaces.encryption import KeyBundle
from cellsmono.kernel.errors import Corrupt, Forbidden, Invalid

FORMAT = "cellsmono keys"
VERSION = 1
LEAST_PASSWORD = 8
MOST_BYTES = 16 * 1024 * 1024

_COST = 1 << 17  # 128 MiB and a good part of a second, for whoever tries passwords
_MOST_COST = 1 << 20
_BLOCK = 8
_KEY_BYTES = 32
_NONCE_BYTES = 12


class _Export(msgspec.Struct, frozen=True):
    format: str
    version: int
    cost: int
    salt: bytes
    nonce: bytes
    sealed: bytes

    def bound(self) -> bytes:
        """What is bound to the sealed keys."""
        return msgspec.json.encode([self.format, self.version, self.cost, self.salt])


def export_keys(bundle: KeyBundle, password: str) -> bytes:
    """The file. Raises Invalid for a password that is too short."""
    if len(password) < LEAST_PASSWORD:
        raise Invalid(f"The password needs at least {LEAST_PASSWORD} characters: it protects everything.")
    head = _Export(FORMAT, VERSION, _COST, os.urandom(16), os.urandom(_NONCE_BYTES), b"")
    sealed = _cipher(password, head).encrypt(head.nonce, msgspec.json.encode(bundle), head.bound())
    return msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(head, sealed=sealed))) + b"\n"


def read_export(data: bytes, password: str, name: str) -> KeyBundle:
    """The keys in a file. Raises Invalid for another kind of file, Corrupt for a damaged one, Forbidden (password)."""
    if len(data) > MOST_BYTES:
        raise Invalid(f"{name} is no export of keys: it is far too large.")
    try:
        found = msgspec.json.decode(data, type=_Export)
    except msgspec.DecodeError as error:
        if FORMAT.encode() in data[:200]:
            raise Corrupt(f"The export {name} was cut off or altered ({error}); take another copy of it.") from None
        raise _foreign(name) from None
    if found.format != FORMAT:
        raise _foreign(name)
    if found.version != VERSION:
        raise Invalid(f"The export {name} was written by a newer cellsmono; use that one, or a newer one.")
    is_sound = found.cost.bit_count() == 1 and 1 < found.cost <= _MOST_COST and len(found.nonce) == _NONCE_BYTES
    if not is_sound:
        raise Corrupt(f"The export {name} was altered; take another copy of it.")
    try:
        text = _cipher(password, found).decrypt(found.nonce, found.sealed, found.bound())
    except InvalidTag:
        raise Forbidden(f"The password is not that of {name}, or the file was altered.", reason="password") from None
    return msgspec.json.decode(text, type=KeyBundle)


def _foreign(name: str) -> Invalid:
    return Invalid(f"{name} is no export of keys: `cellsmono encryption export` writes those.")


def _cipher(password: str, head: _Export) -> AESGCM:
    return AESGCM(Scrypt(head.salt, _KEY_BYTES, head.cost, _BLOCK, 1).derive(password.encode()))
