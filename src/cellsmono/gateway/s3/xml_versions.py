"""The XML document of ListObjectVersions. Source: "ListObjectVersions" in the Amazon S3 API reference."""

import msgspec

from cellsmono.gateway.s3.dates import format_iso
from cellsmono.gateway.s3.escaping import encode_url, escape_text
from cellsmono.gateway.s3.xml_write import STANDARD, Owner, checksum_facts, document, element, write_owner
from cellsmono.interfaces.node import EMPTY_MD5, Node
from cellsmono.interfaces.version import Version, VersionPage

_CLASS = "x-amz-storage-class"


class VersionsPage(msgspec.Struct, frozen=True):
    """One page, with what was asked for."""

    bucket: str
    found: VersionPage
    owner: Owner
    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    version_marker: str = ""
    max_keys: int = 1000
    url_encoded: bool = False

    def encode(self, text: str) -> str:
        """A key or prefix as this listing writes it."""
        return encode_url(text) if self.url_encoded else escape_text(text)


def write_list_versions(page: VersionsPage) -> bytes:
    """ListObjectVersions: versions and delete markers in one order, then the common prefixes."""
    owner = write_owner(page.owner)
    rows, prefixes = [], []
    for entry in page.found.entries:
        if isinstance(entry, str):
            prefixes.append(f"<CommonPrefixes><Prefix>{page.encode(entry)}</Prefix></CommonPrefixes>")
        else:
            rows.append(_write_version(page, entry, owner))
    following = ""
    if page.found.next_key:
        following = f"<NextKeyMarker>{page.encode(page.found.next_key)}</NextKeyMarker>"
        last = page.found.entries[-1]
        if not isinstance(last, str):
            following += f"<NextVersionIdMarker>{page.found.next_version or 'null'}</NextVersionIdMarker>"
    delimiter = f"<Delimiter>{page.encode(page.delimiter)}</Delimiter>" if page.delimiter else ""
    encoding = "<EncodingType>url</EncodingType>" if page.url_encoded else ""
    inner = (
        f"{element('Name', page.bucket)}<Prefix>{page.encode(page.prefix)}</Prefix>"
        f"<KeyMarker>{page.encode(page.key_marker)}</KeyMarker>{element('VersionIdMarker', page.version_marker)}"
        f"{following}<MaxKeys>{page.max_keys}</MaxKeys>{delimiter}{encoding}"
        f"{element('IsTruncated', bool(page.found.next_key))}{''.join(rows)}{''.join(prefixes)}"
    )
    return document("ListVersionsResult", inner)


def _write_version(page: VersionsPage, version: Version, owner: str) -> str:
    latest = "true" if version.is_latest else "false"
    head = (
        f"<Key>{page.encode(version.key)}</Key><VersionId>{version.id or 'null'}</VersionId>"
        f"<IsLatest>{latest}</IsLatest><LastModified>{format_iso(version.mtime_ns)}</LastModified>"
    )
    node = version.node
    if node is None:
        return f"<DeleteMarker>{head}{owner}</DeleteMarker>"
    storage = element("StorageClass", node.meta.headers.get(_CLASS, STANDARD))
    return (
        f"<Version>{head}<ETag>&quot;{_etag_of(node)}&quot;</ETag>{checksum_facts(node.meta.checksum)}"
        f"<Size>{node.size}</Size>{owner}{storage}</Version>"
    )


def _etag_of(node: Node) -> str:
    return EMPTY_MD5 if node.is_folder else node.effective_etag
