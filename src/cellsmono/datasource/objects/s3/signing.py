"""What the client is taught about signatures. Imported with the client, because it imports the client's library."""

import hashlib
from base64 import b64encode
from typing import Any

from botocore.auth import AUTH_TYPE_MAPS, S3SigV4Auth

from cellsmono.datasource.objects.s3.endpoint import OLD_SIGNATURE, Endpoint

_KNOWN = "cellsmono-s3v4"


class KnownSums(S3SigV4Auth):  # type: ignore[misc]  # the library has no types
    """Version 4, with the SHA-256 that a body brings along in place of one that is computed on the event loop."""

    def payload(self, request: Any) -> str:
        """What stands for the body in the signature."""
        known: str = getattr(request.body, "sha256", "")
        if known and self._should_sha256_sign_payload(request):
            return known
        return str(super().payload(request))


AUTH_TYPE_MAPS[_KNOWN] = KnownSums


def teach(client: Any, endpoint: Endpoint) -> None:
    """Let a client sign and protect bodies as this endpoint wants it."""
    events = client.meta.events
    if endpoint.signature == OLD_SIGNATURE:
        events.register("before-sign.s3", _end_bucket_path)
    else:
        events.register_last("choose-signer.s3", _choose)
    if not endpoint.checksums:
        events.register("before-call.s3.DeleteObjects", _add_md5)


def _choose(signature_version: Any, **_: Any) -> str | None:
    return _KNOWN if signature_version == "s3v4" else None


def _end_bucket_path(request: Any, **_: Any) -> None:
    """Let a request for a bucket itself go to ``/bucket/`` where the client signs that.

    In version 2 the client signs a path that ends with a slash and sends one that does not. AWS bears with it; MinIO
    and others sign what they see, as the specification says, and refuse it.
    """
    bare, mark, query = request.url.partition("?")
    signed = request.auth_path or ""
    if signed.endswith("/") and bare.endswith(signed.removesuffix("/")):
        request.url = f"{bare}/{mark}{query}"


def _add_md5(params: dict[str, Any], **_: Any) -> None:
    """The one call whose body S3 wants protected: by the only sum that every server knows."""
    for name in [name for name in params["headers"] if name.lower().startswith(("x-amz-checksum", "x-amz-sdk-check"))]:
        del params["headers"][name]
    params["context"].pop("checksum", None)
    params["headers"]["Content-MD5"] = b64encode(hashlib.md5(params["body"], usedforsecurity=False).digest()).decode()
