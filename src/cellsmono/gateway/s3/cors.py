"""CORS: which answers the scripts of other sites' pages may see, and what a browser asks for them beforehand.

Source: "Cross-origin resource sharing" in the S3 user guide; the headers are those of the Fetch standard.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from multidict import MultiMapping

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_empty
from cellsmono.interfaces.bucket_settings import CorsRule

METHODS: Final = ("GET", "PUT", "POST", "DELETE", "HEAD")
_VARY: Final = ("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
_MAX_ASKED: Final = 100
"""Headers that one preflight may ask for."""


def build_cors_headers(rules: Sequence[CorsRule], method: str, headers: MultiMapping[str]) -> list[tuple[str, str]]:
    """What any answer of a bucket with these rules says to a browser, and to caches between it and us."""
    origin = headers.get("origin")
    rule = None if origin is None else _find_rule(rules, origin, method, ())
    if origin is None or rule is None:
        return [_VARY]
    return [*_describe_rule(rule, origin), _VARY]


async def answer_preflight(s3: S3Context, request: S3Request) -> Reply:
    """OPTIONS: a browser asks, unsigned, whether a page may send a request."""
    origin = request.headers.get("origin")
    method = request.headers.get("access-control-request-method")
    if origin is None:
        raise S3Error("BadRequest", "Insufficient information. Origin request header needed.")
    if method not in METHODS:
        raise S3Error("BadRequest", f"Invalid Access-Control-Request-Method: {method or 'null'}")
    settings = s3.router.find_settings(request.bucket)
    if settings is None or not settings.cors:
        raise _forbid(request, "CORSResponse: CORS is not enabled for this bucket.")
    asked = _read_asked(request.headers.get("access-control-request-headers", ""))
    rule = _find_rule(settings.cors, origin, method, asked)
    if rule is None:
        raise _forbid(
            request,
            "CORSResponse: This CORS request is not allowed. This is usually because the evaluation of Origin, request"
            " method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the"
            " resource's CORS spec.",
        )
    headers = _describe_rule(rule, origin)
    if asked:
        headers.append(("Access-Control-Allow-Headers", ", ".join(asked)))
    return reply_empty(200, [*headers, _VARY])


def _forbid(request: S3Request, message: str) -> S3Error:
    kind = "OBJECT" if request.key else "BUCKET"
    method = request.headers.get("access-control-request-method", "")
    return S3Error("AccessForbidden", message, fields={"Method": method, "ResourceType": kind}, headers=dict([_VARY]))


def _read_asked(text: str) -> list[str]:
    asked = [name.strip().lower() for name in text.split(",") if name.strip()]
    if len(asked) > _MAX_ASKED:
        raise S3Error("BadRequest", f"Access-Control-Request-Headers names more than {_MAX_ASKED} headers.")
    return asked


def _find_rule(rules: Sequence[CorsRule], origin: str, method: str, asked: Iterable[str]) -> CorsRule | None:
    """The first rule that allows all of it."""
    for rule in rules:
        if (
            method in rule.methods
            and any(_fits(pattern, origin) for pattern in rule.origins)
            and all(any(_fits(pattern, name) for pattern in rule.headers) for name in asked)
        ):
            return rule
    return None


def _fits(pattern: str, text: str) -> bool:
    """Whether a text is of a form with at most one ``*``."""
    start, star, end = pattern.partition("*")
    if not star:
        return text == pattern
    return len(text) >= len(start) + len(end) and text.startswith(start) and text.endswith(end)


def _describe_rule(rule: CorsRule, origin: str) -> list[tuple[str, str]]:
    is_for_all = "*" in rule.origins
    headers = [
        ("Access-Control-Allow-Origin", "*" if is_for_all else origin),
        ("Access-Control-Allow-Methods", ", ".join(rule.methods)),
    ]
    if rule.exposed:
        headers.append(("Access-Control-Expose-Headers", ", ".join(rule.exposed)))
    if rule.max_age is not None:
        headers.append(("Access-Control-Max-Age", str(rule.max_age)))
    if not is_for_all:
        headers.append(("Access-Control-Allow-Credentials", "true"))
    return headers
