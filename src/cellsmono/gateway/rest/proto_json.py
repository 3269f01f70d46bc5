"""JSON as protocol buffers have it (proto3), which is what clients of Cells speak.

Out: enums by name, 64-bit integers as strings, what has its default left out. In: enums by name or number, integers as
strings or numbers, ``null`` as the default, and each name as it is spelled here, in camelCase or with underscores. What
is unknown is ignored: newer clients send more than older servers know, and Cells ignores it, too.
"""

import enum
import re
from collections.abc import Callable, Hashable
from functools import cache
from typing import Annotated, Any, Final, TypeVar, cast

import msgspec
from msgspec import inspect

from cellsmono.gateway.rest.errors import RestError, bad_request

T = TypeVar("T")

DEEPEST: Final = 64
"""Objects and lists inside each other that a body may have."""

_INT64: Final = {"format": "int64"}
_LEAST, _MOST = -(2**63), 2**63 - 1

Int64 = Annotated[str, msgspec.Meta(extra_json_schema=_INT64)]
"""A 64-bit integer, a string in JSON. Empty is the default, which is 0; ``read_int`` reads it."""


class ProtoEnum(enum.Enum):
    """An enum of which clients may send the number as well: that is the place in the order of its members, from 0."""


def read_int(text: Int64) -> int:
    """The number that an ``Int64`` is."""
    return int(text or 0)


def decode(data: bytes, kind: type[T]) -> T:
    """Read a body. Raises RestError (400) that says what is wrong, and where."""
    try:
        value = msgspec.json.decode(data) if data.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"The body is no valid JSON: {error}", "json") from None
    except RecursionError:
        raise _too_deep() from None
    if data.count(b"{") + data.count(b"[") > DEEPEST and _depth_of(value) > DEEPEST:
        raise _too_deep()
    if not isinstance(value, dict):
        raise bad_request("The body must be a JSON object", "json")
    try:
        return msgspec.convert(_normalizer(cast(Hashable, kind))(value), kind, strict=False)
    except msgspec.ValidationError as error:
        raise bad_request(f"The body is wrong: {error}", "json") from None


def _too_deep() -> RestError:
    return bad_request(f"The body has more than {DEEPEST} objects and lists inside each other", "json_depth")


def _depth_of(value: object) -> int:
    """How deep a value is nested; stops looking a little beyond what is allowed."""
    depth, level = 0, [value]
    while level and depth <= DEEPEST:
        depth += 1
        below: list[object] = []
        for each in level:
            if isinstance(each, dict):
                below += each.values()
            elif isinstance(each, list):
                below += each
        level = [each for each in below if isinstance(each, dict | list)]
    return depth


Normalizer = Callable[[Any], Any]


@cache
def _normalizer(kind: Hashable) -> Normalizer:
    """What brings a decoded value into the one form that ``msgspec.convert`` reads."""
    return _plan(inspect.type_info(kind))


def _plan(kind: inspect.Type) -> Normalizer:
    if isinstance(kind, inspect.Metadata):
        return _read_int64 if kind.extra_json_schema == _INT64 else _plan(kind.type)
    if isinstance(kind, inspect.StructType):
        return _plan_struct(kind.cls)
    if isinstance(kind, inspect.ListType | inspect.VarTupleType | inspect.SetType):
        item = _plan(kind.item_type)
        return lambda value: [item(each) for each in value] if isinstance(value, list) else value
    if isinstance(kind, inspect.DictType):
        inner = _plan(kind.value_type)
        return lambda value: {key: inner(each) for key, each in value.items()} if isinstance(value, dict) else value
    if isinstance(kind, inspect.UnionType):
        some = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        return _plan(some[0]) if len(some) == 1 else _keep
    if isinstance(kind, inspect.EnumType) and issubclass(kind.cls, ProtoEnum):
        return _plan_enum(kind.cls)
    return _keep


def _keep(value: Any) -> Any:
    return value


@cache
def _plan_struct(kind: type) -> Normalizer:
    plans: dict[str, tuple[str, inspect.Type]] = {}
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - for the type checker
    for field in info.fields:
        for name in _spellings(field.encode_name):
            plans.setdefault(name, (field.encode_name, field.type))
    ready: dict[str, Normalizer] = {}

    def normalize(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        found = {}
        for key, each in value.items():
            known = plans.get(key)
            if known is None or each is None:
                continue
            name, type_ = known
            plan = ready.get(name)
            if plan is None:  # made at the first use, so that a struct may hold others of its kind
                plan = ready[name] = _plan(type_)
            found[name] = plan(each)
        return found

    return normalize


def _spellings(name: str) -> tuple[str, ...]:
    """As it is declared, in camelCase, and with underscores."""
    words = re.sub(r"([A-Z])([A-Z]+)s$", lambda found: f"{found[1]}{found[2].lower()}s", name)  # RoleIDs: role_ids
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", words).lower()
    head, *rest = snake.split("_")
    return name, name[:1].lower() + name[1:], head + "".join(word.title() for word in rest), snake


def _plan_enum(kind: type[ProtoEnum]) -> Normalizer:
    members = [member.value for member in kind]

    def normalize(value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(members):
            return members[value]
        return value

    return normalize


def _read_int64(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return value
    if not (re.fullmatch(r"-?[0-9]{1,19}", value) and _LEAST <= int(value) <= _MOST):
        raise bad_request(f"The body is wrong: {value[:40]!r} is no 64-bit integer", "json")
    return value
