"""The conditions of a policy's statements: operators on what is known about a request.

Source: "IAM JSON policy elements: Condition operators" and "Single-valued vs. multivalued context keys". An operator or
key that this server does not know is refused when a policy is put: to ignore one would open, or leave open, what its
author meant to shut.
"""

import enum
from collections.abc import Sequence
from typing import Any

import msgspec

from cellsmono.data.policy.keys import Key, find_key
from cellsmono.data.policy.operators import OPERATORS, Network, Test, read_network
from cellsmono.data.policy.request import Known
from cellsmono.kernel.errors import Invalid


class Quantity(enum.Enum):
    """How many of a request's values must fit: it has at most one (PLAIN), any of them, all of them."""

    PLAIN = ""
    ANY = "ForAnyValue"
    ALL = "ForAllValues"


class Condition(msgspec.Struct, frozen=True):
    """One operator on one key. A value fits when any of ``tests`` holds; ``is_negated``: when none does.

    ``when_missing`` is the answer for a request that has no such key.
    """

    key: Key
    tests: tuple[Test, ...]
    is_negated: bool = False
    when_missing: bool = False
    quantity: Quantity = Quantity.PLAIN

    def is_met(self, known: Known, action: str) -> bool:
        """Whether a request for an action (in lower case) satisfies it. Raises LookupError, see ``Known.find``."""
        values = known.find(self.key, action)
        if not values:
            return self.when_missing
        if self.quantity is Quantity.PLAIN:
            # Two values only where tags differ in nothing but case; then a denial holds for each of them.
            return any(self._is_named(value) for value in values) is not self.is_negated
        count = all if self.quantity is Quantity.ALL else any
        return count(self._is_named(value) is not self.is_negated for value in values)

    def _is_named(self, value: str) -> bool:
        return any(test(value) for test in self.tests)


class AddressCondition(Condition, frozen=True):
    """A condition on networks, which says also how wide it is."""

    networks: tuple[Network, ...] = ()


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


def _read_condition(name: str, key_name: str, values: Any) -> Condition:
    key = find_key(refuse_variables(key_name))
    if key is None:
        raise malformed(f"Policy has an invalid condition key: {key_name!r} is not known to this server")
    texts = [_read_value(value) for value in (values if isinstance(values, list) else [values])]
    if not texts:
        raise malformed(f"Invalid Condition: {name} on {key_name} has no values")
    if name == "Null":
        return _read_null(key, texts)
    quantity, unqualified = _read_quantity(name)
    if key.is_many and quantity is Quantity.PLAIN:
        raise malformed(
            f"Invalid Condition: {key_name} has several values in one request; say ForAnyValue:{name} or "
            f"ForAllValues:{name}"
        )
    plain = unqualified.removesuffix("IfExists")
    found = OPERATORS.get(plain)
    if found is None:
        raise malformed(f"Policy has an invalid condition operator: {name!r} is not known to this server")
    make, is_negated = found
    try:
        tests = tuple(make(text) for text in texts)
    except (ValueError, OverflowError):
        raise malformed(f"Invalid Condition value: {texts!r} do not suit {name}") from None
    when_missing = plain != unqualified or _is_met_by_nothing(quantity, is_negated)
    if plain in {"IpAddress", "NotIpAddress"}:
        networks = tuple(read_network(text) for text in texts)
        return AddressCondition(key, tests, is_negated, when_missing, quantity, networks)
    return Condition(key, tests, is_negated, when_missing, quantity)


def _read_quantity(name: str) -> tuple[Quantity, str]:
    """The set operator that an operator begins with, and the rest of its name."""
    prefix, colon, rest = name.partition(":")
    if not colon:
        return Quantity.PLAIN, name
    if prefix not in (Quantity.ANY.value, Quantity.ALL.value):
        raise malformed(f"Policy has an invalid condition operator: {name!r} is not known to this server")
    return Quantity(prefix), rest


def _is_met_by_nothing(quantity: Quantity, is_negated: bool) -> bool:
    """Whether a request without a key satisfies a condition on it: of no values all fit, and none is any."""
    return is_negated if quantity is Quantity.PLAIN else quantity is Quantity.ALL


def _read_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise malformed("Invalid Condition value: texts, numbers and truth values are allowed")
    return refuse_variables(value)


def _read_null(key: Key, texts: Sequence[str]) -> Condition:
    if len(texts) != 1 or texts[0].lower() not in {"true", "false"}:
        raise malformed("Invalid Condition: Null needs true or false")
    is_to_be_missing = texts[0].lower() == "true"
    return Condition(key, (lambda _: not is_to_be_missing,), when_missing=is_to_be_missing)


def refuse_variables(text: str) -> str:
    """The text, without policy variables (``${aws:username}``): there is nobody here for whom they would differ."""
    if "${" in text:
        raise malformed(f"Policy variables are not known to this server: {text!r}")
    return text


def malformed(message: str) -> Invalid:
    """The error for a document that can not be a policy here."""
    return Invalid(message, reason="policy")
