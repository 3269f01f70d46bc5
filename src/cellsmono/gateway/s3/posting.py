"""PostObject: uploads by browser forms."""

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.request import S3Context, S3Request


async def post_object(s3: S3Context, request: S3Request) -> Reply:
    """PostObject."""
    raise S3Error("NotImplemented")
