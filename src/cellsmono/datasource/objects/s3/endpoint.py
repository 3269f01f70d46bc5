"""One S3 endpoint with one key pair: how it is reached, and the client that is shared by all its buckets."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import cache, partial
from typing import Any

import msgspec

from cellsmono.datasource.objects.s3.patience import SECONDS, Patience
from cellsmono.kernel.errors import Unavailable

CONNECTIONS = 128
"""Connections to one endpoint at most: a reader that is drained slowly keeps one."""

REQUESTS_AT_ONCE = 16
"""How many requests one operation over many keys has under way."""

CONNECT_SECONDS = 10.0

OLD_SIGNATURE = "s3"

DIRECT = frozenset({"get_object", "head_object", "put_object", "upload_part"})
"""Calls that are made without the client's model (see ``direct``)."""

Call = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Endpoint(msgspec.Struct, frozen=True):
    """Where and how to ask.

    ``url`` empty: AWS itself. ``signature`` is ``s3v4`` or ``s3`` (version 2). ``sign_payload`` signs bodies also over
    TLS. ``checksums`` sends a CRC32 along with every body; servers that know none need it off. ``ca_file`` empty: the
    authorities of the system. ``seconds`` is how long one operation may take (see ``patience``).
    """

    url: str
    region: str
    access_key: str
    secret_key: str
    path_style: bool = True
    signature: str = "s3v4"
    sign_payload: bool = False
    checksums: bool = True
    verify_tls: bool = True
    ca_file: str = ""
    seconds: float = SECONDS

    def __repr__(self) -> str:
        return f"Endpoint({self.url}, {self.access_key})"

    @property
    def signs_bodies(self) -> bool:
        """Whether bodies are part of the signature: unless something else protects them."""
        is_protected = self.checksums and not self.url.startswith("http://")
        return self.signature != OLD_SIGNATURE and (self.sign_payload or not is_protected)

    @property
    def verify(self) -> bool | str:
        """Whose certificates are trusted, as the client takes it."""
        return (self.ca_file or True) if self.verify_tls else False

    @property
    def connect_seconds(self) -> float:
        """How long making a connection may take."""
        return min(CONNECT_SECONDS, self.seconds / 2)

    @property
    def title(self) -> str:
        """What people see of it: address and access key, never the secret."""
        return f"{self.url or 'AWS'} as {self.access_key}"


class Connection:
    """The client of an endpoint, made with the first request: importing what it needs takes most of a second."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.patience = Patience(endpoint.seconds)
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()
        self._client: Any = None
        self._direct: Any = None
        self._is_closed = False

    async def caller(self, operation: str) -> Call:
        """Who makes a call of the client, by its name and its arguments. Raises Unavailable once it is closed."""
        client = await self.client()
        if self._direct is not None and operation in DIRECT:
            return partial(self._direct.call, operation)

        async def call(arguments: dict[str, Any]) -> dict[str, Any]:
            answer: dict[str, Any] = await getattr(client, operation)(**arguments)
            return answer

        return call

    async def client(self) -> Any:
        """The client. Raises Unavailable once it is closed."""
        if self._client is None:
            async with self._lock:
                if self._is_closed:
                    raise Unavailable("The object service is stopped.", reason="stopping")
                if self._client is None:
                    # The import takes most of a second, in which others go on.
                    await asyncio.to_thread(importlib.import_module, "aiobotocore.session")
                    signing = importlib.import_module("cellsmono.datasource.objects.s3.signing")
                    client = await self._stack.enter_async_context(_make_client(self.endpoint))
                    signing.teach(client, self.endpoint)
                    if self.endpoint.url and self.endpoint.signature != OLD_SIGNATURE:
                        direct = importlib.import_module("cellsmono.datasource.objects.s3.direct")
                        self._direct = await self._stack.enter_async_context(direct.Direct(self.endpoint))
                    self._client = client
        return self._client

    async def close(self) -> None:
        """End the connections."""
        async with self._lock:
            self._is_closed = True
            self._client = self._direct = None
            await self._stack.aclose()


@cache
def _session() -> Any:
    """The one session of the process: it keeps the models of S3, whose reading takes most of a client's making."""
    from aiobotocore.session import get_session

    return get_session()


def _make_client(endpoint: Endpoint) -> Any:
    from aiobotocore.config import AioConfig

    config = AioConfig(
        region_name=endpoint.region,
        signature_version=endpoint.signature,
        connect_timeout=endpoint.connect_seconds,
        read_timeout=None,  # the time of a whole operation is bounded, not that of each read
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 1},  # what is repeated is decided in one place: ``patience``
        request_checksum_calculation="when_required",  # those of bodies are given: ``requests``
        response_checksum_validation="when_required",
        user_agent_appid="cellsmono",
        s3={
            "addressing_style": "path" if endpoint.path_style else "virtual",
            "payload_signing_enabled": endpoint.signs_bodies,
        },
    )
    return _session().create_client(
        "s3",
        endpoint_url=endpoint.url or None,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        verify=endpoint.verify,
        config=config,
    )
