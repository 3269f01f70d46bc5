"""The XML documents of answers, written by string templates: elements in AWS's order, text escaped.

Listings have a file of their own (``xml_listings``). Times are nanoseconds since the epoch; ETags come without quotes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from cellsmono.gateway.s3.checksums import ALGORITHMS
from cellsmono.gateway.s3.dates import format_iso
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.escaping import escape_text
from cellsmono.interfaces.node import Checksum, PartInfo

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE: Final = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_XSI: Final = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
STANDARD: Final = "STANDARD"


class Owner(msgspec.Struct, frozen=True):
    """Who owns things: a canonical ID and a name to show."""

    id: str
    name: str


def element(name: str, text: object) -> str:
    """One element with escaped text; True and False are written as XML does."""
    if isinstance(text, bool):
        text = "true" if text else "false"
    return f"<{name}>{escape_text(str(text))}</{name}>"


def optional(name: str, text: str) -> str:
    """One element, or nothing for an empty text."""
    return f"<{name}>{escape_text(text)}</{name}>" if text else ""


def document(root: str, inner: str) -> bytes:
    """A whole document in S3's namespace."""
    return f"{DECLARATION}<{root}{NAMESPACE}>{inner}</{root}>".encode("utf-8", "replace")


def write_owner(owner: Owner, tag: str = "Owner") -> str:
    """An owner, initiator or the like."""
    return f"<{tag}>{element('ID', owner.id)}{element('DisplayName', owner.name)}</{tag}>"


def checksum_elements(checksum: Checksum | None) -> str:
    """``ChecksumCRC32`` and its kin; only what is an algorithm's own name, as the text is part of a tag."""
    if checksum is None or checksum.algorithm not in ALGORITHMS:
        return ""
    return element(ALGORITHMS[checksum.algorithm].element, checksum.value)


def checksum_facts(checksum: Checksum | None) -> str:
    """How a listing tells of a checksum: the algorithm and type, not the value."""
    if checksum is None:
        return ""
    algorithm, kind = escape_text(checksum.algorithm), escape_text(checksum.type)
    return f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm><ChecksumType>{kind}</ChecksumType>"


def write_initiate(bucket: str, key: str, upload_id: str) -> bytes:
    """CreateMultipartUpload."""
    return document(
        "InitiateMultipartUploadResult",
        element("Bucket", bucket) + element("Key", key) + element("UploadId", upload_id),
    )


def write_complete(location: str, bucket: str, key: str, etag: str, checksum: Checksum | None = None) -> bytes:
    """CompleteMultipartUpload."""
    kind = element("ChecksumType", checksum.type) if checksum is not None else ""
    inner = (
        f"{element('Location', location)}{element('Bucket', bucket)}{element('Key', key)}"
        f"<ETag>&quot;{etag}&quot;</ETag>{checksum_elements(checksum)}{kind}"
    )
    return document("CompleteMultipartUploadResult", inner)


def write_copy(etag: str, modified_ns: int, checksum: Checksum | None = None, root: str = "CopyObjectResult") -> bytes:
    """CopyObject; UploadPartCopy with the root ``CopyPartResult``."""
    kind = element("ChecksumType", checksum.type) if checksum is not None and root == "CopyObjectResult" else ""
    inner = (
        f"<LastModified>{format_iso(modified_ns)}</LastModified><ETag>&quot;{etag}&quot;</ETag>"
        f"{kind}{checksum_elements(checksum)}"
    )
    return document(root, inner)


class DeleteOutcome(msgspec.Struct, frozen=True):
    """What became of one key of a DeleteObjects request; ``error`` None: it is gone.

    ``version_id`` is the one that was asked for, ``marker`` that of the delete marker that was made or removed.
    """

    key: str
    error: S3Error | None = None
    version_id: str = ""
    marker: str = ""


def write_delete_result(outcomes: Iterable[DeleteOutcome], *, quiet: bool) -> bytes:
    """DeleteObjects. With ``quiet`` only failures are told."""
    rows = []
    for outcome in outcomes:
        named = element("Key", outcome.key) + optional("VersionId", outcome.version_id)
        if outcome.error is not None:
            error = outcome.error
            rows.append(f"<Error>{named}{element('Code', error.code)}{element('Message', error.message)}</Error>")
        elif not quiet:
            marker = f"<DeleteMarker>true</DeleteMarker>{element('DeleteMarkerVersionId', outcome.marker)}"
            rows.append(f"<Deleted>{named}{marker if outcome.marker else ''}</Deleted>")
    return document("DeleteResult", "".join(rows))


class AttributesPage(msgspec.Struct, frozen=True):
    """What GetObjectAttributes was asked for. ``parts_total`` 0: not uploaded in parts. None: not asked for."""

    etag: str | None = None
    checksum: Checksum | None = None
    size: int | None = None
    storage_class: str | None = None
    parts_total: int = 0
    parts: Sequence[PartInfo] = ()
    marker: int = 0
    next: int = 0
    max_parts: int = 1000
    is_truncated: bool = False


def write_attributes(page: AttributesPage) -> bytes:
    """GetObjectAttributes; parts are listed only where they have checksums, as AWS does."""
    inner = [element("ETag", page.etag)] if page.etag is not None else []
    if page.checksum is not None:
        inner.append(
            f"<Checksum>{checksum_elements(page.checksum)}{element('ChecksumType', page.checksum.type)}</Checksum>"
        )
    if page.parts_total:
        rows = "".join(
            f"<Part><PartNumber>{part.number}</PartNumber><Size>{part.size}</Size>"
            f"{checksum_elements(part.checksum)}</Part>"
            for part in page.parts
        )
        inner.append(
            f"<ObjectParts><PartsCount>{page.parts_total}</PartsCount><PartNumberMarker>{page.marker}"
            f"</PartNumberMarker><NextPartNumberMarker>{page.next}</NextPartNumberMarker>"
            f"<MaxParts>{page.max_parts}</MaxParts>{element('IsTruncated', page.is_truncated)}{rows}</ObjectParts>"
        )
    if page.storage_class is not None:
        inner.append(element("StorageClass", page.storage_class))
    if page.size is not None:
        inner.append(element("ObjectSize", page.size))
    return document("GetObjectAttributesResponse", "".join(inner))


def write_post_response(location: str, bucket: str, key: str, etag: str) -> bytes:
    """The answer to a form upload with ``success_action_status`` 201. AWS writes it without a namespace."""
    place = element("Location", location) + element("Bucket", bucket) + element("Key", key)
    inner = f"{place}<ETag>&quot;{etag}&quot;</ETag>"
    return f"{DECLARATION}<PostResponse>{inner}</PostResponse>".encode("utf-8", "replace")


# Sub-resources


def write_location(region: str) -> bytes:
    """GetBucketLocation: us-east-1 is written as an empty element."""
    inner = "" if region == "us-east-1" else escape_text(region)
    return document("LocationConstraint", inner)


def write_versioning(status: str = "") -> bytes:
    """GetBucketVersioning; an empty status is that of a bucket that never had versioning."""
    return document("VersioningConfiguration", optional("Status", status))


def write_tagging(tags: Mapping[str, str]) -> bytes:
    """GetObjectTagging and GetBucketTagging."""
    rows = "".join(f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in tags.items())
    return document("Tagging", f"<TagSet>{rows}</TagSet>")


def write_acl(owner: Owner, groups: Iterable[tuple[str, str]] = ()) -> bytes:
    """GetBucketAcl and GetObjectAcl: the owner has full control; ``groups`` (by URI) have one permission each."""
    grantee = (
        f'<Grantee{_XSI} xsi:type="CanonicalUser">{element("ID", owner.id)}'
        f"{element('DisplayName', owner.name)}</Grantee>"
    )
    grant = f"<Grant>{grantee}<Permission>FULL_CONTROL</Permission></Grant>"
    for uri, permission in groups:
        grantee = f'<Grantee{_XSI} xsi:type="Group">{element("URI", uri)}</Grantee>'
        grant += f"<Grant>{grantee}{element('Permission', permission)}</Grant>"
    return document("AccessControlPolicy", f"{write_owner(owner)}<AccessControlList>{grant}</AccessControlList>")


def write_request_payment() -> bytes:
    """GetBucketRequestPayment: the owner pays."""
    return document("RequestPaymentConfiguration", element("Payer", "BucketOwner"))


def write_empty(root: str) -> bytes:
    """A document that says "nothing is set": logging, notification, acceleration."""
    return document(root, "")
