"""How the S3 endpoint is set up."""

from typing import Final

import msgspec

from cellsmono.gateway.s3.xml_write import Owner
from cellsmono.interfaces.lifecycle import DAY_SECONDS

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB

OWNER_ID: Final = "0c5e11500c5e11500c5e11500c5e11500c5e11500c5e11500c5e11500c5e1150"
"""The canonical id that listings and ACLs name: AWS's form (64 hexadecimal digits), the same on every installation."""
OWNER_NAME: Final = "owner"
OWNER: Final = Owner(OWNER_ID, OWNER_NAME)

STORAGE_CLASSES: Final = frozenset(
    {
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "DEEP_ARCHIVE",
        "GLACIER_IR",
        "EXPRESS_ONEZONE",
        "OUTPOSTS",
        "SNOW",
    }
)
"""Names that are kept and shown again; every object is stored alike."""


class S3Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The S3 endpoint's settings.

    ``domains`` are host names whose sub-domains are buckets. ``sigv2`` accepts the older signatures too.
    ``max_put_bytes`` bounds a single PUT or part, ``max_object_bytes`` a multipart upload, ``xml_bytes`` an XML body,
    ``form_bytes`` the fields of a POST form. ``min_part_bytes`` is the least size of every part but the last.
    ``day_seconds`` is the length of a day in lifecycle rules. ``insecure_client_keys`` takes keys of clients (SSE-C)
    also over connections that others can read.
    """

    region: str = "us-east-1"
    domains: tuple[str, ...] = ()
    sigv2: bool = True
    clock_skew_seconds: int = 900
    max_put_bytes: int = 5 * GIB
    max_object_bytes: int = 5 * 1024 * GIB
    min_part_bytes: int = 5 * MIB
    xml_bytes: int = 2 * MIB
    form_bytes: int = 64 * 1024
    day_seconds: float = DAY_SECONDS
    insecure_client_keys: bool = False
