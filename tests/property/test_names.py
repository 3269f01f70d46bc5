"""N3: names and key segments stand for each other exactly."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cellsmono.datasource.objects.names import decode_segment, encode_name, join_names, split_read, split_written
from cellsmono.kernel.errors import CellsError, Invalid

QUOTE = "\u201b"
awkward = st.sampled_from([QUOTE.encode(), b"8", b"0", b"F", b"E2", b"\x80", b"\xe2", b"\x9b", b"\xff", "é".encode()])
file_names = st.one_of(
    st.binary(min_size=1, max_size=40), st.lists(awkward, min_size=1, max_size=12).map(b"".join)
).filter(lambda n: b"/" not in n and b"\0" not in n)
segments = st.one_of(
    st.text(min_size=1, max_size=30),
    st.lists(st.sampled_from([QUOTE, "80", "E2", "9B", "FF", "8", "F", "a", "é", "7F"]), min_size=1).map("".join),
).filter(lambda s: "/" not in s)


@settings(max_examples=500, deadline=None)
@given(file_names)
@example(QUOTE.encode() + b"80")
@example(b"\xe2\x80" + QUOTE.encode() + b"9B")
@example(b"\xed\xa0\x80")
def test_n3_every_file_name_comes_back(name: bytes) -> None:
    segment = encode_name(name)
    segment.encode()
    assert "/" not in segment
    assert decode_segment(segment) == name


@settings(max_examples=500, deadline=None)
@given(segments)
def test_n3_every_accepted_segment_comes_back(segment: str) -> None:
    try:
        name = decode_segment(segment)
    except Invalid:
        return
    assert encode_name(name) == segment


@settings(max_examples=300, deadline=None)
@given(st.lists(file_names, min_size=1, max_size=4))
def test_n3_key_to_path_to_key(names: list[bytes]) -> None:
    key = join_names(names)
    try:
        assert split_written(key) == names
    except CellsError:
        assert any(n in (b".", b"..", b".pydio", b".cellsmono") for n in names)
        return
    assert split_read(key) == names
    assert split_read(key + "/") == names


@pytest.mark.parametrize(
    "name", ["plain", "é", "e\u0301", "日本", "a b", "tab\tnew\nline", QUOTE, QUOTE + "zz", "🙂", "\u202e"]
)
def test_valid_utf8_names_are_themselves(name: str) -> None:
    assert encode_name(name.encode()) == name
    assert decode_segment(name) == name.encode()


@pytest.mark.parametrize(
    ("name", "segment"),
    [(b"caf\xe9", f"caf{QUOTE}E9"), (QUOTE.encode() + b"E9", f"{QUOTE}E2{QUOTE}80{QUOTE}9BE9")],
)
def test_escapes(name: bytes, segment: str) -> None:
    assert encode_name(name) == segment
    assert decode_segment(segment) == name


@pytest.mark.parametrize("segment", [f"{QUOTE}C3{QUOTE}A9", f"{QUOTE}E2{QUOTE}80{QUOTE}9B", "\ud800"])
def test_needless_escapes_and_surrogates_are_refused(segment: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode_segment(segment)
    assert caught.value.reason == "key"
