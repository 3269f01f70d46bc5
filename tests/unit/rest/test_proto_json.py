"""JSON as proto3 has it: what is accepted, what is refused, and with which words."""

import msgspec
import pytest

from cellsmono.gateway.rest.errors import RestError
from cellsmono.gateway.rest.proto_json import DEEPEST, Int64, ProtoEnum, decode, read_int


class Kind(ProtoEnum):
    UNKNOWN = "UNKNOWN"
    LEAF = "LEAF"


class Inner(msgspec.Struct, omit_defaults=True, rename="pascal"):
    size: Int64 = ""
    kind: Kind = Kind.UNKNOWN
    below: "list[Inner]" = []
    named: "dict[str, Inner]" = {}


class Outer(msgspec.Struct, omit_defaults=True, rename="pascal"):
    node_paths: list[str] = []
    role_ids: list[str] = msgspec.field(name="RoleIDs", default_factory=list)
    limit: int = 0
    is_deep: bool = False
    inner: Inner | None = None


def test_defaults_are_left_out_and_an_empty_body_has_them():
    assert decode(b"", Outer) == decode(b"{}", Outer) == decode(b" \n", Outer) == Outer()
    assert msgspec.json.encode(Outer(inner=Inner(size="5", kind=Kind.LEAF))) == b'{"Inner":{"Size":"5","Kind":"LEAF"}}'


@pytest.mark.parametrize("name", ["NodePaths", "nodePaths", "node_paths"])
def test_names_in_each_spelling(name):
    assert decode(msgspec.json.encode({name: ["a"]}), Outer) == Outer(node_paths=["a"])


@pytest.mark.parametrize("name", ["RoleIDs", "roleIDs", "roleIds", "role_ids"])
def test_names_with_capitals_inside(name):
    assert decode(msgspec.json.encode({name: ["a"]}), Outer) == Outer(role_ids=["a"])


@pytest.mark.parametrize("text", ['"9007199254740993"', "9007199254740993", "9007199254740993.0e0"])
def test_long_integers(text):
    found = decode(b'{"Inner": {"Size": %s}}' % text.encode(), Outer)
    assert found.inner is not None
    assert read_int(found.inner.size) in (9007199254740993, 9007199254740992)  # the last form is a float on the way


def test_numbers_and_strings_for_short_integers_and_enums():
    body = b'{"Limit": "7", "Inner": {"Kind": 1, "Below": [{"Kind": "LEAF"}], "Named": {"x": {"size": 3}}}}'
    found = decode(body, Outer)
    assert found.limit == 7
    assert found.inner == Inner(kind=Kind.LEAF, below=[Inner(kind=Kind.LEAF)], named={"x": Inner(size="3")})


def test_null_is_the_default_and_what_is_unknown_is_ignored():
    assert decode(b'{"NodePaths": null, "Limit": null, "Inner": null, "Unknown": {"x": [1]}}', Outer) == Outer()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"nonsense", "no valid JSON"),
        (b'{"a"', "no valid JSON"),
        (b"\xff\xfe", "no valid JSON"),
        (b'{"NodePaths": ["\\ud800"]}', "no valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b'{"NodePaths": "x"}', r"NodePaths"),
        (b'{"NodePaths": [1]}', r"NodePaths\[0\]"),
        (b'{"Limit": "x"}', "Limit"),
        (b'{"Limit": 1.5}', "Limit"),
        (b'{"Inner": {"Size": "1x"}}', "64-bit"),
        (b'{"Inner": {"Size": 9223372036854775808}}', "64-bit"),
        (b'{"Inner": {"Size": true}}', "Size"),
        (b'{"Inner": {"Kind": 2}}', "Kind"),
        (b'{"Inner": {"Kind": -1}}', "Kind"),
        (b'{"Inner": {"Kind": "leaf"}}', "Kind"),
        (b'{"Inner": {"Kind": true}}', "Kind"),
        (b'{"Inner": {"Below": [{"Named": {"x": 5}}]}}', "object"),
    ],
)
def test_what_is_wrong_is_named(body, words):
    with pytest.raises(RestError, match=words) as caught:
        decode(body, Outer)
    assert caught.value.status == 400


@pytest.mark.parametrize("depth", [DEEPEST + 1, 5_000, 1_000_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"Below":', b"}")])
def test_bodies_that_are_too_deep(depth, opening, closing):
    body = b'{"Unknown":' + opening * depth + b"1" + closing * depth + b"}"
    with pytest.raises(RestError, match="inside each other"):
        decode(body, Outer)


def test_wide_bodies_are_not_deep():
    assert decode(b'{"Unknown":[' + b"[]," * 10_000 + b"[]]}", Outer) == Outer()
