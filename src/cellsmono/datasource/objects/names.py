"""Names: how a key's segments and a folder's file names stand for each other, byte for byte.

A file name is bytes, a key is text. A name that is valid UTF-8 is its own segment, whatever it looks like: nothing is
folded, so names that differ only in case or in Unicode normal form stay different. A byte that is not part of valid
UTF-8 becomes U+201B followed by its two upper-case hexadecimal digits (such bytes are always 80 or above). A U+201B
that would be read as such an escape has its own three bytes escaped. So ``decode_segment(encode_name(n)) == n`` for
every name, and every accepted segment ``s`` has ``encode_name(decode_segment(s)) == s``.
"""

import re

from cellsmono.kernel.errors import CellsError, Conflict, Forbidden, Invalid, NotFound, TooLarge

MARKER = ".pydio"
"""The hidden file that holds a folder's UUID."""

WORK_FOLDER = ".cellsmono"
"""The hidden folder that holds what is not visible yet."""

RESERVED = frozenset({MARKER, WORK_FOLDER})
RESERVED_NAMES = frozenset(name.encode() for name in RESERVED)

MAX_KEY_BYTES = 1024
"""S3's limit on the UTF-8 form of a key."""

MAX_NAME_BYTES = 255
"""NAME_MAX of Linux file systems."""

_QUOTE = "\u201b"
_QUOTE_BYTES = _QUOTE.encode()
_ESCAPED = re.compile(_QUOTE + "([89A-F][0-9A-F])")
_TO_ESCAPE = re.compile("[\udc80-\udcff]|" + _QUOTE + "(?=[89A-F][0-9A-F])")
_SURROGATE = 0xDC00
_QUOTE_ESCAPED = "".join(f"{_QUOTE}{byte:02X}" for byte in _QUOTE_BYTES)


def encode_name(name: bytes) -> str:
    """The key segment that stands for a file name."""
    text = name.decode("utf-8", "surrogateescape")
    if text.isascii():
        return text
    return _TO_ESCAPE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    return _QUOTE_ESCAPED if char == _QUOTE else f"{_QUOTE}{ord(char) - _SURROGATE:02X}"


def decode_segment(segment: str) -> bytes:
    """The file name that a key segment stands for.

    Raises Invalid (reason ``key``) for text that no file name is encoded as: lone surrogates, or an escape where the
    name needs none.
    """
    try:
        plain = segment.encode()
    except UnicodeEncodeError:
        raise Invalid("The key is not valid Unicode: it holds a lone surrogate.", reason="key") from None
    if _QUOTE not in segment:
        return plain
    name = _ESCAPED.sub(lambda m: chr(_SURROGATE + int(m[1], 16)), segment).encode("utf-8", "surrogateescape")
    if encode_name(name) != segment:
        raise Invalid(
            f"The key segment {segment!r} holds an escape (U+201B and two hexadecimal digits) that no file name needs; "
            "write the character itself.",
            reason="key",
        )
    return name


def check_length(key: str) -> None:
    """Raise TooLarge (reason ``key_length``) for a key that is longer than S3 allows."""
    if len(key) > MAX_KEY_BYTES or (not key.isascii() and len(key.encode("utf-8", "replace")) > MAX_KEY_BYTES):
        raise TooLarge(f"The key is longer than {MAX_KEY_BYTES} bytes.", reason="key_length", path=key[:80])


def split_written(key: str) -> list[bytes]:
    """The file names that lead to a key that is to be written; a trailing ``/`` is allowed and says nothing here.

    Raises Invalid or TooLarge (reasons ``key``, ``key_length``) for what a folder tree can not hold, and Forbidden
    (reason ``reserved``) for the names that are kept for markers and the work folder.
    """
    check_length(key)
    segments = (key[:-1] if key.endswith("/") else key).split("/")
    names = [decode_segment(segment) for segment in segments]
    for segment, name in zip(segments, names, strict=True):
        _check_name(key, segment, name)
    return names


def _check_name(key: str, segment: str, name: bytes) -> None:
    if not name:
        raise Invalid(
            "The key has an empty segment (it is empty, begins with '/' or holds '//'); no file can be named so.",
            reason="key",
            path=key,
        )
    if name in (b".", b".."):
        raise Invalid(f"The key has the segment '{segment}', which is no file name.", reason="key", path=key)
    if b"\0" in name:
        raise Invalid("The key holds a NUL character, which no file name may.", reason="key", path=key)
    if len(name) > MAX_NAME_BYTES:
        raise Invalid(
            f"A segment of the key takes {len(name)} bytes; file names have at most {MAX_NAME_BYTES}.",
            reason="key",
            path=key,
        )
    if name in RESERVED_NAMES:
        raise Forbidden(f"The name '{segment}' is reserved for cellsmono itself.", reason="reserved", path=key)


def split_read(key: str) -> list[bytes]:
    """The file names that lead to a key that is to be looked at; the empty key (root) gives an empty list.

    Raises NotFound for a reserved name, and for a key under which nothing can ever be.
    """
    if not key:
        return []
    plain = key[:-1] if key.endswith("/") else key
    try:
        names = plain.encode().split(b"/") if _QUOTE not in plain else [decode_segment(s) for s in plain.split("/")]
    except (UnicodeEncodeError, Invalid):
        raise not_found(key) from None
    if "\0" in key or any(name in _NEVER or name in RESERVED_NAMES for name in names):
        raise not_found(key)
    return names


_NEVER = frozenset({b"", b".", b".."})


def not_found(key: str) -> CellsError:
    """The error for a key under which nothing is."""
    return NotFound(f"There is nothing at '{key}'.", reason="key", path=key)


def join_names(names: list[bytes], *, folder: bool = False) -> str:
    """The key that these file names lead to."""
    key = "/".join(encode_name(name) for name in names)
    return key + "/" if folder and key else key


def key_below(root: bytes, path: bytes) -> str | None:
    """The key of an absolute path, without a trailing ``/``; None when it is not below the root or is hidden."""
    if path == root:
        return ""
    start = root if root.endswith(b"/") else root + b"/"
    if not path.startswith(start):
        return None
    names = path[len(start) :].rstrip(b"/").split(b"/")
    if any(name in _NEVER or name in RESERVED_NAMES for name in names):
        return None
    return "/".join(encode_name(name) for name in names)


def refuse_folder_key(key: str) -> None:
    """An object's key does not end with ``/``."""
    if key.endswith("/"):
        raise Invalid(f"'{key}' names a folder; an object's key does not end with '/'.", reason="key", path=key)


def refuse_move_into_itself(source: str, target: str) -> None:
    """A folder can not become its own descendant."""
    if source.endswith("/") and target.startswith(source):
        raise Conflict(f"The folder '{source}' can not be moved into itself.", reason="into_itself", path=target)
