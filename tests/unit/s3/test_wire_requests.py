"""What a request says: its target, query, ranges, conditions and dates."""

import pytest
from multidict import CIMultiDict

from cellsmono.gateway.s3 import dates
from cellsmono.gateway.s3.addressing import (
    Target,
    bucket_of_host,
    is_bucket_name,
    parse_copy_source,
    parse_query,
    parse_target,
    split_target,
)
from cellsmono.gateway.s3.conditions import (
    check_copy_source,
    check_read,
    is_range_current,
    parse_write_conditions,
    split_etags,
)
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.ranges import parse_copy_range, parse_range

DOMAINS = ["s3.example.org", "localhost"]


@pytest.mark.parametrize(
    ("path", "host", "bucket", "key"),
    [
        ("/", "h", "", ""),
        ("/b", "h", "b", ""),
        ("/b/", "h", "b", ""),
        ("/b/k", "h", "b", "k"),
        ("/b//k", "h", "b", "/k"),
        ("/b/a//b/", "h", "b", "a//b/"),
        ("/b/a/../c/./d", "h", "b", "a/../c/./d"),
        ("/b/%2e%2e/%2E", "h", "b", "../."),
        ("/b/a%2Fb", "h", "b", "a/b"),
        ("/b/a+b%2Bc%20d", "h", "b", "a+b+c d"),
        ("/b/%252e", "h", "b", "%2e"),
        ("/b/%C3%A9%F0%9F%98%80", "h", "b", "é😀"),
        ("/b/é", "h", "b", "é"),
        ("/b/%0A%0D%01%7F", "h", "b", "\n\r\x01\x7f"),
        ("/b/back\\slash", "h", "b", "back\\slash"),
        ("/k", "b.s3.example.org", "b", "k"),
        ("/k/l", "My.B.S3.example.org:9000", "my.b", "k/l"),
        ("/", "b.localhost:9000", "b", ""),
        ("//k", "b.localhost", "b", "/k"),
        ("/b/k", "s3.example.org", "b", "k"),
        ("/b/k", "xs3.example.org", "b", "k"),
        ("/b/k", "127.0.0.1:9000", "b", "k"),
        ("/b/k", "[::1]:9000", "b", "k"),
        ("/b/" + "k" * 1024, "h", "b", "k" * 1024),
    ],
)
def test_targets(path, host, bucket, key):
    target = parse_target(path, host, DOMAINS)
    assert (target.bucket, target.key) == (bucket, key)
    assert target.bucket_in_host == bool(bucket_of_host(host, DOMAINS))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("", "InvalidURI"),
        ("b/k", "InvalidURI"),
        ("/b/%", "InvalidURI"),
        ("/b/%2", "InvalidURI"),
        ("/b/%zz", "InvalidURI"),
        ("/b/%ff", "InvalidURI"),
        ("/b/%C3", "InvalidURI"),
        ("/b/%ED%A0%80", "InvalidURI"),
        ("/b/%C0%AE", "InvalidURI"),
        ("/b/\udcff", "InvalidURI"),
        ("/b/%00", "InvalidURI"),
        ("/b/a\0", "InvalidURI"),
        ("//k", "InvalidBucketName"),
        ("/b/" + "k" * 1025, "KeyTooLongError"),
        ("/b/" + "%C3%A9" * 513, "KeyTooLongError"),
    ],
)
def test_targets_that_are_none(path, code):
    with pytest.raises(S3Error) as caught:
        parse_target(path, "h", [])
    assert (caught.value.code, caught.value.status) == (code, 400)


def test_resource_of_a_target():
    assert [Target().resource, Target("b").resource, Target("b", "k").resource] == ["/", "/b", "/b/k"]


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        ("/a?b=c", "/a", "b=c"),
        ("/a?b?c", "/a", "b?c"),
        ("/a", "/a", ""),
        ("http://host:1/a?b", "/a", "b"),
        ("HTTPS://host", "/", ""),
        ("http://host?x", "/", "x"),
    ],
)
def test_request_targets(raw, path, query):
    assert split_target(raw) == (path, query)


@pytest.mark.parametrize("raw", ["*", "host:443", "ftp://x/y", "", "a/b"])
def test_request_targets_that_are_none(raw):
    with pytest.raises(S3Error, match="InvalidURI"):
        split_target(raw)


def test_queries():
    query = parse_query("acl&prefix=a%2Bb+c&&x=&x=2&%C3%A9=1=2;3")
    assert query.pairs == [("acl", ""), ("prefix", "a+b c"), ("x", ""), ("x", "2"), ("é", "1=2;3")]
    assert "acl" in query
    assert "ACL" not in query
    assert (query.get("x"), query.get("none"), query.get("none", "d")) == ("", "", "d")
    assert query.count("x") == 2
    assert list(query) == ["acl", "prefix", "x", "é"]
    assert not parse_query("")
    for bad in ("a=%", "a=%ff", "%zz", "a=%00"):
        with pytest.raises(S3Error, match="InvalidURI"):
            parse_query(bad)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("b/k", ("b", "k", "")),
        ("/b/k/l", ("b", "k/l", "")),
        ("b/a%20b%2Fc+d", ("b", "a b/c+d", "")),
        ("/b/k?versionId=null", ("b", "k", "null")),
        ("b/what%3FversionId=1", ("b", "what?versionId=1", "")),
    ],
)
def test_copy_sources(value, found):
    source = parse_copy_source(value)
    assert (source.bucket, source.key, source.version_id) == found


@pytest.mark.parametrize("value", ["", "b", "/b", "b/", "//k", "b/%ff", "b/k?x=y", "b/k?versionId=%"])
def test_copy_sources_that_are_none(value):
    with pytest.raises(S3Error, match="InvalidArgument"):
        parse_copy_source(value)


def test_bucket_names():
    for good in ("abc", "a.b-c", "1-2", "a" * 63):
        assert is_bucket_name(good), good
    for bad in ("", "ab", "a" * 64, "Abc", "a_b", "-ab", "ab-", "a..b", "a.-b", "1.2.3.4", "xn--a", "é-é", "abc\n"):
        assert not is_bucket_name(bad), bad


@pytest.mark.parametrize(
    ("header", "size", "found"),
    [
        (None, 10, None),
        ("", 10, None),
        ("bytes=0-0", 10, (0, 0)),
        ("bytes=0-9", 10, (0, 9)),
        ("bytes=2-", 10, (2, 9)),
        ("bytes=-3", 10, (7, 9)),
        ("bytes=-30", 10, (0, 9)),
        ("bytes=5-99999999999999999999", 10, (5, 9)),
        ("Bytes=1-2", 10, (1, 2)),
        ("bytes= 1-2 ", 10, (1, 2)),
        ("bytes=5-4", 10, None),
        ("bytes=-", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=1", 10, None),
        ("lines=1-2", 10, None),
        ("bytes=--1", 10, None),
        ("bytes=+1-2", 10, None),
        ("bytes=٣-٤", 10, None),
        ("bytes=" + "9" * 40 + "-", 10, None),
    ],
)
def test_ranges(header, size, found):
    parsed = parse_range(header, size)
    assert (parsed and (parsed.start, parsed.end)) == found
    if parsed:
        assert parsed.length == parsed.end - parsed.start + 1
        assert parsed.content_range == f"bytes {parsed.start}-{parsed.end}/{size}"


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=0-0", 0), ("bytes=-0", 10), ("bytes=-5", 0)])
def test_ranges_beyond_the_end(header, size):
    with pytest.raises(S3Error) as caught:
        parse_range(header, size)
    error = caught.value
    assert (error.code, error.status) == ("InvalidRange", 416)
    assert error.headers == {"Content-Range": f"bytes */{size}"}
    assert error.fields == {"RangeRequested": header, "ActualObjectSize": str(size)}


def test_copy_ranges():
    found = parse_copy_range("bytes=1-9", 10)
    assert (found.start, found.end, found.length) == (1, 9, 9)
    for bad in ("bytes=1-10", "bytes=2-1", "bytes=-1", "bytes=1-", "1-2", "bytes=0-1,2-3", "", "bytes= 0-1"):
        with pytest.raises(S3Error, match="InvalidArgument"):
            parse_copy_range(bad, 10)


ETAG = "d41d8cd98f00b204e9800998ecf8427e"
MTIME = 1_369_353_600_500_000_000  # Fri, 24 May 2013 00:00:00.5 GMT
SAME, LATER, EARLIER = (
    "Fri, 24 May 2013 00:00:00 GMT",
    "Fri, 24 May 2013 00:00:01 GMT",
    "Thu, 23 May 2013 23:59:59 GMT",
)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, None),
        ({"if-match": f'"{ETAG}"'}, None),
        ({"if-match": ETAG}, None),
        ({"if-match": "*"}, None),
        ({"if-match": f'"x", "{ETAG}"'}, None),
        ({"if-match": '"x"'}, "PreconditionFailed"),
        ({"if-none-match": f'"{ETAG}"'}, "NotModified"),
        ({"if-none-match": f'W/"{ETAG}"'}, "NotModified"),
        ({"if-none-match": "*"}, "NotModified"),
        ({"if-none-match": '"x"'}, None),
        ({"if-modified-since": EARLIER}, None),
        ({"if-modified-since": SAME}, "NotModified"),
        ({"if-modified-since": LATER}, "NotModified"),
        ({"if-modified-since": "yesterday"}, None),
        ({"if-unmodified-since": EARLIER}, "PreconditionFailed"),
        ({"if-unmodified-since": SAME}, None),
        ({"if-unmodified-since": LATER}, None),
        ({"if-unmodified-since": "yesterday"}, None),
        # S3's two documented combinations, and their likes.
        ({"if-match": f'"{ETAG}"', "if-unmodified-since": EARLIER}, None),
        ({"if-none-match": f'"{ETAG}"', "if-modified-since": EARLIER}, "NotModified"),
        ({"if-none-match": '"x"', "if-modified-since": LATER}, None),
        ({"if-match": '"x"', "if-none-match": f'"{ETAG}"'}, "PreconditionFailed"),
    ],
)
def test_conditions_of_reads_and_copies(headers, code):
    if code is None:
        check_read(CIMultiDict(headers), ETAG, MTIME)
    else:
        with pytest.raises(S3Error) as refused:
            check_read(CIMultiDict(headers), ETAG, MTIME)
        assert refused.value.code == code
        assert refused.value.status == {"PreconditionFailed": 412, "NotModified": 304}[code]
    copied = CIMultiDict({f"x-amz-copy-source-{name}": value for name, value in headers.items()})
    if code is None:
        check_copy_source(copied, ETAG, MTIME)
    else:
        with pytest.raises(S3Error) as caught:
            check_copy_source(copied, ETAG, MTIME)
        assert (caught.value.status, caught.value.fields["Condition"][:18]) == (412, "x-amz-copy-source-")


@pytest.mark.parametrize(
    ("value", "is_current"),
    [
        (f'"{ETAG}"', True),
        (ETAG, True),
        ('"x"', False),
        (f'W/"{ETAG}"', False),
        (SAME, True),
        (LATER, False),
        (EARLIER, False),
    ],
)
def test_if_range(value, is_current):
    assert is_range_current(CIMultiDict({"If-Range": value}), ETAG, MTIME) is is_current
    assert is_range_current(CIMultiDict(), ETAG, MTIME)


def test_conditions_of_writes():
    assert parse_write_conditions(CIMultiDict()).if_match == ""
    only_new = parse_write_conditions(CIMultiDict({"If-None-Match": "*"}))
    assert (only_new.if_match, only_new.if_none_match) == ("", "*")
    assert parse_write_conditions(CIMultiDict({"If-None-Match": '"*"'})).if_none_match == "*"
    same = parse_write_conditions(CIMultiDict({"If-Match": f'"{ETAG}"'}))
    assert (same.if_match, same.if_none_match) == (ETAG, "")
    for bad in ({"if-none-match": f'"{ETAG}"'}, {"if-match": '"a", "b"'}, {"if-match": "a", "if-none-match": "*"},
                {"if-match": ""}):  # fmt: skip
        with pytest.raises(S3Error, match="NotImplemented"):
            parse_write_conditions(CIMultiDict(bad))
    assert split_etags('"a", W/"b",c ,') == ["a", "b", "c"]


class TestDates:
    @pytest.mark.parametrize(
        ("time_ns", "iso", "http"),
        [
            (0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (MTIME, "2013-05-24T00:00:00.000Z", "Fri, 24 May 2013 00:00:00 GMT"),
            (-1, "1969-12-31T23:59:59.000Z", "Wed, 31 Dec 1969 23:59:59 GMT"),
            (1_709_251_199 * 10**9, "2024-02-29T23:59:59.000Z", "Thu, 29 Feb 2024 23:59:59 GMT"),
            (10**30, "9999-12-31T23:59:59.000Z", "Fri, 31 Dec 9999 23:59:59 GMT"),
            (-(10**30), "0001-01-01T00:00:00.000Z", "Mon, 01 Jan 0001 00:00:00 GMT"),
        ],
    )
    def test_writing(self, time_ns, iso, http):
        assert dates.format_iso(time_ns) == iso
        assert dates.format_http(time_ns) == http

    @pytest.mark.parametrize(
        "text",
        [
            "Fri, 24 May 2013 00:00:00 GMT",
            "Fri, 24 May 2013 00:00:00 +0000",
            "Friday, 24-May-13 00:00:00 GMT",
            "Fri May 24 00:00:00 2013",
            "Fri, 24 May 2013 02:00:00 +0200",
        ],
    )
    def test_reading(self, text):
        assert dates.parse_http(text) == 1_369_353_600

    @pytest.mark.parametrize("text", ["", "x", "Fri, 99 May 2013 00:00:00 GMT", "24", "Fri, 24 May 99999 0:0:0 GMT"])
    def test_no_dates(self, text):
        assert dates.parse_http(text) is None
        assert dates.parse_compact(text) is None
        assert dates.parse_iso(text) is None

    def test_compact(self):
        assert dates.parse_compact("20130524T000000Z") == 1_369_353_600
        assert dates.format_compact(1_369_353_600) == "20130524T000000Z"
        for bad in ("20130524T000000", "20130532T000000Z", "20130524t000000z", " 20130524T000000Z", "20130230T000000Z"):
            assert dates.parse_compact(bad) is None

    def test_iso(self):
        assert dates.parse_iso("2013-05-24T00:00:00.250Z") == 1_369_353_600.25
        assert dates.parse_iso("2013-05-24T00:00:00Z") == 1_369_353_600
        assert dates.parse_iso("2013-05-24") is None
