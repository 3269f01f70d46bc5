"""The operators of conditions: how a value that a policy names becomes a test of a request's value.

Source: "IAM JSON policy elements: Condition operators".
"""

import ipaddress
import math
import operator
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from cellsmono.data.policy.wildcards import compile_pattern

Test = Callable[[str], bool]
"""Whether one value of the policy fits the request's value."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _make_equals(wanted: str) -> Test:
    return lambda value: value == wanted


def _make_equals_ignore_case(wanted: str) -> Test:
    folded = wanted.lower()
    return lambda value: value.lower() == folded


def _make_like(wanted: str) -> Test:
    return compile_pattern(wanted).matches


def _make_bool(wanted: str) -> Test:
    if wanted.lower() not in {"true", "false"}:
        raise ValueError(wanted)
    return _make_equals_ignore_case(wanted)


def _make_network(wanted: str) -> Test:
    network = read_network(wanted)

    def is_inside(value: str) -> bool:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address) in network

    return is_inside


def read_network(text: str) -> Network:
    """A network, or one address. Raises ValueError."""
    return ipaddress.ip_network(text, strict=False)


def _compare(read: Callable[[str], float], relation: Callable[[float, float], bool]) -> Callable[[str], Test]:
    def make(wanted: str) -> Test:
        bound = read(wanted)

        def test(value: str) -> bool:
            try:
                return relation(read(value), bound)
            except (ValueError, OverflowError):
                return False

        return test

    return make


def _read_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _read_date(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 date (UTC where it names no zone), or of a number of them."""
    if text.isascii() and text.isdigit():
        return float(text)
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


_RELATIONS: Final[dict[str, tuple[Callable[[float, float], bool], bool]]] = {
    "Equals": (operator.eq, False),
    "NotEquals": (operator.eq, True),
    "LessThan": (operator.lt, False),
    "LessThanEquals": (operator.le, False),
    "GreaterThan": (operator.gt, False),
    "GreaterThanEquals": (operator.ge, False),
}

OPERATORS: Final[dict[str, tuple[Callable[[str], Test], bool]]] = {
    "StringEquals": (_make_equals, False),
    "StringNotEquals": (_make_equals, True),
    "StringEqualsIgnoreCase": (_make_equals_ignore_case, False),
    "StringNotEqualsIgnoreCase": (_make_equals_ignore_case, True),
    "StringLike": (_make_like, False),
    "StringNotLike": (_make_like, True),
    "Bool": (_make_bool, False),
    "IpAddress": (_make_network, False),
    "NotIpAddress": (_make_network, True),
}
OPERATORS.update(
    {
        kind + name: (_compare(read, relation), is_negated)
        for kind, read in (("Numeric", _read_number), ("Date", _read_date))
        for name, (relation, is_negated) in _RELATIONS.items()
    }
)
"""How a value of the policy becomes a test, and whether the operator is the contrary of that test."""
