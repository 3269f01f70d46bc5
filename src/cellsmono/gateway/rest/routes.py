"""Routes: what there is to ask, who may, and which one a request is for."""

import enum
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import msgspec

from cellsmono.gateway.rest.call import Caller, Handler
from cellsmono.gateway.rest.errors import RestError, bad_request
from cellsmono.interfaces.users import Profile

BASE = "/a"
"""Where it all begins. No bucket can be called so: the names of buckets have at least three characters."""


class Access(enum.Enum):
    """Who may use a route.

    OPEN: everybody, and a token is not looked at. ANYBODY: everybody, but a token that comes along must be good. USERS:
    whoever is signed in. STANDARD: ordinary users and administrators, not those who are there for one link. ADMINS:
    administrators.
    """

    OPEN = "open"
    ANYBODY = "anybody"
    USERS = "users"
    STANDARD = "standard"
    ADMINS = "admins"


_LEAST = {Access.USERS: Profile.SHARED, Access.STANDARD: Profile.STANDARD, Access.ADMINS: Profile.ADMIN}


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path.

    ``path`` may end in ``{Name}``, which takes one segment, or ``{Name*}``, which takes all that follow. ``name`` is
    what metrics and the log call it. ``takes`` is the struct of the body, ``gives`` that of the answer; None where
    there is none, or where it is no JSON (``media``; ``sends`` for the body). ``query`` are the fields of the query,
    with what they mean. ``bound``: tokens that are bound to nodes may use it, too.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    access: Access
    handler: Handler
    takes: Any = None
    gives: Any = None
    media: str = "application/json"
    sends: str = ""
    query: dict[str, str] = {}
    bound: bool = False

    @property
    def parameter(self) -> str:
        """The name of what the path ends in, empty where it ends in nothing of the kind."""
        _, brace, name = self.path.partition("{")
        return name.rstrip("*}") if brace else ""

    @property
    def is_tail(self) -> bool:
        """Whether the parameter takes all segments that follow."""
        return self.path.endswith("*}")

    def check_access(self, caller: Caller) -> None:
        """Raise RestError (401 for who is not signed in, 403 for who may not)."""
        least = _LEAST.get(self.access)
        if least is None:
            return
        if caller.user is None:
            raise unauthorized("Sign in first: send a token as `Authorization: Bearer TOKEN`")
        if caller.is_bound and not self.bound:
            raise RestError(403, "scope", "This token is bound to nodes, and good for nothing but files")
        if caller.profile.rank < least.rank:
            raise RestError(403, "forbidden", "You may not do this")


def unauthorized(message: str, code: str = "unauthorized") -> RestError:
    """401, which says how to sign in."""
    return RestError(401, code, message, [("WWW-Authenticate", 'Bearer realm="cellsmono"')])


class Table:
    """All routes, and how one is found."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._exact: dict[str, dict[str, Route]] = {}
        self._open: dict[str, dict[str, Route]] = {}
        for route in routes:
            prefix, brace, _ = route.path.partition("{")
            methods = (self._open if brace else self._exact).setdefault(prefix, {})
            if route.method in methods:
                raise ValueError(f"{route.method} {route.path} is declared twice")
            methods[route.method] = route
        self._prefixes = sorted(self._open, key=len, reverse=True)

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
        """The route of a request, and what its path says. ``raw_path`` is as it came, without ``BASE``.

        Raises RestError: 404, 405, and 400 for a path that can not be read.
        """
        wanted = "GET" if method == "HEAD" else method
        allowed: set[str] = set()
        methods = self._exact.get(raw_path)
        if methods is not None:
            if wanted in methods:
                return methods[wanted], {}
            allowed |= methods.keys()
        for prefix in self._prefixes:
            rest = raw_path[len(prefix) :]
            if not (raw_path.startswith(prefix) and rest):
                continue
            methods = {name: each for name, each in self._open[prefix].items() if each.is_tail or "/" not in rest}
            if wanted in methods:
                return methods[wanted], {methods[wanted].parameter: unquote_path(rest)}
            allowed |= methods.keys()
        if allowed:
            names = ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
            raise RestError(405, "method", f"The method must be one of {names} here", [("Allow", names)])
        raise RestError(404, "route", "There is nothing at this address; GET /a/config/discovery/openapi lists it all")


def unquote_path(text: str) -> str:
    """Decode what a path says: UTF-8, percent-encoded, where ``%2F`` is ``/`` as well. Raises RestError (400)."""
    try:
        found = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise bad_request("The path is not UTF-8", "path") from None
    if "\0" in found:
        raise bad_request("A path can not hold NUL", "path")
    return found
