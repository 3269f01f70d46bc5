"""Metadata, times and types between headers and nodes."""

import pytest
from multidict import CIMultiDict

from cellsmono.gateway.s3.addressing import parse_query
from cellsmono.gateway.s3.content_types import guess_type
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.metadata import (
    decode_user_value,
    encode_user_value,
    parse_tagging_header,
    read_meta,
    strip_aws_chunked,
    write_meta,
)
from cellsmono.gateway.s3.mtimes import parse_seconds, read_mtime
from cellsmono.gateway.s3.numbers import make_token, read_count, read_token
from cellsmono.interfaces.node import NO_META, NodeMeta


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1700000000", 1_700_000_000_000_000_000),
        ("1700000000.5", 1_700_000_000_500_000_000),
        ("1700000000.123456789", 1_700_000_000_123_456_789),
        ("1700000000.1234567899999", 1_700_000_000_123_456_789),
        ("-1.25", -1_250_000_000),
        (" 5 ", 5_000_000_000),
        ("1e9", None),
        ("", None),
        ("nan", None),
        ("99999999999", None),
        ("-9999999999", None),
        ("1.", None),
        ("\u0661", None),
    ],
)
def test_seconds(text, nanoseconds):
    assert parse_seconds(text) == nanoseconds


def test_times_in_user_metadata():
    assert read_mtime({}) is None
    assert read_mtime({"other": "1"}) is None
    assert read_mtime({"s3cmd-attrs": "uid:0/mtime:12/x:y"}) == 12_000_000_000
    assert read_mtime({"s3cmd-attrs": "ctime:12"}) is None
    assert read_mtime({"mtime": "1", "s3cmd-attrs": "mtime:2"}) == 1_000_000_000


@pytest.mark.parametrize("value", ["grün", "日本", "a\u0301", "tab\there", "", "plain", "=?", "\x7f"])
def test_user_values_survive_the_way_out_and_in(value):
    encoded = encode_user_value(value)
    assert encoded.isascii()
    assert decode_user_value(encoded) == value


def test_user_values_in_other_encodings():
    assert decode_user_value("caf\udce9") == "café"  # Latin-1 bytes, as the HTTP parser hands them on
    assert decode_user_value("=?ISO-8859-1?Q?caf=E9?=") == "café"
    assert decode_user_value("=?no-such-charset?B?AAAA?=") == "=?no-such-charset?B?AAAA?="
    assert decode_user_value("=?UTF-8?B?!!!?= and more") == "=?UTF-8?B?!!!?= and more"


def test_an_upload_without_anything_has_no_metadata_of_its_own():
    assert read_meta(CIMultiDict({"Host": "x", "Content-Length": "5", "x-amz-date": "1"}), "no-extension") is NO_META
    assert read_meta(CIMultiDict(), "a.png") == NodeMeta(content_type="binary/octet-stream")


def test_repeated_metadata_headers_are_joined():
    headers = CIMultiDict([("X-Amz-Meta-A", "1"), ("x-amz-meta-a", "2")])
    assert read_meta(headers, "x").user == {"a": "1,2"}


def test_what_the_disk_says_about_a_file_is_not_trusted_in_headers():
    meta = NodeMeta(content_type="text/x\r\nEvil: 1", user={"na\nme": "v", "ok": "a\r\nb"}, headers={"expires": "\n"})
    assert all("\n" not in name + value and "\r" not in name + value for name, value in write_meta(meta, "x"))


@pytest.mark.parametrize(
    ("value", "rest"),
    [("aws-chunked", ""), ("gzip,aws-chunked", "gzip"), ("aws-chunked, gzip", "gzip"), ("gzip, br", "gzip, br")],
)
def test_the_transfer_is_no_encoding_of_the_object(value, rest):
    assert strip_aws_chunked(value) == rest


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("a.JPG", "image/jpeg"),
        ("a/b.tar.gz", "application/gzip"),
        ("a.b/c", "binary/octet-stream"),
        (".html", "binary/octet-stream"),
        ("x/.html", "binary/octet-stream"),
        ("a.nosuchextension", "binary/octet-stream"),
        ("a.webp", "image/webp"),
        ("dir.txt/", "binary/octet-stream"),
    ],
)
def test_types_of_found_files(key, kind):
    assert guess_type(key) == kind


def test_tags_in_headers():
    assert parse_tagging_header("a=1&b=x%20y+z&c") == {"a": "1", "b": "x y z", "c": ""}
    assert parse_tagging_header("") == {}
    for bad in ("a=1&a=2", "=1", "aws:x=1", "a=%ff", "k" * 129 + "=", "a=" + "v" * 257):
        with pytest.raises(S3Error):
            parse_tagging_header(bad)


def test_counts_and_tokens():
    assert read_count(parse_query("max-keys=7"), "max-keys") == 7
    assert read_count(parse_query("max-keys=5000"), "max-keys") == 1000
    assert read_count(parse_query(""), "max-keys") == 1000
    for bad in ("-1", "x", "1.5", "99999999999999999999", "2147483648"):
        with pytest.raises(S3Error):
            read_count(parse_query(f"max-keys={bad}"), "max-keys")
    assert read_token(parse_query(f"continuation-token={make_token('ü/x')}")) == "ü/x"
