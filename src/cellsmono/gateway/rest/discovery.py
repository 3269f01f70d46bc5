"""What everybody may know about this server."""

from typing import Final

import msgspec

import cellsmono
from cellsmono.gateway.rest.call import Call, RestContext

PACKAGE: Final = "cellsmono"
LABEL: Final = "Cells Mono"


class Discovery(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """What this is, and where its other endpoints are, as paths on the same server."""

    package_type: str
    package_label: str
    version: str
    build_stamp: str = ""
    build_revision: str = ""
    endpoints: dict[str, str] = {}


async def read_discovery(rest: RestContext, call: Call, body: None) -> Discovery:
    """GET /config/discovery."""
    return Discovery(
        package_type=PACKAGE,
        package_label=LABEL,
        version=cellsmono.__version__,
        endpoints={"rest": "/a", "content": "/a/io", "s3": "/"},
    )
