"""What the errors of an S3 server and of the way to it mean for a caller: one table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

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


class BrokenAnswer(Exception):
    """An answer that ended too early."""


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
    Unavailable,
    "region",
    "The bucket is in another region, or behind another endpoint; set the datasource's 'region' and 'endpoint'.",
)

_STRANGER: Explained = (
    Unavailable,
    "offline",
    "What answers is no S3 server, or something else answers in its place; check the datasource's 'endpoint'.",
)
_SLOW: Explained = (Unavailable, "busy", "The S3 server does not answer in time; try again later.")

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
    "Throttling": _BUSY,
    "TooManyRequests": _BUSY,
    "429": _BUSY,
    "404": _STRANGER,
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
    "XMinioInvalidObjectName": (Invalid, "key", "The S3 server takes no object of this name; choose another one."),
    "InvalidObjectState": (Forbidden, "archived", "The object is archived; restore it on the S3 server first."),
    "BucketAlreadyExists": (Conflict, "bucket", "Somebody has a bucket of this name on the S3 server already."),
    "BucketAlreadyOwnedByYou": (Conflict, "bucket", "There is a bucket of this name on the S3 server already."),
    "BucketNotEmpty": (Conflict, "not_empty", "The bucket is not empty."),
    "MethodNotAllowed": _REFUSED,
    "NotImplemented": (Unavailable, "unsupported", "The S3 server does not know this operation."),
}

_ABSENT = frozenset({"NoSuchKey", "NoSuchVersion"})
_UNNAMEABLE = frozenset({"XMinioInvalidObjectName"})
_ABSENT_READ = _ABSENT | _UNNAMEABLE
_ABSENT_HEAD = _ABSENT_READ | {"404", "NotFound"}
"""Codes that mean: there is no such object. A HEAD has no body, so no better code than its status; anywhere else a bare
404 comes from something that is no S3 server, and tells nothing about objects. At a name that can not be there is
nothing."""
_ABSENT_BY_OPERATION = {"HeadObject": _ABSENT_HEAD, "GetObject": _ABSENT_READ}

_PASSING = frozenset({"RequestTimeout", "RequestTimeoutException", "SlowDown", "Throttling", "TooManyRequests", "429"})
_NOT_PASSING_STATUS = 501

LONGEST_QUOTE = 200
"""How much of what the server says itself is passed on."""

_FIRST_SERVER_ERROR = 500


def code_of(error: BaseException | None) -> str:
    """The S3 error code of a refusal, or its status as text; empty for everything else."""
    if not isinstance(error, boto.ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code") or _status_of(error))


def is_passing(error: BaseException) -> bool:
    """Whether the same call may succeed a moment later: the server or the way to it failed, and nobody was refused."""
    if isinstance(error, boto.ClientError):
        status = _status_of(error)
        return code_of(error) in _PASSING or (status >= _FIRST_SERVER_ERROR and status != _NOT_PASSING_STATUS)
    if isinstance(error, boto.SSLError | boto.ProxyConnectionError):
        return False
    return isinstance(error, boto.HTTPClientError | ResponseParserError | TimeoutError | BrokenAnswer)


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
    if isinstance(error, boto.ParamValidationError):
        return Invalid(f"This can not be sent to the S3 server: {error}", reason="key", path=key)
    if isinstance(error, ResponseParserError | BrokenAnswer):
        kind, reason, text = _STRANGER
        return kind(text, reason=reason, path=key)
    if isinstance(error, TimeoutError | boto.ReadTimeoutError):
        kind, reason, text = _SLOW
        return kind(text, reason=reason, path=key)
    text = "The S3 server does not answer; check the datasource's 'endpoint', the network, and the server."
    return Unavailable(text, reason="offline", path=key)


def _explain_refusal(error: boto.ClientError, key: str) -> CellsError:
    code, status = code_of(error), _status_of(error)
    if code in _ABSENT_BY_OPERATION.get(error.operation_name, _ABSENT):
        return NotFound(f"There is nothing at '{key}'.", reason="key", path=key)
    found = _CODES.get(code)
    if found is None and status >= _FIRST_SERVER_ERROR:
        found = _BUSY
    if found is None:
        return Corrupt(f"The S3 server refuses '{key}' ({code or status}).", reason="refused", path=key)
    kind, reason, text = found
    said = str(error.response.get("Error", {}).get("Message") or "")[:LONGEST_QUOTE]
    return kind(f"{text} ({code}{': ' if said else ''}{said})", reason=reason, path=key)


def _status_of(error: boto.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def explained(key: str = "") -> Iterator[None]:
    """Turn what a call to the server raises into the domain's errors."""
    try:
        yield
    except (boto.ClientError, boto.BotoCoreError, ResponseParserError, BrokenAnswer, TimeoutError) as error:
        raise explain(error, key) from error
    except RecursionError as error:  # the client goes on asking for the region where every answer is a redirect
        kind, reason, text = _REGION
        raise kind(text, reason=reason, path=key) from error


@contextmanager
def whole_answers() -> Iterator[None]:
    """Turn what reading an answer raises when the connection breaks into BrokenAnswer, where the client does not."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.startswith("aiohttp.") or isinstance(error, boto.IncompleteReadError):
            raise BrokenAnswer(str(error)) from error
        raise
