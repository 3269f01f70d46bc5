"""Access control lists in their three forms (canned name, grant headers, document), of which the canned ones are kept.

There is one owner, who always has full control; an ACL can only add what everybody may do. So a set of grants is kept
when it equals a canned ACL, and refused otherwise: to keep half of it would be a lie.
"""

import re
from collections.abc import Iterable
from typing import Final
from xml.etree.ElementTree import Element

from multidict import MultiMapping

from cellsmono.gateway.s3 import xml_read
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.settings import OWNER_ID
from cellsmono.interfaces.bucket_settings import CannedAcl

GROUPS: Final = "http://acs.amazonaws.com/groups/global/"
EVERYBODY: Final = GROUPS + "AllUsers"
SIGNED: Final = GROUPS + "AuthenticatedUsers"

Grant = tuple[str, str]
"""The URI of a group, and a permission."""

GRANTS: Final[dict[CannedAcl, frozenset[Grant]]] = {
    "": frozenset(),
    "authenticated-read": frozenset({(SIGNED, "READ")}),
    "public-read": frozenset({(EVERYBODY, "READ")}),
    "public-read-write": frozenset({(EVERYBODY, "READ"), (EVERYBODY, "WRITE")}),
}
"""What each ACL grants beside the owner's full control, from the narrowest to the widest."""

_CANNED: Final[dict[str, CannedAcl]] = {
    "private": "",
    "bucket-owner-read": "",
    "bucket-owner-full-control": "",
    "authenticated-read": "authenticated-read",
    "public-read": "public-read",
    "public-read-write": "public-read-write",
}
_UNSUPPORTED: Final = frozenset({"aws-exec-read", "log-delivery-write"})
_HEADERS: Final = {
    "x-amz-grant-read": "READ",
    "x-amz-grant-write": "WRITE",
    "x-amz-grant-read-acp": "READ_ACP",
    "x-amz-grant-write-acp": "WRITE_ACP",
    "x-amz-grant-full-control": "FULL_CONTROL",
}
_PERMISSIONS: Final = frozenset(_HEADERS.values())
_GRANTEE: Final = re.compile(r'\s*(id|uri|emailAddress)\s*=\s*"?([^",]*)"?\s*', re.IGNORECASE)


def is_acl_header(name: str) -> bool:
    """Whether a header (lower-case) says something about an ACL."""
    return name == "x-amz-acl" or name in _HEADERS


def read_acl_headers(headers: MultiMapping[str]) -> CannedAcl | None:
    """The ACL that headers ask for, None when none does. Raises S3Error for one that can not be kept."""
    found = {name: headers[name] for name in _HEADERS if name in headers}
    canned = headers.get("x-amz-acl")
    if canned is None:
        return _find_canned(_read_grant_headers(found)) if found else None
    if found:
        raise S3Error("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
    if canned in _UNSUPPORTED:
        raise S3Error("NotImplemented", f"The canned ACL {canned} is about services that are not here.")
    if canned not in _CANNED:
        raise invalid_argument("The canned ACL is not known.", "x-amz-acl", canned)
    return _CANNED[canned]


def _read_grant_headers(found: dict[str, str]) -> Iterable[Grant]:
    for name, value in found.items():
        for piece in value.split(","):
            match = _GRANTEE.fullmatch(piece)
            if match is None:
                raise invalid_argument("Argument format not recognized", name, value)
            kind, grantee = match.groups()
            yield from _read_grantee(kind.lower(), grantee, _HEADERS[name])


def read_acl_document(body: bytes) -> CannedAcl:
    """The ACL of an ``AccessControlPolicy`` document. Raises S3Error MalformedACLError and as for headers."""
    root = xml_read.parse_xml(body, "AccessControlPolicy")
    lists = root.findall("AccessControlList")
    if len(lists) != 1:
        raise S3Error("MalformedACLError")
    return _find_canned(grant for row in xml_read.only_children(lists[0], "Grant") for grant in _read_row(row))


def _read_row(row: Element) -> Iterable[Grant]:
    grantees = row.findall("Grantee")
    permission = xml_read.child_text(row, "Permission")
    if len(grantees) != 1 or permission not in _PERMISSIONS:
        raise S3Error("MalformedACLError")
    kinds = {"ID": "id", "URI": "uri", "EmailAddress": "emailaddress"}
    named = [(kinds[child.tag], (child.text or "").strip()) for child in grantees[0] if child.tag in kinds]
    if len(named) != 1:
        raise S3Error("MalformedACLError")
    return _read_grantee(*named[0], permission)


def _read_grantee(kind: str, grantee: str, permission: str) -> Iterable[Grant]:
    """The grant; none for the owner, to whom there is nothing to add."""
    if kind == "uri" and grantee in {EVERYBODY, SIGNED}:
        return [(grantee, permission)]
    if kind == "id" and grantee == OWNER_ID:
        return []
    raise invalid_argument(f"Invalid {kind}", f"CanonicalUser/{kind}", grantee)


def _find_canned(grants: Iterable[Grant]) -> CannedAcl:
    wanted = frozenset(grants)
    for acl, granted in GRANTS.items():
        if granted == wanted:
            return acl
    raise S3Error("NotImplemented", f"Only grants that equal one of {', '.join(sorted(_CANNED))} are implemented.")
