"""Errors on the wire: the one table from the domain to HTTP, and the two forms in which a client can have them."""

import errno
from typing import Final

import msgspec

from cellsmono.gateway.http import Exchange, Reply
from cellsmono.kernel import errors as domain

JSON_TYPE: Final = "application/json"
PROBLEM_TYPE: Final = "application/problem+json"

STATUSES: Final = {
    "not_found": 404,
    "already_exists": 409,
    "conflict": 409,
    "precondition_failed": 412,
    "forbidden": 403,
    "invalid": 400,
    "too_large": 413,
    "quota_exceeded": 422,  # as Cells has it; clients know it as "no room"
    "locked": 423,
    "unavailable": 503,
    "corrupt": 500,
}
"""Code of an error of the domain: HTTP status."""

_TITLES: Final = {
    400: "The request is wrong",
    401: "Sign in first",
    403: "Access denied",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    411: "Length required",
    412: "Precondition failed",
    413: "Too large",
    415: "Unsupported media type",
    416: "Range not satisfiable",
    422: "Quota exceeded",
    423: "Locked",
    503: "Unavailable",
    507: "Storage full",
}


class RestError(Exception):
    """An answer that only this protocol knows. ``headers`` go with it."""

    def __init__(self, status: int, code: str, message: str, headers: list[tuple[str, str]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.path = ""
        self.headers = headers or []


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """``restError`` of Cells. ``code`` is stable and meant for programs, ``source`` the path that it is about."""

    title: str
    detail: str
    code: str
    source: str = ""
    meta: dict[str, str] = {}


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The same as RFC 9457 has it, for clients that accept ``application/problem+json``."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    instance: str = ""


def bad_request(message: str, code: str = "invalid") -> RestError:
    """400 with a sentence that says what is wrong."""
    return RestError(400, code, message)


def from_domain(error: BaseException) -> RestError:
    """What a client is told about any exception; of what nobody foresaw it learns nothing but that it happened."""
    if isinstance(error, RestError):
        return error
    if isinstance(error, domain.CellsError):
        known = STATUSES.get(error.code, 500)
        status = 507 if error.reason == "disk_full" else known
        if status == 500:  # noqa: PLR2004
            return RestError(500, "internal", "The server could not do this; its log says why")
        told = RestError(status, error.code, error.message)
        told.path = error.path
        if status == 503:  # noqa: PLR2004
            told.headers.append(("Retry-After", "1"))
        return told
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return RestError(507, "disk_full", "There is no space left on the storage")
    return RestError(500, "internal", "The server could not do this; its log says why")


def reply_error(exchange: Exchange, error: RestError) -> Reply:
    """The answer, in the form that the client asked for."""
    title = error.message if error.code == "login" else _TITLES.get(error.status, "The server failed")
    if PROBLEM_TYPE in exchange.headers.get("Accept", ""):
        problem = ProblemBody(
            type=f"urn:cellsmono:error:{error.code}",
            title=title,
            status=error.status,
            detail=error.message,
            code=error.code,
            request_id=exchange.request_id,
            instance=error.path,
        )
        return Reply(error.status, [("Content-Type", PROBLEM_TYPE), *error.headers], msgspec.json.encode(problem))
    body = ErrorBody(title, error.message, error.code, error.path, {"RequestId": exchange.request_id})
    return Reply(error.status, [("Content-Type", JSON_TYPE), *error.headers], msgspec.json.encode(body))
