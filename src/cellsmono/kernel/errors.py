"""The errors of the domain. No HTTP status stands here: each gateway has one table from error to wire."""

from typing import ClassVar


class CellsError(Exception):
    """Base of every error that a caller is meant to see.

    ``code`` is stable and machine-readable. ``reason`` narrows it down for gateways whose protocol has a
    finer vocabulary (for example ``reason="bad_digest"`` under ``invalid``). The message is a sentence that says what
    is wrong and, where something can be done, what to do.
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, reason: str = "", path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.path = path


class NotFound(CellsError):
    """The node, object, bucket, upload or key does not exist."""

    code = "not_found"


class AlreadyExists(CellsError):
    """The thing to be created is there already."""

    code = "already_exists"


class Conflict(CellsError):
    """The state does not allow the operation (folder not empty, file where a folder is needed, ...)."""

    code = "conflict"


class PreconditionFailed(CellsError):
    """A condition stated by the caller (If-Match, If-None-Match, ...) does not hold."""

    code = "precondition_failed"


class Forbidden(CellsError):
    """The actor may not do this, or the credentials are not accepted."""

    code = "forbidden"


class Invalid(CellsError):
    """The request itself is wrong: repeating it unchanged cannot help."""

    code = "invalid"


class TooLarge(CellsError):
    """A limit on size, length or number is exceeded."""

    code = "too_large"


class QuotaExceeded(CellsError):
    """The storage is full, or a quota is used up."""

    code = "quota_exceeded"


class Locked(CellsError):
    """Somebody else holds the thing: another process the data folder, another user a node."""

    code = "locked"


DISK_FAILED = "disk_failed"
"""The ``reason`` of an Unavailable that says: a disk lost what it was told to keep, and must not be relied on."""


class Unavailable(CellsError):
    """The storage or a service does not answer now (offline disk, stopping, too many requests)."""

    code = "unavailable"
    retryable = True


class Corrupt(CellsError):
    """Stored data contradicts itself; nothing was changed."""

    code = "corrupt"
