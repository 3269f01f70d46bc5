"""The XML documents of listings: objects, buckets, parts and uploads.

A listing of 1,000 keys is one of the hottest things a server does, so each entry is one formatted string and nothing
is built in between. Times are nanoseconds since the epoch; ETags come without quotes.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from cellsmono.gateway.s3.dates import format_iso
from cellsmono.gateway.s3.escaping import encode_url, escape_text, find_special
from cellsmono.gateway.s3.xml_write import (
    STANDARD,
    Owner,
    checksum_elements,
    checksum_facts,
    document,
    element,
    optional,
    write_owner,
)
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.objects import Part, Upload


class ListingPage(msgspec.Struct, frozen=True):
    """One page of a listing, with what was asked for.

    ``entries`` are nodes and common prefixes in order, ``next`` is the marker or continuation token of the next page,
    empty on the last one. ``owner`` is written with each key where it is given.
    """

    bucket: str
    entries: Sequence[Node | str]
    prefix: str = ""
    delimiter: str = ""
    max_keys: int = 1000
    url_encoded: bool = False
    is_truncated: bool = False
    next: str = ""
    owner: Owner | None = None

    def encode(self, text: str) -> str:
        """A key or prefix as this listing writes it."""
        return encode_url(text) if self.url_encoded else escape_text(text)


def _write_entries(page: ListingPage) -> tuple[str, str]:
    """``Contents`` and ``CommonPrefixes`` elements."""
    encode = encode_url if page.url_encoded else escape_text
    is_encoded = page.url_encoded
    owner = write_owner(page.owner) if page.owner is not None else ""
    tail = f"{owner}<StorageClass>{STANDARD}</StorageClass></Contents>"
    contents, prefixes = [], []
    for entry in page.entries:
        if isinstance(entry, str):
            prefixes.append(f"<CommonPrefixes><Prefix>{encode(entry)}</Prefix></CommonPrefixes>")
            continue
        facts, meta = entry.facts, entry.meta
        checksum = checksum_facts(meta.checksum) if meta.checksum is not None else ""
        if meta.headers and "x-amz-storage-class" in meta.headers:
            end = f"{owner}{element('StorageClass', meta.headers['x-amz-storage-class'])}</Contents>"
        else:
            end = tail
        key = entry.path
        if is_encoded or find_special(key) is not None:
            key = encode(key)
        contents.append(
            f"<Contents><Key>{key}</Key><LastModified>{format_iso(facts.mtime_ns)}</LastModified>"
            f"<ETag>&quot;{entry.etag or entry.effective_etag}&quot;</ETag>{checksum}<Size>{facts.size}</Size>{end}"
        )
    return "".join(contents), "".join(prefixes)


def _listing_head(page: ListingPage) -> str:
    return f"{element('Name', page.bucket)}<Prefix>{page.encode(page.prefix)}</Prefix>"


def _listing_options(page: ListingPage) -> str:
    delimiter = f"<Delimiter>{page.encode(page.delimiter)}</Delimiter>" if page.delimiter else ""
    encoding = "<EncodingType>url</EncodingType>" if page.url_encoded else ""
    truncated = "true" if page.is_truncated else "false"
    return f"<MaxKeys>{page.max_keys}</MaxKeys>{delimiter}{encoding}<IsTruncated>{truncated}</IsTruncated>"


def write_list_v1(page: ListingPage, marker: str) -> bytes:
    """ListObjects. ``page.next`` is written as NextMarker only with a delimiter, as AWS does."""
    contents, prefixes = _write_entries(page)
    following = page.next if page.is_truncated and page.delimiter else ""
    next_marker = f"<NextMarker>{page.encode(following)}</NextMarker>" if following else ""
    inner = (
        f"{_listing_head(page)}<Marker>{page.encode(marker)}</Marker>{next_marker}{_listing_options(page)}"
        f"{contents}{prefixes}"
    )
    return document("ListBucketResult", inner)


def write_list_v2(page: ListingPage, *, start_after: str = "", token: str | None = None) -> bytes:
    """ListObjectsV2. ``token`` is the continuation token of the request; ``page.next`` that of the next one."""
    contents, prefixes = _write_entries(page)
    after = f"<StartAfter>{page.encode(start_after)}</StartAfter>" if start_after else ""
    asked = element("ContinuationToken", token) if token is not None else ""
    following = optional("NextContinuationToken", page.next) if page.is_truncated else ""
    inner = (
        f"{_listing_head(page)}{asked}{following}{after}<KeyCount>{len(page.entries)}</KeyCount>"
        f"{_listing_options(page)}{contents}{prefixes}"
    )
    return document("ListBucketResult", inner)


def write_list_buckets(
    buckets: Iterable[tuple[str, int]], owner: Owner, *, region: str = "", prefix: str = "", token: str = ""
) -> bytes:
    """ListBuckets: (name, created) pairs. ``region``, ``prefix`` and ``token`` are written for paginated requests."""
    region_element = optional("BucketRegion", region)
    rows = "".join(
        f"<Bucket>{element('Name', name)}<CreationDate>{format_iso(created)}</CreationDate>{region_element}</Bucket>"
        for name, created in buckets
    )
    options = optional("Prefix", prefix) + optional("ContinuationToken", token)
    inner = f"{write_owner(owner)}<Buckets>{rows}</Buckets>{options}"
    return document("ListAllMyBucketsResult", inner)


# Uploads in parts


class PartsPage(msgspec.Struct, frozen=True):
    """One page of ListParts. ``next`` is the number of the last part on it; algorithm and type may be empty."""

    bucket: str
    key: str
    upload_id: str
    parts: Sequence[Part]
    owner: Owner
    marker: int = 0
    next: int = 0
    max_parts: int = 1000
    is_truncated: bool = False
    url_encoded: bool = False
    checksum_algorithm: str = ""
    checksum_type: str = ""


def write_list_parts(page: PartsPage) -> bytes:
    """ListParts."""
    key = encode_url(page.key) if page.url_encoded else escape_text(page.key)
    rows = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><LastModified>{format_iso(part.modified_ns)}</LastModified>"
        f"<ETag>&quot;{part.etag}&quot;</ETag><Size>{part.size}</Size>{checksum_elements(part.checksum)}</Part>"
        for part in page.parts
    )
    inner = (
        f"{element('Bucket', page.bucket)}<Key>{key}</Key>{element('UploadId', page.upload_id)}"
        f"{write_owner(page.owner, 'Initiator')}{write_owner(page.owner)}<StorageClass>{STANDARD}</StorageClass>"
        f"<PartNumberMarker>{page.marker}</PartNumberMarker><NextPartNumberMarker>{page.next}</NextPartNumberMarker>"
        f"<MaxParts>{page.max_parts}</MaxParts>{'<EncodingType>url</EncodingType>' if page.url_encoded else ''}"
        f"{element('IsTruncated', page.is_truncated)}{optional('ChecksumAlgorithm', page.checksum_algorithm)}"
        f"{optional('ChecksumType', page.checksum_type)}{rows}"
    )
    return document("ListPartsResult", inner)


class UploadsPage(msgspec.Struct, frozen=True):
    """One page of ListMultipartUploads. ``entries`` are uploads and common prefixes."""

    bucket: str
    entries: Sequence[Upload | str]
    owner: Owner
    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    upload_id_marker: str = ""
    next_key: str = ""
    next_upload_id: str = ""
    max_uploads: int = 1000
    is_truncated: bool = False
    url_encoded: bool = False

    def encode(self, text: str) -> str:
        """A key or prefix as this listing writes it."""
        return encode_url(text) if self.url_encoded else escape_text(text)


def write_list_uploads(page: UploadsPage, checksums: Mapping[str, tuple[str, str]] | None = None) -> bytes:
    """ListMultipartUploads. ``checksums`` gives (algorithm, type) by upload id where an upload has one."""
    people = write_owner(page.owner, "Initiator") + write_owner(page.owner)
    rows, prefixes = [], []
    for entry in page.entries:
        if isinstance(entry, str):
            prefixes.append(f"<CommonPrefixes><Prefix>{page.encode(entry)}</Prefix></CommonPrefixes>")
            continue
        algorithm, kind = (checksums or {}).get(entry.upload_id, ("", ""))
        rows.append(
            f"<Upload><Key>{page.encode(entry.key)}</Key>{element('UploadId', entry.upload_id)}{people}"
            f"<StorageClass>{STANDARD}</StorageClass><Initiated>{format_iso(entry.initiated_ns)}</Initiated>"
            f"{optional('ChecksumAlgorithm', algorithm)}{optional('ChecksumType', kind)}</Upload>"
        )
    delimiter = f"<Delimiter>{page.encode(page.delimiter)}</Delimiter>" if page.delimiter else ""
    inner = (
        f"{element('Bucket', page.bucket)}<KeyMarker>{page.encode(page.key_marker)}</KeyMarker>"
        f"{element('UploadIdMarker', page.upload_id_marker)}"
        f"<NextKeyMarker>{page.encode(page.next_key)}</NextKeyMarker>"
        f"{element('NextUploadIdMarker', page.next_upload_id)}{delimiter}<Prefix>{page.encode(page.prefix)}</Prefix>"
        f"<MaxUploads>{page.max_uploads}</MaxUploads>{'<EncodingType>url</EncodingType>' if page.url_encoded else ''}"
        f"{element('IsTruncated', page.is_truncated)}{''.join(rows)}{''.join(prefixes)}"
    )
    return document("ListMultipartUploadsResult", inner)
