"""Escaping of text for XML and of keys for URLs, as S3 does it."""

import re
from typing import Final
from urllib.parse import quote

# The five of XML, the carriage return (a parser would turn it into a newline), and what XML 1.0 can not carry at all.
# AWS writes the latter as numeric references, which only lenient parsers take; ``encoding-type=url`` is the way out.
_SPECIAL: Final = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]')
find_special: Final = _SPECIAL.search
"""Finds the first character that ``escape_text`` would change; None: the text can be written as it is."""
_URL_SAFE: Final = re.compile(r"[A-Za-z0-9_.~/-]*", re.ASCII)
_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def _reference(match: re.Match[str]) -> str:
    char = match.group()
    named = _NAMED.get(char)
    if named is not None:
        return named
    return "\ufffd" if "\ud800" <= char <= "\udfff" else f"&#x{ord(char):x};"


def escape_text(text: str) -> str:
    """Text for an element's content or an attribute. Lone surrogates become U+FFFD: UTF-8 has no form for them."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(_reference, text)


def encode_url(text: str) -> str:
    """A key as ``encoding-type=url`` lists it. A space is ``%20``, which every way of decoding understands."""
    if _URL_SAFE.fullmatch(text) is not None:
        return text
    return quote(text.encode("utf-8", "surrogateescape"), safe="/~")


def encode_query(text: str) -> str:
    """A name or value as SigV4's canonical query has it: everything but ``A-Za-z0-9-._~`` in percent form."""
    return quote(text.encode("utf-8", "surrogateescape"), safe="~")
