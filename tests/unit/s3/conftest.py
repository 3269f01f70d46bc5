from collections.abc import Callable

import pytest
from multidict import CIMultiDict

from cellsmono.gateway.s3.authentication import Authenticator
from cellsmono.gateway.s3.dates import parse_compact
from cellsmono.gateway.s3.identity import SignedRequest
from cellsmono.kernel.clock import ManualClock

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class FixedKeys:
    """Key pairs in a dict."""

    def __init__(self, pairs: dict[str, str | None]) -> None:
        self.pairs = pairs

    def find_secret(self, access_key: str) -> str | None:
        return self.pairs.get(access_key)


@pytest.fixture
def wire_keys() -> FixedKeys:
    return FixedKeys({ACCESS_KEY: SECRET, "EMPTY": "", "NONE": None})


@pytest.fixture
def wire_clock() -> ManualClock:
    return ManualClock(parse_compact("20130524T000000Z"))


@pytest.fixture
def authenticator(wire_keys: FixedKeys, wire_clock: ManualClock) -> Authenticator:
    return Authenticator(wire_keys, region="us-east-1", clock=wire_clock)


@pytest.fixture
def make_request() -> Callable[..., SignedRequest]:
    """A request from method, raw target and headers."""

    def make(method: str, target: str, headers: dict[str, str], virtual_bucket: str = "") -> SignedRequest:
        path, _, query = target.partition("?")
        found = CIMultiDict(headers)
        return SignedRequest(method, path, query, found, found.get("Host", ""), virtual_bucket)

    return make
