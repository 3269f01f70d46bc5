"""One request as the handlers see it, and what they work with."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from cellsmono.gateway.http import Exchange
from cellsmono.gateway.rest.errors import bad_request
from cellsmono.gateway.rest.paging import Cursors
from cellsmono.interfaces.bearers import Bearers
from cellsmono.interfaces.operations import Operations
from cellsmono.interfaces.people import People
from cellsmono.interfaces.policies import Policies
from cellsmono.interfaces.router import Actor, Circumstances, NodeRouter
from cellsmono.interfaces.tokens import Token
from cellsmono.interfaces.users import Profile, User
from cellsmono.kernel.clock import Clock

MOST_QUERY_FIELDS = 100


class Caller(msgspec.Struct, frozen=True):
    """Who asks: a user with a token, or nobody who signed in."""

    user: User | None = None
    token: Token | None = None

    @property
    def profile(self) -> Profile:
        """What kind of user it is."""
        return Profile.ANON if self.user is None else self.user.profile

    @property
    def is_bound(self) -> bool:
        """Whether the token is good for some nodes alone."""
        return self.token is not None and bool(self.token.scopes)


NOBODY = Caller()


class RestContext:
    """What handlers work with: nodes, people, administration, and the time."""

    def __init__(
        self,
        router: NodeRouter,
        operations: Operations,
        bearers: Bearers,
        policies: Policies,
        clock: Clock,
        max_object_bytes: int,
    ) -> None:
        self.router = router
        self.operations = operations
        self.bearers = bearers
        self.policies = policies
        self.clock = clock
        self.max_object_bytes = max_object_bytes
        self.cursors = Cursors()
        self.busy_uploads: set[str] = set()
        """Uploads that a request is at."""
        self.routes: tuple[Any, ...] = ()
        """The route table, once there is a gateway."""
        self.description = b""
        """What describes them, once it was asked for."""

    @property
    def people(self) -> People:
        """Users, and what belongs to them."""
        return self.operations.people


class Call:
    """One request: who asks, what the path says, and the HTTP below it."""

    __slots__ = ("_circumstances", "caller", "exchange", "parameters", "raw_query")

    def __init__(
        self, exchange: Exchange, parameters: Mapping[str, str], raw_query: str, caller: Caller, now: float
    ) -> None:
        self.exchange = exchange
        self.parameters = parameters
        self.raw_query = raw_query
        self.caller = caller
        self._circumstances = _look_around(exchange, now)

    @property
    def query(self) -> dict[str, str]:
        """The fields of the query. Raises RestError (400)."""
        try:
            pairs = parse_qsl(self.raw_query, keep_blank_values=True, errors="strict", max_num_fields=MOST_QUERY_FIELDS)
        except (ValueError, UnicodeDecodeError):
            raise bad_request("The query can not be read", "query") from None
        return dict(pairs)

    @property
    def user(self) -> User:
        """Who is signed in. The route must let in nobody else."""
        user = self.caller.user
        if user is None:
            raise RuntimeError("the route is open to those who did not sign in")
        return user

    @property
    def actor(self) -> Actor:
        """On whose behalf the router is asked."""
        return self.acting()

    def acting(self, **values: str) -> Actor:
        """The same, with more circumstances that the policies of buckets may ask for."""
        user, token = self.user, self.caller.token
        return Actor(
            user.login,
            "user",
            token.id if token is not None else "",
            user=user.uuid,
            scopes=token.scopes if token is not None else (),
            circumstances=self._tell(values),
        )

    def _tell(self, values: Mapping[str, str]) -> Circumstances:
        about = {f"s3:{name}": value for name, value in values.items()}
        return Circumstances(values={**self._circumstances, **about})

    def administering(self, **values: str) -> Actor:
        """On whose behalf the tree of all datasources is looked at. The route must let in administrators alone."""
        return Actor(self.user.login, "system", circumstances=self._tell(values))


def _look_around(exchange: Exchange, now: float) -> dict[str, str]:
    """What policies of buckets may know about any request, as on S3."""
    values = {
        "aws:currenttime": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(now)),
        "aws:epochtime": str(int(now)),
        "aws:securetransport": "true" if exchange.secure else "false",
    }
    if exchange.remote:
        values["aws:sourceip"] = exchange.remote
    for key, name in (("aws:referer", "Referer"), ("aws:useragent", "User-Agent")):
        if name in exchange.headers:
            values[key] = exchange.headers[name][:2048]
    return values


Handler = Callable[[RestContext, Call, Any], Awaitable[Any]]
"""``handler(rest, call, body)``: returns a struct to be sent as JSON, or a ``Reply`` as it is; raises errors."""
