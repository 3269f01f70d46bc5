"""Objects through boto3: put, get, head, conditions, ranges, metadata."""

import base64
import datetime
import hashlib
import time
import zlib
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError

MD5_HELLO = hashlib.md5(b"hello").hexdigest()
MD5_EMPTY = hashlib.md5(b"").hexdigest()
OLD = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def put(s3, bucket, key, body=b"hello", **more):
    return s3.put_object(Bucket=bucket, Key=key, Body=body, **more)


def read(s3, bucket, key, **more):
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def test_an_object_comes_back_as_it_was_put(s3, bucket):
    put_answer = put(s3, bucket, "a/b.txt")
    assert put_answer["ETag"] == f'"{MD5_HELLO}"'
    got = s3.get_object(Bucket=bucket, Key="a/b.txt")
    assert got["Body"].read() == b"hello"
    assert got["ETag"] == put_answer["ETag"]
    assert got["ContentLength"] == 5
    assert got["AcceptRanges"] == "bytes"
    assert s3.head_object(Bucket=bucket, Key="a/b.txt")["ETag"] == put_answer["ETag"]


@pytest.mark.parametrize("size", [0, 1, 65_536, 131_072, 131_073, 3_000_000])
def test_every_size_comes_back_byte_for_byte(s3, bucket, size):
    body = (hashlib.sha512(str(size).encode()).digest() * (size // 64 + 1))[:size]
    put(s3, bucket, "x", body)
    assert read(s3, bucket, "x") == body
    assert s3.head_object(Bucket=bucket, Key="x")["ContentLength"] == size


ODD_KEYS = [
    "plain",
    "with space",
    "a+b",
    "100%",
    "%41 %2F",
    "ünïcödé/日本語/🙂.jpg",
    "e\u0301 nfd",
    "\u00e9 nfc",
    "semi;colon",
    'quote\'d "double"',
    "q?x=y&z#frag",
    "[a]{b}(c)!$*,~@:",
    "back\\slash",
    "trailing ",
    " leading",
    "tab\tnew\nline",
    "\x01\x1f",
    "a=b",
    "dot.",
    ".hidden",
    "...",
    "<xml>&amp;",
    "\u202ertl",
    "k" * 255,
]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_are_kept_exactly(s3, bucket, key):
    put(s3, bucket, key, key.encode())
    assert read(s3, bucket, key) == key.encode()
    listed = s3.list_objects_v2(Bucket=bucket, EncodingType="url")["Contents"]
    assert [unquote(entry["Key"]) for entry in listed] == [key]
    assert listed[0]["Key"].isascii()
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert copied["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(key.encode()).hexdigest()}"'
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}], "Quiet": True})
    s3.delete_object(Bucket=bucket, Key=key)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_list_without_encoding_gives_odd_keys_back(s3, bucket):
    keys = sorted((key for key in ODD_KEYS if key.isprintable()), key=lambda key: key.encode())
    for key in keys:
        put(s3, bucket, key)
    # boto3 asks for encoding-type=url by itself and decodes what comes back.
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == keys
    assert [entry["Key"] for entry in s3.list_objects(Bucket=bucket)["Contents"]] == keys


@pytest.mark.parametrize("key", ["a//b", "/a", "../a", "a/../b", "./a", "a/./b"])
def test_keys_that_no_folder_can_hold_are_refused(refuse, structured_bucket, key):
    assert refuse("put_object", Bucket=structured_bucket, Key=key, Body=b"x") == (400, "InvalidArgument")
    assert refuse("get_object", Bucket=structured_bucket, Key=key) == (404, "NoSuchKey")


def test_a_key_that_is_too_long_is_refused(refuse, bucket):
    assert refuse("put_object", Bucket=bucket, Key="a/" * 513, Body=b"") == (400, "KeyTooLongError")


def test_what_is_not_there(refuse, bucket):
    assert refuse("get_object", Bucket=bucket, Key="nothing") == (404, "NoSuchKey")
    assert refuse("head_object", Bucket=bucket, Key="nothing") == (404, "404")
    assert refuse("get_object", Bucket="no-such-bucket", Key="x") == (404, "NoSuchBucket")
    assert refuse("put_object", Bucket="no-such-bucket", Key="x", Body=b"y") == (404, "NoSuchBucket")
    assert refuse("head_bucket", Bucket="no-such-bucket") == (404, "404")


def test_standard_headers_and_metadata_come_back(s3, bucket):
    wanted = {
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="x.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "ContentType": "text/x-test; charset=utf-8",
        "StorageClass": "STANDARD_IA",
        "WebsiteRedirectLocation": "/elsewhere",
        "Metadata": {"colour": "blue", "empty": "", "with-dash": "a b  c"},
    }
    put(s3, bucket, "x", b"not really gzip", **wanted)
    for answer in (s3.head_object(Bucket=bucket, Key="x"), s3.get_object(Bucket=bucket, Key="x")):
        assert {name: answer[name] for name in wanted} == wanted
    assert read(s3, bucket, "x") == b"not really gzip"
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == "STANDARD_IA"


def test_expires_comes_back_as_it_was_sent(s3, bucket):
    when = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    put(s3, bucket, "x", Expires=when)
    headers = s3.head_object(Bucket=bucket, Key="x")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["expires"] == "Wed, 02 Jan 2030 03:04:05 GMT"


def test_metadata_that_is_not_ascii_comes_back_mail_safe(s3, bucket):
    encoded = f"=?UTF-8?B?{base64.b64encode('grün'.encode()).decode()}?="
    put(s3, bucket, "x", Metadata={"colour": encoded})
    assert s3.head_object(Bucket=bucket, Key="x")["Metadata"] == {"colour": encoded}


def test_content_types(s3, bucket):
    put(s3, bucket, "a.png")
    put(s3, bucket, "b")
    for key in ("a.png", "b"):
        assert s3.head_object(Bucket=bucket, Key=key)["ContentType"] == "binary/octet-stream"


LONGEST = ["k" * 1024, "a/" * 511 + "bc", "a/" * 512, "n" * 300 + "/x", "é" * 512]


@pytest.mark.parametrize("key", LONGEST, ids=range(len(LONGEST)))
def test_nothing_is_at_a_long_key_until_something_is_stored_there(s3, refuse, bucket, key):
    assert refuse("head_object", Bucket=bucket, Key=key) == (404, "404")
    for operation in ("get_object", "get_object_tagging", "get_object_acl"):
        assert refuse(operation, Bucket=bucket, Key=key) == (404, "NoSuchKey")
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": {"Bucket": bucket, "Key": key}}
    assert refuse("copy_object", **copy) == (404, "NoSuchKey")
    s3.delete_object(Bucket=bucket, Key=key)
    assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    assert s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"] == 0


@pytest.mark.parametrize("operation", ["get_object", "put_object", "delete_object", "create_multipart_upload"])
def test_a_key_of_more_than_1024_bytes_is_no_key(refuse, bucket, operation):
    for key in ("k" * 1025, "é" * 513, "a/" * 512 + "b"):
        assert refuse(operation, Bucket=bucket, Key=key) == (400, "KeyTooLongError")


def test_metadata_that_is_too_large_is_refused(refuse, bucket):
    arguments = {"Bucket": bucket, "Key": "x", "Body": b"", "Metadata": {"a": "x" * 2048}}
    assert refuse("put_object", **arguments) == (400, "MetadataTooLarge")


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        ({"ServerSideEncryption": "aws:kms"}, (501, "NotImplemented")),
        ({"ACL": "public-read"}, (400, "AccessControlListNotSupported")),
        ({"GrantRead": "id=abc"}, (400, "InvalidArgument")),
        ({"GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"}, (400, "AccessControlListNotSupported")),
        ({"StorageClass": "NO_SUCH"}, (400, "InvalidStorageClass")),
        ({"ObjectLockLegalHoldStatus": "ON"}, (400, "InvalidRequest")),
        ({"WebsiteRedirectLocation": "elsewhere"}, (400, "InvalidRedirectLocation")),
        ({"Tagging": "a=1&a=2"}, (400, "InvalidTag")),
        ({"ContentMD5": "nonsense"}, (400, "InvalidDigest")),
        ({"ContentMD5": base64.b64encode(b"x" * 16).decode()}, (400, "BadDigest")),
    ],
)
def test_what_can_not_be_promised_is_refused_and_stores_nothing(s3, refuse, bucket, more, answer):
    assert refuse("put_object", Bucket=bucket, Key="x", Body=b"hello", **more) == answer
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_canned_acls_that_say_nothing_new_are_taken(s3, bucket):
    put(s3, bucket, "x", ACL="private")
    put(s3, bucket, "y", ACL="bucket-owner-full-control")


def test_conditional_writes(s3, refuse, bucket):
    first = put(s3, bucket, "x", b"1", IfNoneMatch="*")
    assert refuse("put_object", Bucket=bucket, Key="x", Body=b"2", IfNoneMatch="*") == (412, "PreconditionFailed")
    assert refuse("put_object", Bucket=bucket, Key="x", Body=b"2", IfMatch='"other"') == (412, "PreconditionFailed")
    assert refuse("put_object", Bucket=bucket, Key="y", Body=b"2", IfMatch=first["ETag"]) == (404, "NoSuchKey")
    put(s3, bucket, "x", b"3", IfMatch=first["ETag"])
    assert read(s3, bucket, "x") == b"3"


def test_conditional_reads(s3, refuse, bucket):
    answer = put(s3, bucket, "x")
    etag = answer["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="x")["LastModified"]
    before, after = modified - datetime.timedelta(days=1), modified + datetime.timedelta(days=1)
    where = {"Bucket": bucket, "Key": "x"}
    assert refuse("get_object", **where, IfNoneMatch=etag) == (304, "304")
    assert refuse("head_object", **where, IfNoneMatch=etag) == (304, "304")
    assert refuse("get_object", **where, IfMatch='"no"') == (412, "PreconditionFailed")
    assert refuse("get_object", **where, IfModifiedSince=after) == (304, "304")
    assert refuse("get_object", **where, IfUnmodifiedSince=before) == (412, "PreconditionFailed")
    assert read(s3, **{"bucket": bucket, "key": "x"}, IfMatch=etag, IfUnmodifiedSince=before) == b"hello"
    assert refuse("get_object", **where, IfNoneMatch=etag, IfModifiedSince=before) == (304, "304")
    assert read(s3, bucket, "x", IfNoneMatch='"no"', IfModifiedSince=after) == b"hello"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-9", 0, 10),
        ("bytes=5-", 5, 1000),
        ("bytes=-3", 997, 1000),
        ("bytes=-5000", 0, 1000),
        ("bytes=999-", 999, 1000),
        ("bytes=990-2000", 990, 1000),
    ],
)
def test_ranges(s3, bucket, asked, start, end):
    body = bytes(range(250)) * 4
    put(s3, bucket, "x", body)
    got = s3.get_object(Bucket=bucket, Key="x", Range=asked)
    assert got["Body"].read() == body[start:end]
    assert got["ContentRange"] == f"bytes {start}-{end - 1}/1000"
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    head = s3.head_object(Bucket=bucket, Key="x", Range=asked)
    assert head["ContentLength"] == end - start


@pytest.mark.parametrize("asked", ["bytes=1-0", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=-"])
def test_ranges_that_are_none_give_the_whole_object(s3, bucket, asked):
    put(s3, bucket, "x")
    assert read(s3, bucket, "x", Range=asked) == b"hello"


def test_ranges_beyond_the_end_are_refused(s3, refuse, bucket):
    put(s3, bucket, "x")
    put(s3, bucket, "empty", b"")
    assert refuse("get_object", Bucket=bucket, Key="x", Range="bytes=5-") == (416, "InvalidRange")
    assert refuse("get_object", Bucket=bucket, Key="x", Range="bytes=-0") == (416, "InvalidRange")
    assert refuse("get_object", Bucket=bucket, Key="empty", Range="bytes=0-0") == (416, "InvalidRange")


def test_response_headers_can_be_overridden(s3, bucket):
    put(s3, bucket, "x", ContentType="text/plain")
    got = s3.get_object(
        Bucket=bucket,
        Key="x",
        ResponseContentType="application/json",
        ResponseContentDisposition="attachment; filename*=UTF-8''x",
        ResponseCacheControl="no-store",
        ResponseContentEncoding="identity",
        ResponseContentLanguage="fr",
    )
    assert got["ContentType"] == "application/json"
    assert got["ContentDisposition"] == "attachment; filename*=UTF-8''x"
    assert got["CacheControl"] == "no-store"
    assert got["ContentLanguage"] == "fr"


def test_a_header_can_not_be_smuggled_into_the_answer(s3, refuse, bucket):
    put(s3, bucket, "x")
    arguments = {"Bucket": bucket, "Key": "x", "ResponseContentType": "text/plain\r\nX-Evil: 1"}
    assert refuse("get_object", **arguments) == (400, "InvalidArgument")


def test_version_ids(s3, refuse, bucket):
    put(s3, bucket, "x")
    assert read(s3, bucket, "x", VersionId="null") == b"hello"
    assert refuse("get_object", Bucket=bucket, Key="x", VersionId="0" * 32) == (404, "NoSuchVersion")
    assert refuse("get_object", Bucket=bucket, Key="x", VersionId="abc") == (400, "InvalidArgument")
    assert refuse("delete_object", Bucket=bucket, Key="x", VersionId="abc") == (400, "InvalidArgument")
    s3.delete_object(Bucket=bucket, Key="x", VersionId="0" * 32)
    assert read(s3, bucket, "x") == b"hello"
    s3.delete_object(Bucket=bucket, Key="x", VersionId="null")
    assert refuse("get_object", Bucket=bucket, Key="x") == (404, "NoSuchKey")


@pytest.mark.parametrize(
    ("meta", "seconds"),
    [
        ({"mtime": "1600000000.123456789"}, 1_600_000_000),
        ({"mtime": "1500000000"}, 1_500_000_000),
        ({"mtime": "-86400.5"}, -86_401),
        ({"s3cmd-attrs": "atime:1/ctime:2/gid:0/mode:33188/mtime:1400000000/uid:0"}, 1_400_000_000),
    ],
)
def test_modification_times_of_clients_are_kept(s3, bucket, meta, seconds):
    put(s3, bucket, "x", Metadata=meta)
    head = s3.head_object(Bucket=bucket, Key="x")
    assert int(head["LastModified"].timestamp()) == seconds
    assert head["Metadata"] == meta


def test_nonsense_as_a_modification_time_is_only_stored(s3, bucket):
    for nonsense in ("yesterday", "1e9", "99999999999999", "", "nan"):
        put(s3, bucket, "x", Metadata={"mtime": nonsense})
        head = s3.head_object(Bucket=bucket, Key="x")
        assert abs(head["LastModified"].timestamp() - time.time()) < 60
        assert head["Metadata"] == {"mtime": nonsense}


def test_folder_markers(s3, refuse, bucket):
    put(s3, bucket, "dir/", b"", Metadata={"a": "b"})
    put(s3, bucket, "dir/x")
    put(s3, bucket, "implied/x")
    head = s3.head_object(Bucket=bucket, Key="dir/")
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (0, "application/x-directory", {"a": "b"})
    assert s3.get_object(Bucket=bucket, Key="dir/")["Body"].read() == b""
    assert refuse("get_object", Bucket=bucket, Key="implied/") == (404, "NoSuchKey")
    assert refuse("get_object", Bucket=bucket, Key="dir") == (404, "NoSuchKey")
    assert refuse("put_object", Bucket=bucket, Key="full/", Body=b"x") == (400, "InvalidArgument")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["dir/", "dir/x", "implied/x"]
    assert s3.list_objects_v2(Bucket=bucket, Prefix="dir/")["Contents"][0]["ETag"] == f'"{hashlib.md5().hexdigest()}"'
    s3.delete_object(Bucket=bucket, Key="dir/")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["dir/x", "implied/x"]
    s3.delete_object(Bucket=bucket, Key="implied/")
    assert read(s3, bucket, "implied/x") == b"hello"


def test_a_file_can_not_stand_where_a_folder_is(refuse, s3, structured_bucket):
    put(s3, structured_bucket, "a/b")
    assert refuse("put_object", Bucket=structured_bucket, Key="a", Body=b"") == (409, "KeyConflict")
    assert refuse("put_object", Bucket=structured_bucket, Key="a/b/c", Body=b"") == (409, "KeyConflict")


CHECKSUMS = {
    "CRC32": base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode(),
    "CRC32C": "mnG7TA==",
    "CRC64NVME": "M3eFcAZSQlc=",
    "SHA1": base64.b64encode(hashlib.sha1(b"hello").digest()).decode(),
    "SHA256": base64.b64encode(hashlib.sha256(b"hello").digest()).decode(),
}


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_checksums_are_verified_kept_and_returned(s3, refuse, bucket, algorithm):
    value, field = CHECKSUMS[algorithm], f"Checksum{algorithm}"
    computed = put(s3, bucket, "computed", ChecksumAlgorithm=algorithm)
    given = put(s3, bucket, "given", **{field: value})
    assert computed[field] == given[field] == value
    for key in ("computed", "given"):
        head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        assert (head[field], head["ChecksumType"]) == (value, "FULL_OBJECT")
        assert field not in s3.head_object(Bucket=bucket, Key=key)
        assert read(s3, bucket, key, ChecksumMode="ENABLED") == b"hello"
    wrong = {"Bucket": bucket, "Key": "wrong", "Body": b"hellO", field: value}
    assert refuse("put_object", **wrong) == (400, "BadDigest")
    assert refuse("put_object", **(wrong | {field: "AAA"})) == (400, "InvalidRequest")
    assert refuse("head_object", Bucket=bucket, Key="wrong") == (404, "404")
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ChecksumAlgorithm"] == [algorithm]


def test_a_range_has_no_checksum_of_the_whole(s3, bucket):
    put(s3, bucket, "x", ChecksumAlgorithm="SHA256")
    got = s3.get_object(Bucket=bucket, Key="x", Range="bytes=1-2", ChecksumMode="ENABLED")
    assert "ChecksumSHA256" not in got
    assert got["Body"].read() == b"el"


def test_unsigned_payloads_over_http_and_streams_without_length(s3, make_client, bucket):
    client = make_client(request_checksum_calculation="when_required", s3={"payload_signing_enabled": False})
    put(client, bucket, "x", b"unsigned")
    assert read(client, bucket, "x") == b"unsigned"
    signed = make_client(request_checksum_calculation="when_required", s3={"payload_signing_enabled": True})
    put(signed, bucket, "y", b"signed")
    assert read(signed, bucket, "y") == b"signed"


def test_attributes(s3, refuse, bucket):
    put(s3, bucket, "x", ChecksumAlgorithm="SHA1", StorageClass="GLACIER_IR")
    asked = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    got = s3.get_object_attributes(Bucket=bucket, Key="x", ObjectAttributes=asked)
    assert got["ETag"] == MD5_HELLO
    assert got["Checksum"] == {"ChecksumSHA1": CHECKSUMS["SHA1"], "ChecksumType": "FULL_OBJECT"}
    assert got["StorageClass"] == "GLACIER_IR"
    assert got["ObjectSize"] == 5
    assert "ObjectParts" not in got
    only = s3.get_object_attributes(Bucket=bucket, Key="x", ObjectAttributes=["ObjectSize"])
    assert "ETag" not in only
    assert refuse("get_object_attributes", Bucket=bucket, Key="x", ObjectAttributes=["No"]) == (400, "InvalidArgument")


def test_tags(s3, refuse, bucket):
    put(s3, bucket, "x", Tagging="a=1&b=two%20words&c=")
    where = {"Bucket": bucket, "Key": "x"}
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(**where)["TagSet"]}
    assert tags == {"a": "1", "b": "two words", "c": ""}
    assert s3.get_object(**where)["TagCount"] == 3
    s3.put_object_tagging(**where, Tagging={"TagSet": [{"Key": "n", "Value": "ä"}]})
    assert s3.get_object_tagging(**where)["TagSet"] == [{"Key": "n", "Value": "ä"}]
    eleven = {"TagSet": [{"Key": f"k{i}", "Value": ""} for i in range(11)]}
    assert refuse("put_object_tagging", **where, Tagging=eleven) == (400, "BadRequest")
    twice = {"TagSet": [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]}
    assert refuse("put_object_tagging", **where, Tagging=twice) == (400, "InvalidTag")
    s3.delete_object_tagging(**where)
    assert s3.get_object_tagging(**where)["TagSet"] == []
    assert read(s3, bucket, "x") == b"hello"
    assert refuse("get_object_tagging", Bucket=bucket, Key="no") == (404, "NoSuchKey")


def test_acls(s3, refuse, bucket):
    put(s3, bucket, "x")
    for acl in (s3.get_object_acl(Bucket=bucket, Key="x"), s3.get_bucket_acl(Bucket=bucket)):
        assert [grant["Permission"] for grant in acl["Grants"]] == ["FULL_CONTROL"]
        assert acl["Grants"][0]["Grantee"]["ID"] == acl["Owner"]["ID"]
        policy = {"Owner": acl["Owner"], "Grants": acl["Grants"]}
    s3.put_object_acl(Bucket=bucket, Key="x", ACL="private")
    s3.put_object_acl(Bucket=bucket, Key="x", AccessControlPolicy=policy)
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    refused = (400, "AccessControlListNotSupported")
    assert refuse("put_object_acl", Bucket=bucket, Key="x", ACL="public-read") == refused
    assert refuse("put_bucket_acl", Bucket=bucket, ACL="public-read") == refused
    assert refuse("get_object_acl", Bucket=bucket, Key="no") == (404, "NoSuchKey")


def test_operations_of_features_that_are_not_there(s3, refuse, bucket):
    put(s3, bucket, "x")
    where = {"Bucket": bucket, "Key": "x"}
    assert refuse("get_object_torrent", **where) == (501, "NotImplemented")
    assert refuse("get_object_retention", **where) == (400, "InvalidRequest")
    assert refuse("get_object_legal_hold", **where) == (400, "InvalidRequest")
    assert refuse("restore_object", **where, RestoreRequest={"Days": 1}) == (403, "InvalidObjectState")
    select = {
        "ExpressionType": "SQL",
        "Expression": "select 1",
        "InputSerialization": {"CSV": {}},
        "OutputSerialization": {"CSV": {}},
    }
    assert refuse("select_object_content", **where, **select) == (501, "NotImplemented")


def test_a_feature_that_is_not_there_is_not_taken_for_a_plain_put_or_delete(s3, refuse, bucket):
    put(s3, bucket, "x")
    put(s3, bucket, "y", b"other")
    where = {"Bucket": bucket, "Key": "x"}
    assert refuse("rename_object", **where, RenameSource=f"{bucket}/y") == (501, "NotImplemented")
    assert refuse("delete_object_annotation", **where, AnnotationName="a") == (501, "NotImplemented")
    assert refuse("put_object_annotation", **where, AnnotationName="a", AnnotationPayload=b"z")[0] == 501
    assert read(s3, bucket, "x") == b"hello"
    assert read(s3, bucket, "y") == b"other"


def test_deleting(s3, refuse, bucket):
    put(s3, bucket, "x")
    assert refuse("delete_object", Bucket=bucket, Key="x", IfMatch='"no"') == (412, "PreconditionFailed")
    s3.delete_object(Bucket=bucket, Key="x", IfMatch=f'"{MD5_HELLO}"')
    s3.delete_object(Bucket=bucket, Key="x")
    assert refuse("get_object", Bucket=bucket, Key="x") == (404, "NoSuchKey")
    assert refuse("delete_object", Bucket="no-such-bucket", Key="x") == (404, "NoSuchBucket")


def test_deleting_under_conditions(s3, refuse, bucket):
    put(s3, bucket, "x")
    where = {"Bucket": bucket, "Key": "x"}
    assert refuse("delete_object", **where, IfMatchSize=4) == (501, "NotImplemented")
    assert refuse("delete_object", **where, IfMatchLastModifiedTime=OLD) == (501, "NotImplemented")
    assert read(s3, bucket, "x") == b"hello"
    s3.delete_object(**where, IfMatch="*")
    assert refuse("delete_object", **where, IfMatch="*") == (404, "NoSuchKey")
    for key in ("x", "y", "folder/", "other/"):
        put(s3, bucket, key, b"" if key.endswith("/") else b"hello")
    etags = {"x": MD5_HELLO, "y": MD5_EMPTY, "folder/": MD5_EMPTY, "other/": MD5_HELLO, "missing": "*", "gone/": "*"}
    wanted = [{"Key": key, "ETag": etag} for key, etag in etags.items()]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [*wanted, {"Key": "never"}]})
    assert [each["Key"] for each in answer["Deleted"]] == ["x", "folder/", "never"]
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [
        ("y", "PreconditionFailed"),
        ("other/", "PreconditionFailed"),
        ("missing", "NoSuchKey"),
        ("gone/", "NoSuchKey"),
    ]
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["other/", "y"]


def test_deleting_many(s3, refuse, bucket):
    names = [f"k{i:04}" for i in range(20)]
    for key in names:
        put(s3, bucket, key, b"")
    wanted = [{"Key": key} for key in [*names[:10], "missing"]]
    wanted += [{"Key": names[10], "VersionId": "null"}, {"Key": names[11], "VersionId": "abc"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert {each["Key"] for each in answer["Deleted"]} == {*names[:11], "missing"}
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [(names[11], "InvalidArgument")]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in names[11:]], "Quiet": True})
    assert "Deleted" not in quiet
    assert "Errors" not in quiet
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    too_many = {"Objects": [{"Key": str(i)} for i in range(1001)]}
    assert refuse("delete_objects", Bucket=bucket, Delete=too_many) == (400, "MalformedXML")
    assert refuse("delete_objects", Bucket="no-such-bucket", Delete={"Objects": [{"Key": "x"}]}) == (
        404,
        "NoSuchBucket",
    )


def test_a_source_that_is_replaced_all_the_time_is_copied_whole_and_without_conditions(s3, bucket):
    import threading

    versions = [b"a" * 70_000, b"b" * 100]
    s3.put_object(Bucket=bucket, Key="source", Body=versions[0])
    done = threading.Event()

    def replace():
        number = 0
        while not done.is_set():
            number += 1
            s3.put_object(Bucket=bucket, Key="source", Body=versions[number % 2])

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        codes = []
        for _ in range(40):
            try:
                s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "source"})
            except ClientError as error:
                codes.append(error.response["Error"]["Code"])
            else:
                assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() in versions
    finally:
        done.set()
        thread.join()
    assert "PreconditionFailed" not in codes
    assert len(codes) < 40
