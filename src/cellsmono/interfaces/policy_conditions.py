"""Conditions of policies, under the names that Cells has for them, and with its options."""

import ipaddress
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, tzinfo
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec

from cellsmono.interfaces.policy_patterns import compile_expression, matches
from cellsmono.kernel.errors import Invalid

Judgement = Callable[[str], bool]
"""Whether the value that there is fulfils a condition. Raises ValueError for one that can not be judged."""

T = TypeVar("T")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Condition(msgspec.Struct, frozen=True):
    """What must be so. ``options`` is a JSON object, as text."""

    type: str
    options: str = "{}"


class _Cidr(msgspec.Struct, frozen=True):
    cidr: str


class _Matches(msgspec.Struct, frozen=True):
    matches: str


class _Equals(msgspec.Struct, frozen=True):
    equals: str


class _Value(msgspec.Struct, frozen=True):
    value: bool


def check_condition(condition: Condition) -> None:
    """Raise Invalid for one that can not be."""
    _compile(condition)


def is_fulfilled(condition: Condition, key: str, context: Mapping[str, str]) -> bool | None:
    """Whether a condition about a key is fulfilled; None when nothing is known by which to tell."""
    value = context.get(key)
    if value is None:
        return None
    try:
        return _compile(condition)(value)
    except ValueError:
        return None


@lru_cache(maxsize=1_024)
def _compile(condition: Condition) -> Judgement:
    maker = _MAKERS.get(condition.type)
    if maker is None:
        raise Invalid(f"there is no condition {condition.type!r}; known: {', '.join(sorted(_MAKERS))}", reason="policy")
    try:
        return maker(condition.options)
    except ValueError as error:  # also what msgspec raises
        raise Invalid(
            f"the options {condition.options} of {condition.type} are wrong: {error}", reason="policy"
        ) from None


def _read(options: str, kind: type[T]) -> T:
    return msgspec.json.decode(options, type=kind)


def _cidr(options: str) -> Judgement:
    network = ipaddress.ip_network(_read(options, _Cidr).cidr, strict=False)

    def judge(value: str) -> bool:
        address = ipaddress.ip_address(value.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address) in network

    return judge


def _match(options: str) -> Judgement:
    tokens = compile_expression(_read(options, _Matches).matches)
    return lambda value: matches(tokens, value)


def _not_match(options: str) -> Judgement:
    tokens = compile_expression(_read(options, _Matches).matches)
    return lambda value: not matches(tokens, value)


def _equal(options: str) -> Judgement:
    wanted = _read(options, _Equals).equals
    return lambda value: value == wanted


def _boolean(options: str) -> Judgement:
    wanted = _read(options, _Value).value
    return lambda value: (value == "true") == wanted


def _after(options: str) -> Judgement:
    begin = _read_date(_read(options, _Matches).matches)
    return lambda value: float(value) >= begin


def _period(options: str) -> Judgement:
    first, slash, last = _read(options, _Matches).matches.partition("/")
    if not slash:
        raise ValueError("a period is written BEGIN/END")
    begin, end = _read_date(first), _read_date(last)
    return lambda value: begin <= float(value) < end


def _hours(options: str) -> Judgement:
    parts = _read(options, _Matches).matches.split("/", 3)
    if len(parts) < 3:  # noqa: PLR2004
        raise ValueError("office hours are written Monday-Friday/09:00/18:30, perhaps with a time zone: /Europe/Paris")
    days = _read_days(parts[0])
    begin, end = time.fromisoformat(parts[1]), time.fromisoformat(parts[2])
    zone: tzinfo = _read_zone(parts[3]) if len(parts) > 3 else UTC  # noqa: PLR2004

    def judge(value: str) -> bool:
        now = datetime.fromtimestamp(float(value), zone)
        clock, day = now.time(), now.weekday()
        if begin <= end:
            return day in days and begin <= clock < end
        # Over midnight: the hours belong to the day on which they begin.
        return (day in days and clock >= begin) or ((day - 1) % 7 in days and clock < end)

    return judge


def _read_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, KeyError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error


def _read_days(text: str) -> frozenset[int]:
    first, dash, last = text.lower().partition("-")
    if first not in _DAYS or (dash and last not in _DAYS):
        raise ValueError("days are written Monday or Monday-Friday")
    begin = _DAYS.index(first)
    count = (_DAYS.index(last) - begin) % 7 if dash else 0
    return frozenset((begin + each) % 7 for each in range(count + 1))


def _read_date(text: str) -> float:
    date = datetime.fromisoformat(text.strip())
    return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()


_MAKERS: dict[str, Callable[[str], Judgement]] = {
    "BooleanCondition": _boolean,
    "CIDRCondition": _cidr,
    "DateAfterCondition": _after,
    "DateWithinPeriodCondition": _period,
    "OfficeHoursCondition": _hours,
    "StringEqualCondition": _equal,
    "StringMatchCondition": _match,
    "StringNotMatchCondition": _not_match,
}
