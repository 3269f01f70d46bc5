"""The XML documents that clients send: few, small, and from strangers.

Whatever is in them, parsing costs at most in proportion to the size that the caller allowed: no DTD, no entities
beyond XML's own five, a bounded depth and number of elements. Namespaces are ignored, as clients write S3's, none, or
wrong ones. Everything that is not as it should be is S3Error MalformedXML.
"""

from collections.abc import Iterable, Iterator
from typing import Final
from xml.etree.ElementTree import Element, ParseError

import msgspec
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from cellsmono.gateway.s3.checksums import ALGORITHMS
from cellsmono.gateway.s3.conditions import strip_etag
from cellsmono.gateway.s3.errors import S3Error

MAX_DEPTH: Final = 16
MAX_ELEMENTS: Final = 120_000
"""Elements of one document: ten thousand parts with all their fields stay below."""
MAX_DELETES: Final = 1000
MAX_PARTS: Final = 10_000
MAX_TAGS: Final = 10
_STEP: Final = 64 * 1024


class _BoundedTree:
    """A tree builder that counts, so that a bomb is refused while it is parsed."""

    def __init__(self) -> None:
        self._open: list[Element] = []
        self._root: Element | None = None
        self._last: Element | None = None
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise S3Error("MalformedXML")
        element = Element(tag.rpartition("}")[2])
        if self._open:
            self._open[-1].append(element)
        else:
            self._root = element
        self._open.append(element)
        self._last = None

    def data(self, text: str) -> None:
        if not self._open:
            return
        if self._last is None:
            self._open[-1].text = (self._open[-1].text or "") + text

    def end(self, tag: str) -> None:
        # Text that follows a child is white space between elements, and of no interest.
        self._last = self._open.pop()

    def close(self) -> Element:
        if self._root is None:
            raise S3Error("MalformedXML")
        return self._root


def parse_xml(body: bytes, root: str | Iterable[str]) -> Element:
    """Parse a document whose root element has (one of) this name. Tags are without namespaces."""
    parser = DefusedXMLParser(target=_BoundedTree(), forbid_dtd=True, forbid_entities=True, forbid_external=True)
    try:
        for at in range(0, len(body), _STEP):
            parser.feed(body[at : at + _STEP])
        element = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        # LookupError: an encoding that nobody knows.
        raise S3Error("MalformedXML") from None
    names = {root} if isinstance(root, str) else set(root)
    if not isinstance(element, Element) or element.tag not in names:
        raise S3Error("MalformedXML")
    return element


def child_text(element: Element, name: str, default: str | None = None) -> str:
    """The text of a child that stands there at most once; ``default`` when there is none (None: it is required)."""
    found = [child for child in element if child.tag == name]
    if len(found) > 1 or (not found and default is None):
        raise S3Error("MalformedXML")
    if not found:
        return default or ""
    if len(found[0]):
        raise S3Error("MalformedXML")
    return found[0].text or ""


def only_children(element: Element, *names: str) -> Iterator[Element]:
    """All children, which must have these names."""
    for child in element:
        if child.tag not in names:
            raise S3Error("MalformedXML")
        yield child


class DeleteEntry(msgspec.Struct, frozen=True):
    """One object to be deleted. ``version_id`` and the conditions are empty when not given; ``etag`` has no quotes."""

    key: str
    version_id: str = ""
    etag: str = ""
    last_modified: str = ""
    size: str = ""


class DeleteRequest(msgspec.Struct, frozen=True):
    """A DeleteObjects request."""

    entries: tuple[DeleteEntry, ...]
    quiet: bool = False


def read_delete(body: bytes) -> DeleteRequest:
    """Parse a ``Delete`` document: 1 to 1,000 objects."""
    root = parse_xml(body, "Delete")
    entries: list[DeleteEntry] = []
    for child in only_children(root, "Object", "Quiet"):
        if child.tag == "Object":
            key = child_text(child, "Key")
            if not key or len(entries) >= MAX_DELETES:
                raise S3Error("MalformedXML")
            entries.append(
                DeleteEntry(
                    key,
                    child_text(child, "VersionId", ""),
                    strip_etag(child_text(child, "ETag", "")),
                    child_text(child, "LastModifiedTime", ""),
                    child_text(child, "Size", ""),
                )
            )
    if not entries:
        raise S3Error("MalformedXML")
    return DeleteRequest(tuple(entries), read_bool(child_text(root, "Quiet", "false")))


def read_bool(text: str) -> bool:
    """A truth value as XML writes it; empty is false."""
    value = text.strip().lower()
    if value not in {"true", "false", "1", "0", ""}:
        raise S3Error("MalformedXML")
    return value in {"true", "1"}


class CompletePart(msgspec.Struct, frozen=True):
    """One part as the client lists it: ``etag`` without quotes; checksum values (base64) by algorithm."""

    number: int
    etag: str
    checksums: dict[str, str] = {}


def read_complete(body: bytes) -> tuple[CompletePart, ...]:
    """Parse a ``CompleteMultipartUpload`` document: 1 to 10,000 parts, in the client's order (not checked here)."""
    root = parse_xml(body, ("CompleteMultipartUpload", "CompleteMultipartUploadRequest"))
    parts: list[CompletePart] = []
    for child in only_children(root, "Part"):
        if len(parts) >= MAX_PARTS:
            raise S3Error("MalformedXML")
        number = child_text(child, "PartNumber").strip()
        if not (number.isascii() and number.isdigit() and len(number) <= 10):  # noqa: PLR2004 - digits of an int
            raise S3Error("MalformedXML")
        etag = strip_etag(child_text(child, "ETag"))
        checksums = {
            algorithm.name: text
            for algorithm in ALGORITHMS.values()
            if (text := child_text(child, algorithm.element, "").strip())
        }
        parts.append(CompletePart(int(number), etag, checksums))
    if not parts:
        raise S3Error("MalformedXML")
    return tuple(parts)


def read_location(body: bytes) -> str:
    """The LocationConstraint of a ``CreateBucketConfiguration``; empty for an empty body or none."""
    if not body.strip():
        return ""
    root = parse_xml(body, ("CreateBucketConfiguration", "CreateBucketRequest"))
    return child_text(root, "LocationConstraint", "").strip()


def read_tagging(body: bytes, limit: int = MAX_TAGS, subject: str = "Object") -> dict[str, str]:
    """The tags of a ``Tagging`` document. Raises S3Error MalformedXML, InvalidTag, BadRequest (too many)."""
    root = parse_xml(body, "Tagging")
    sets = list(only_children(root, "TagSet"))
    if len(sets) != 1:
        raise S3Error("MalformedXML")
    pairs = [(child_text(tag, "Key"), child_text(tag, "Value")) for tag in only_children(sets[0], "Tag")]
    return check_tags(pairs, limit, subject)


def check_tags(pairs: Iterable[tuple[str, str]], limit: int = MAX_TAGS, subject: str = "Object") -> dict[str, str]:
    """Tags as AWS allows them: at most ``limit``, distinct keys of 1 to 128 characters, values of at most 256."""
    tags: dict[str, str] = {}
    for key, value in pairs:
        if key in tags:
            raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key", fields={"TagKey": key})
        if not 1 <= len(key) <= 128:  # noqa: PLR2004 - AWS's limit
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid", fields={"TagKey": key})
        if len(value) > 256:  # noqa: PLR2004 - AWS's limit
            raise S3Error("InvalidTag", "The TagValue you have provided is invalid", fields={"TagKey": key})
        if key.lower().startswith("aws:"):
            raise S3Error("InvalidTag", "System tags cannot be added/updated by requester", fields={"TagKey": key})
        tags[key] = value
    if len(tags) > limit:
        raise S3Error("BadRequest", f"{subject} tags cannot be greater than {limit}")
    return tags


def read_versioning(body: bytes) -> str:
    """The Status of a ``VersioningConfiguration``: Enabled, Suspended or empty.

    Raises S3Error MalformedXML, and NotImplemented where deletions are to need a second factor.
    """
    root = parse_xml(body, "VersioningConfiguration")
    status, second = child_text(root, "Status", "").strip(), child_text(root, "MfaDelete", "").strip()
    if status not in {"", "Enabled", "Suspended"} or second not in {"", "Enabled", "Disabled"}:
        raise S3Error("MalformedXML")
    if second == "Enabled":
        raise S3Error("NotImplemented", "MFA delete is not implemented.")
    return status
