"""What the errors of an S3 server and of the way to it mean for a caller: one table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from botocore import exceptions as boto

from cellsmono.kernel.errors import (
    CellsError,
    Conflict,
    Corrupt,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    QuotaExceeded,
    TooLarge,
    Unavailable,
)

Explained = tuple[Callable[..., CellsError], str, str]
"""The domain's error, its reason, and what is wrong and what to do."""

_KEYS: Explained = (
    Unavailable,
    "credentials",
    "The S3 server does not accept the access key or its secret; check the datasource's 'access_key' and 'secret_key'.",
)
_REFUSED: Explained = (
    Forbidden,
    "permission",
    "The S3 server refuses this to the access key; check the key and its secret, and give it the right to list, read, "
    "write and delete in the bucket.",
)
_CLOCK: Explained = (
    Unavailable,
    "clock",
    "The clocks of this machine and of the S3 server differ too much; set them right (NTP).",
)
_NO_BUCKET: Explained = (
    Unavailable,
    "offline",
    "The bucket is not on the server; check the datasource's 'bucket' and 'endpoint', or make the bucket.",
)
_BUSY: Explained = (Unavailable, "busy", "The S3 server has too much to do or failed; try again later.")
_PART: Explained = (Unavailable, "part", "The S3 server refuses a part of the upload, or lost it; upload it again.")
_DAMAGED: Explained = (Unavailable, "io", "The bytes were damaged on their way to the S3 server; repeat.")
_REGION: Explained = (
    Invalid,
    "region",
    "The bucket is in another region, or behind another endpoint; set the datasource's 'region' and 'endpoint'.",
)

_CODES: dict[str, Explained] = {
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "InvalidToken": _KEYS,
    "ExpiredToken": _KEYS,
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "AccessDenied": _REFUSED,
    "AllAccessDisabled": _REFUSED,
    "AccountProblem": _REFUSED,
    "403": _REFUSED,
    "RequestTimeTooSkewed": _CLOCK,
    "NoSuchBucket": _NO_BUCKET,
    "SlowDown": _BUSY,
    "InternalError": _BUSY,
    "ServiceUnavailable": _BUSY,
    "OperationAborted": _BUSY,
    "RequestTimeout": _BUSY,
    "NoSuchUpload": _PART,
    "InvalidPart": _PART,
    "InvalidPartOrder": _PART,
    "EntityTooSmall": _PART,
    "BadDigest": _DAMAGED,
    "XAmzContentChecksumMismatch": _DAMAGED,
    "InvalidDigest": _DAMAGED,
    "EntityTooLarge": (TooLarge, "size", "The S3 server stores no objects of this size."),
    "KeyTooLongError": (TooLarge, "key_length", "The key is longer than the S3 server allows."),
    "QuotaExceeded": (QuotaExceeded, "disk_full", "The quota on the S3 server is used up; make room and repeat."),
    "XMinioStorageFull": (QuotaExceeded, "disk_full", "The S3 server is full; make room and repeat."),
    "PreconditionFailed": (PreconditionFailed, "changed", "The object was replaced meanwhile."),
    "ConditionalRequestConflict": (PreconditionFailed, "changed", "The object was replaced meanwhile."),
    "412": (PreconditionFailed, "changed", "The object was replaced meanwhile."),
    "InvalidObjectState": (Forbidden, "archived", "The object is archived; restore it on the S3 server first."),
    "BucketAlreadyExists": (Conflict, "bucket", "Somebody has a bucket of this name on the S3 server already."),
    "BucketNotEmpty": (Conflict, "not_empty", "The bucket is not empty."),
    "MethodNotAllowed": _REFUSED,
    "NotImplemented": (Invalid, "unsupported", "The S3 server does not know this operation."),
}

ABSENT = frozenset({"NoSuchKey", "404", "NotFound", "NoSuchVersion"})
"""Codes that mean: there is no such object (a HEAD has no body, so no better code than its status)."""

LONGEST_QUOTE = 200
"""How much of what the server says itself is passed on."""

_FIRST_SERVER_ERROR = 500


def code_of(error: BaseException | None) -> str:
    """The S3 error code of a refusal, or its status as text; empty for everything else."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, boto.ClientError) else ""


def explain(error: BaseException, key: str = "") -> CellsError:
    """The domain's error for whatever a call to the server raised. The message holds no secret and no address of it."""
    if isinstance(error, boto.ClientError):
        return _explain_refusal(error, key)
    if isinstance(error, boto.SSLError):
        text = (
            "The S3 server's certificate is not trusted; name the authority's file in the datasource's 'ca_file', or "
            "use the name that the certificate is for."
        )
        return Unavailable(text, reason="tls", path=key)
    if isinstance(error, boto.ParamValidationError | boto.HTTPClientError | boto.BotoCoreError):
        if isinstance(error, boto.ParamValidationError | ValueError):
            return Invalid(f"This can not be sent to the S3 server: {error}", reason="key", path=key)
        text = "The S3 server does not answer; check the datasource's 'endpoint', the network, and the server."
        return Unavailable(text, reason="offline", path=key)
    return Unavailable(f"The S3 server could not be asked ({type(error).__name__}).", reason="io", path=key)


def _explain_refusal(error: boto.ClientError, key: str) -> CellsError:
    code = code_of(error)
    if code in ABSENT:
        return NotFound(f"There is nothing at '{key}'.", reason="key", path=key)
    found = _CODES.get(code)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if found is None and status >= _FIRST_SERVER_ERROR:
        found = _BUSY
    if found is None:
        return Corrupt(f"The S3 server refuses '{key}' ({code or status}).", reason="refused", path=key)
    kind, reason, text = found
    said = str(error.response.get("Error", {}).get("Message", ""))[:LONGEST_QUOTE]
    return kind(f"{text} ({code}{': ' if said else ''}{said})", reason=reason, path=key)


@contextmanager
def explained(key: str = "") -> Iterator[None]:
    """Turn what a call to the server raises into the domain's errors."""
    try:
        yield
    except (boto.ClientError, boto.BotoCoreError, boto.HTTPClientError, TimeoutError) as error:
        raise explain(error, key) from error
