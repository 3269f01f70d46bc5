"""The conditions of a policy's statements: operators on what is known about a request.

Source: "IAM JSON policy elements: Condition operators". An operator or key that this server does not know is refused
when a policy is put: to ignore one would open, or leave open, what its author meant to shut.
"""

import ipaddress
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from cellsmono.data.policy.wildcards import compile_pattern
from cellsmono.kernel.errors import Invalid

SOURCE_IP: Final = "aws:sourceip"

KEYS: Final = frozenset(
    {
        "aws:currenttime",
        "aws:epochtime",
        "aws:referer",
        "aws:securetransport",
        SOURCE_IP,
        "aws:useragent",
        "s3:authtype",
        "s3:delimiter",
        "s3:max-keys",
        "s3:prefix",
        "s3:signatureversion",
        "s3:x-amz-acl",
        "s3:x-amz-content-sha256",
        "s3:x-amz-copy-source",
        "s3:x-amz-metadata-directive",
        "s3:x-amz-server-side-encryption",
        "s3:x-amz-storage-class",
    }
)
"""The keys that statements may ask for, in lower case: their case does not matter."""

Test = Callable[[str], bool]
"""Whether one value of the policy fits the request's value."""


class Condition(msgspec.Struct, frozen=True):
    """One operator on one key. It holds when any of ``tests`` does; ``is_negated``: when none does.

    ``when_missing`` is the answer for a request that has no such key.
    """

    key: str
    tests: tuple[Test, ...]
    is_negated: bool = False
    when_missing: bool = False

    def is_met(self, values: Mapping[str, str]) -> bool:
        """Whether a request with these values satisfies it."""
        value = values.get(self.key)
        if value is None:
            return self.when_missing
        return any(test(value) for test in self.tests) is not self.is_negated


class AddressCondition(Condition, frozen=True):
    """A condition on networks, which says also how wide it is."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()


def read_conditions(block: Any) -> tuple[Condition, ...]:
    """The ``Condition`` element of a statement. Raises Invalid (reason ``policy``)."""
    if not isinstance(block, dict):
        raise malformed("Invalid Condition: it must be an object")
    found = []
    for name, keys in block.items():
        if not isinstance(keys, dict) or not keys:
            raise malformed(f"Invalid Condition : {name} needs keys and their values")
        for key, values in keys.items():
            found.append(_read_condition(name, key, values))
    return tuple(found)


def _read_condition(name: str, key: str, values: Any) -> Condition:
    if key.lower() not in KEYS:
        raise malformed(f"Policy has an invalid condition key: {key!r} is not known to this server")
    texts = [_read_value(value) for value in (values if isinstance(values, list) else [values])]
    if not texts:
        raise malformed(f"Invalid Condition: {name} on {key} has no values")
    if name == "Null":
        return _read_null(key.lower(), texts)
    plain = name.removesuffix("IfExists")
    found = _OPERATORS.get(plain)
    if found is None:
        raise malformed(f"Policy has an invalid condition operator: {name!r} is not known to this server")
    make, is_negated = found
    try:
        tests = tuple(make(text) for text in texts)
    except (ValueError, OverflowError):
        raise malformed(f"Invalid Condition value: {texts!r} do not suit {name}") from None
    when_missing = is_negated or plain != name
    if plain in {"IpAddress", "NotIpAddress"}:
        networks = tuple(_read_network(text) for text in texts)
        return AddressCondition(key.lower(), tests, is_negated, when_missing, networks)
    return Condition(key.lower(), tests, is_negated, when_missing)


def _read_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise malformed("Invalid Condition value: texts, numbers and truth values are allowed")
    return refuse_variables(value)


def _read_null(key: str, texts: Sequence[str]) -> Condition:
    if len(texts) != 1 or texts[0].lower() not in {"true", "false"}:
        raise malformed("Invalid Condition: Null needs true or false")
    is_to_be_missing = texts[0].lower() == "true"
    return Condition(key, (lambda _: not is_to_be_missing,), when_missing=is_to_be_missing)


def refuse_variables(text: str) -> str:
    """Policy variables (``${aws:username}``) have no meaning without users."""
    if "${" in text:
        raise malformed(f"Policy variables are not known to this server: {text!r}")
    return text


def malformed(message: str) -> Invalid:
    """The error for a document that can not be a policy here."""
    return Invalid(message, reason="policy")


# Operators


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
    network = _read_network(wanted)

    def is_inside(value: str) -> bool:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address) in network

    return is_inside


def _read_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
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

_OPERATORS: Final[dict[str, tuple[Callable[[str], Test], bool]]] = {
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
_OPERATORS.update(
    {
        kind + name: (_compare(read, relation), is_negated)
        for kind, read in (("Numeric", _read_number), ("Date", _read_date))
        for name, (relation, is_negated) in _RELATIONS.items()
    }
)
"""How a value of the policy becomes a test, and whether the operator is the contrary of that test."""
