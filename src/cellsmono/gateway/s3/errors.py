"""The errors of the S3 protocol: AWS's codes with their HTTP status, and the one table from domain error to wire.

Source: "Error responses" in the Amazon S3 API reference. Codes that AWS does not have (a full disk, a file where a
folder is needed) are said so beside them.
"""

import errno
from collections.abc import Callable
from typing import Final

from cellsmono.gateway.s3.escaping import escape_text
from cellsmono.kernel import errors as domain

ERRORS: Final[dict[str, tuple[int, str]]] = {
    "AccessControlListNotSupported": (400, "The bucket does not allow ACLs"),
    "AccessDenied": (403, "Access Denied"),
    "AccessForbidden": (403, "CORSResponse: This CORS request is not allowed."),
    "AuthorizationHeaderMalformed": (400, "The authorization header that you provided is not valid."),
    "AuthorizationQueryParametersError": (400, "The authorization query parameters that you provided are not valid."),
    "BadDigest": (400, "The Content-MD5 or checksum value that you specified did not match what the server received."),
    "BadRequest": (400, "The request is not valid."),
    "BucketAlreadyExists": (409, "The requested bucket name is not available. Select a different name and try again."),
    "BucketAlreadyOwnedByYou": (
        409,
        "The bucket that you tried to create already exists, and you own it.",
    ),
    "BucketNotEmpty": (409, "The bucket that you tried to delete is not empty."),
    "ConditionalRequestConflict": (
        409,
        "A conflicting operation occurred during the conditional request. Retry the request.",
    ),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed object size."),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed object size."),
    "ExpiredToken": (400, "The provided token has expired."),
    "IllegalVersioningConfigurationException": (
        400,
        "The versioning configuration specified in the request is not valid.",
    ),
    "IllegalLocationConstraintException": (400, "The location constraint is not valid for this server's region."),
    "IncompleteBody": (400, "You did not provide the number of bytes specified by the Content-Length HTTP header."),
    "IncorrectNumberOfFilesInPostRequest": (400, "POST requires exactly one file upload per request."),
    # Not AWS's: the disk below is full. 507 is WebDAV's status for it (RFC 4918 section 11.5).
    "InsufficientStorage": (507, "There is no space left on the storage. Free some and try again."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The AWS Access Key Id you provided does not exist in our records."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketAclWithObjectOwnership": (
        400,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    ),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidBucketState": (409, "The request is not valid for the current state of the bucket."),
    "InvalidDigest": (400, "The Content-MD5 or checksum value that you specified is not valid."),
    "InvalidEncryptionAlgorithmError": (400, "The encryption request that you specified is not valid."),
    "InvalidLocationConstraint": (400, "The specified location constraint is not valid."),
    "InvalidObjectState": (403, "The operation is not valid for the current state of the object."),
    "InvalidPart": (
        400,
        "One or more of the specified parts could not be found. The part might not have been uploaded, or the specified"
        " entity tag might not have matched the part's entity tag.",
    ),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable"),
    "InvalidPartOrder": (400, "The list of parts was not in ascending order. Parts must be ordered by part number."),
    "InvalidPolicyDocument": (400, "The content of the form does not meet the conditions of the policy document."),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRedirectLocation": (400, "The website redirect location must start with 'http://', 'https://' or '/'."),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidStorageClass": (400, "The storage class that you specified is not valid."),
    "InvalidTag": (400, "The tag provided was not a valid tag."),
    "InvalidToken": (400, "The provided token is malformed or otherwise not valid."),
    "InvalidURI": (400, "The specified URI couldn't be parsed."),
    # Not AWS's: on a real disk a file and a folder can not share one name.
    "KeyConflict": (409, "The key can not be stored: a file stands where a folder is needed, or the other way round."),
    "KeyTooLongError": (400, "Your key is too long"),
    "MalformedACLError": (400, "The ACL that you provided was not well formed or did not validate."),
    "MalformedPOSTRequest": (400, "The body of your POST request is not well-formed multipart/form-data."),
    "MalformedPolicy": (400, "Policies must be valid JSON and the first byte must be '{'"),
    "MalformedTrailerError": (
        400,
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    ),
    "MalformedXML": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    "MaxMessageLengthExceeded": (400, "Your request was too large."),
    "MaxPostPreDataLengthExceededError": (400, "Your POST request fields preceding the upload file were too large."),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size."),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingRequestBodyError": (400, "Request Body is empty"),
    "MissingSecurityHeader": (400, "Your request is missing a required header."),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist"),
    "NoSuchConfiguration": (404, "The specified configuration does not exist."),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist"),
    "NoSuchObjectLockConfiguration": (404, "The specified object does not have a ObjectLock configuration"),
    "NoSuchPublicAccessBlockConfiguration": (404, "The public access block configuration was not found"),
    "NoSuchTagSet": (404, "The TagSet does not exist"),
    "NoSuchUpload": (
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or"
        " completed.",
    ),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NoSuchWebsiteConfiguration": (404, "The specified bucket does not have a website configuration"),
    "NotImplemented": (501, "A header you provided implies functionality that is not implemented."),
    "NotModified": (304, "Not Modified"),
    "ObjectLockConfigurationNotFoundError": (
        404,
        "Object Lock configuration does not exist for this bucket",
    ),
    # Not AWS's: a user has locked the file, so that others leave it alone. 423 is WebDAV's status (RFC 4918, 11.3).
    "ObjectLocked": (423, "The object is locked by another user."),
    "OperationAborted": (
        409,
        "A conflicting conditional operation is currently in progress against this resource. Please try again.",
    ),
    "OwnershipControlsNotFoundError": (404, "The bucket ownership controls were not found"),
    "PermanentRedirect": (301, "The bucket must be addressed using the specified endpoint."),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
    # Not AWS's: a quota of this server, not of an AWS account. Code and status are Ceph's, which clients give up on at
    # once; some repeat whatever has a status of 5xx.
    "QuotaExceeded": (403, "The quota is used up. Delete something, or ask the owner for more."),
    "ReplicationConfigurationNotFoundError": (404, "The replication configuration was not found"),
    "RequestHeaderSectionTooLarge": (400, "Your request header section exceeds the maximum allowed size."),
    "RequestTimeTooSkewed": (
        403,
        "The difference between the request time and the current time is too large.",
    ),
    "RequestTimeout": (
        400,
        "Your socket connection to the server was not read from or written to within the timeout period.",
    ),
    "ServerSideEncryptionConfigurationNotFoundError": (
        404,
        "The server side encryption configuration was not found",
    ),
    "ServiceUnavailable": (503, "Service is unable to handle request. Reduce your request rate or try again later."),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and signing"
        " method.",
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "TooManyParts": (400, "You have attempted to use more parts than are allowed."),
    "UnexpectedContent": (400, "This request does not support content."),
    "UnsupportedArgument": (400, "The request contained an unsupported argument."),
    "UserKeyMustBeSpecified": (400, "The bucket POST must contain the specified field name. Check the order of fields"),
    "XAmzContentChecksumMismatch": (400, "The provided 'x-amz-checksum' header does not match what was computed."),
    "XAmzContentSHA256Mismatch": (400, "The provided 'x-amz-content-sha256' header does not match what was computed."),
}
"""Code: (HTTP status, default message)."""


class S3Error(Exception):
    """An answer in S3's own words.

    ``fields`` are further elements of the XML, in order (``Region``, ``ArgumentName``, ``HeadersNotSigned``, ...).
    They may repeat what a client sent, signatures included, so they belong into its answer and never into a log;
    ``str()`` of the error is safe to log. ``headers`` are extra response headers.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        resource: str = "",
        fields: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        status, default = ERRORS[code]
        self.code = code
        self.status = status
        self.message = message or default
        self.resource = resource
        self.fields = fields or {}
        self.headers = headers or {}
        super().__init__(f"{code}: {self.message}")


def invalid_argument(message: str, name: str, value: str) -> S3Error:
    """InvalidArgument with the argument it is about, as AWS writes it."""
    return S3Error("InvalidArgument", message, fields={"ArgumentName": name, "ArgumentValue": value})


def _not_found(error: domain.CellsError) -> S3Error:
    code = {
        "root": "NoSuchBucket",
        "policy": "NoSuchBucketPolicy",
        "version": "NoSuchVersion",
        "upload": "NoSuchUpload",
        "part": "InvalidPart",
        "access_key": "InvalidAccessKeyId",
    }.get(error.reason, "NoSuchKey")
    return S3Error(code)


def _already_exists(error: domain.CellsError) -> S3Error:
    return S3Error("BucketAlreadyExists" if error.reason == "reserved" else "BucketAlreadyOwnedByYou")


def _conflict(error: domain.CellsError) -> S3Error:
    if error.reason == "not_empty":
        return S3Error("BucketNotEmpty")
    if error.reason == "versioning":
        return S3Error("InvalidBucketState", error.message)
    if error.reason in {"parent_is_object", "is_folder", "exists"}:
        return S3Error("KeyConflict", error.message)
    return S3Error("OperationAborted", error.message)


def _precondition(error: domain.CellsError) -> S3Error:
    condition = {"if_match": "If-Match", "if_none_match": "If-None-Match"}.get(error.reason)
    return S3Error("PreconditionFailed", fields={"Condition": condition} if condition else None)


_INVALID_REASONS: Final[dict[str, tuple[str, bool]]] = {
    # reason: (code, whether the domain's sentence is the message)
    "bad_digest": ("BadDigest", True),
    "checksum": ("BadDigest", True),
    "payload_sha256": ("XAmzContentSHA256Mismatch", False),
    "chunk_signature": ("SignatureDoesNotMatch", False),
    "trailer": ("MalformedTrailerError", False),
    "length": ("IncompleteBody", False),
    "name": ("InvalidBucketName", False),
    "policy": ("MalformedPolicy", True),
    "acl": ("AccessControlListNotSupported", False),
    "acl_ownership": ("InvalidBucketAclWithObjectOwnership", False),
    "encryption": ("NotImplemented", True),
    "key": ("InvalidArgument", True),
    "part": ("InvalidPart", False),
    "part_order": ("InvalidPartOrder", False),
    "part_size": ("EntityTooSmall", False),
    "marker": ("MethodNotAllowed", False),
}


def _invalid(error: domain.CellsError) -> S3Error:
    code, is_own = _INVALID_REASONS.get(error.reason, ("InvalidRequest", True))
    return S3Error(code, error.message if is_own else "")


def _too_large(error: domain.CellsError) -> S3Error:
    code = {"key_length": "KeyTooLongError", "meta": "MetadataTooLarge"}
    return S3Error(code.get(error.reason, "EntityTooLarge"))


def _quota(error: domain.CellsError) -> S3Error:
    if error.reason == "disk_full":
        return S3Error("InsufficientStorage", error.message)
    return S3Error("QuotaExceeded", error.message)


def _locked(error: domain.CellsError) -> S3Error:
    by_user = error.reason in {"content_lock", "lock", "child_lock"}
    return S3Error("ObjectLocked" if by_user else "OperationAborted", error.message)


def _unavailable(error: domain.CellsError) -> S3Error:
    return S3Error("SlowDown" if error.reason == "busy" else "ServiceUnavailable", error.message)


_FROM_DOMAIN: Final[tuple[tuple[type[domain.CellsError], Callable[[domain.CellsError], S3Error]], ...]] = (
    (domain.NotFound, _not_found),
    (domain.AlreadyExists, _already_exists),
    (domain.Conflict, _conflict),
    (domain.PreconditionFailed, _precondition),
    (domain.Forbidden, lambda error: S3Error("AccessDenied", error.message)),
    (domain.Invalid, _invalid),
    (domain.TooLarge, _too_large),
    (domain.QuotaExceeded, _quota),
    (domain.Locked, _locked),
    (domain.Unavailable, _unavailable),
    (domain.Corrupt, lambda error: S3Error("InternalError")),
)


def from_domain(error: BaseException) -> S3Error:
    """What a client is told about any exception.

    An ``S3Error`` is passed through; the errors of the domain go by their class and ``reason``; a full disk is
    InsufficientStorage. Everything else becomes InternalError with the standard text: what an unexpected exception
    says may hold paths or values that are nobody's business, and belongs into the log.
    """
    if isinstance(error, S3Error):
        return error
    for kind, translate in _FROM_DOMAIN:
        if isinstance(error, kind):
            return translate(error)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return S3Error("InsufficientStorage")
    if isinstance(error, TimeoutError):
        return S3Error("RequestTimeout")
    return S3Error("InternalError")


def render(error: S3Error, request_id: str, host_id: str) -> bytes:
    """The error document. Answers to HEAD and with status 304 have no body: leave it out there."""
    fields = {"Code": error.code, "Message": error.message, **error.fields}
    if error.resource:
        fields["Resource"] = error.resource
    fields["RequestId"] = request_id
    fields["HostId"] = host_id
    inner = "".join(f"<{name}>{escape_text(value)}</{name}>" for name, value in fields.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode("utf-8", "replace")
