"""Building answers."""

from typing import Final

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3.escaping import escape_text

XML_TYPE: Final = ("Content-Type", "application/xml")
NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def reply_xml(document: bytes, headers: list[tuple[str, str]] | None = None) -> Reply:
    """An XML document with status 200."""
    return Reply(200, [XML_TYPE, *(headers or [])], document)


def reply_empty(status: int = 200, headers: list[tuple[str, str]] | None = None) -> Reply:
    """No body."""
    return Reply(status, headers)


def build_empty_document(root: str, inner: str = "") -> bytes:
    """``<root>`` in S3's namespace with this content, which must be escaped already."""
    if not inner:
        return f'{_DECLARATION}<{root} xmlns="{NAMESPACE}"/>'.encode()
    return f'{_DECLARATION}<{root} xmlns="{NAMESPACE}">{inner}</{root}>'.encode()


def element(name: str, text: str) -> str:
    """One element with escaped text."""
    return f"<{name}>{escape_text(text)}</{name}>"
