"""One S3 request as the handlers see it, and what they work with."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from multidict import CIMultiDictProxy, MultiMapping

from cellsmono.gateway.http import Exchange, Reply
from cellsmono.gateway.s3.addressing import Query
from cellsmono.gateway.s3.authentication import Authenticator
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.identity import Identity
from cellsmono.gateway.s3.settings import OWNER_ID, OWNER_NAME, S3Settings
from cellsmono.gateway.s3.upload_keys import UploadKeys
from cellsmono.interfaces.credentials import Signers
from cellsmono.interfaces.router import Actor, NodeRouter
from cellsmono.kernel.clock import Clock


class S3Request:
    """An authenticated request: what it is about, by whom, and the HTTP below it."""

    __slots__ = ("actor", "bucket", "exchange", "headers", "host", "identity", "key", "method", "query")

    def __init__(
        self,
        exchange: Exchange,
        bucket: str,
        key: str,
        query: Query,
        identity: Identity,
        actor: Actor,
        host: str = "",
    ) -> None:
        self.exchange = exchange
        self.method = exchange.method
        self.headers: CIMultiDictProxy[str] = exchange.headers
        self.bucket = bucket
        self.key = key
        self.query = query
        self.identity = identity
        self.actor = actor
        self.host = host

    @property
    def resource(self) -> str:
        """The path that answers name."""
        return f"/{self.bucket}/{self.key}" if self.key else f"/{self.bucket}"

    @property
    def location(self) -> str:
        """The URL of the object, as answers to uploads tell it."""
        return f"http://{self.host}/{quote(self.bucket)}/{quote(self.key)}"


class S3Context:
    """What handlers work with: the nodes, the settings and the time."""

    def __init__(
        self,
        router: NodeRouter,
        settings: S3Settings,
        clock: Clock,
        authenticator: Authenticator,
        signers: Signers,
    ) -> None:
        self.router = router
        self.authenticator = authenticator
        self._signers = signers
        self.settings = settings
        self.clock = clock
        self.upload_keys = UploadKeys()
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    def find_actor(self, identity: Identity) -> Actor:
        """Who acts: the owner, a user, or nobody who signed. Raises S3Error for a key that was just revoked."""
        key = identity.access_key
        if not key:
            return ANONYMOUS
        if self._signers.is_owner(key):
            return _owner(key)
        user = self._signers.find_user(key)
        if user is None:
            raise S3Error("InvalidAccessKeyId", fields={"AWSAccessKeyId": key})
        return Actor(user.login, "user", user.shown, user=user.user, scopes=user.scopes)

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """Let one request at a time do something that must not be done twice at once, such as completing an upload."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        async with lock:
            yield


Operation = Callable[[S3Context, S3Request], Awaitable[Reply]]
"""A handler. It returns the whole answer, or raises an error that the server turns into one."""


_EXPECTED_OWNERS: Final = ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner")

ANONYMOUS: Final = Actor(name="anonymous", kind="anonymous")


@lru_cache(maxsize=1024)
def _owner(access_key: str) -> Actor:
    return Actor(name=OWNER_NAME, kind="owner", access_key=access_key)


def check_expected_owner(headers: MultiMapping[str]) -> None:
    """Refuse a request that is meant for somebody else's buckets. Raises S3Error AccessDenied."""
    for name in _EXPECTED_OWNERS:
        if headers.get(name, OWNER_ID) != OWNER_ID:
            raise S3Error("AccessDenied", f"The bucket is not owned by who {name} expects; leave the header out.")
