"""Listings against an oracle: exact order, exact pages, exact common prefixes."""

import random

import pytest
from botocore.exceptions import ClientError

NAMES = ["a", "a-b", "a.b", "a0", "b", "~", "0", "é", "e\u0301", "z z", "\U0001f600", "\uffee", "A"]


def make_tree(seed, count):
    random.seed(seed)
    keys = set()
    while len(keys) < count:
        key = "/".join(random.choices(NAMES, k=random.randint(1, 4)))
        parts = key.split("/")
        above = {"/".join(parts[:at]) for at in range(1, len(parts))}
        if not above & keys and not any(other.startswith(key + "/") for other in keys):
            keys.add(key)
    return sorted(keys, key=lambda key: key.encode())


def oracle(keys, prefix="", delimiter="", after="", limit=1000):
    """What S3 documents, in the most naive way: entries (keys and common prefixes) in byte order."""
    entries = []
    for key in keys:
        if not key.startswith(prefix):
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = key if at < 0 else key[: at + len(delimiter)]
        if entries and entries[-1] == entry:
            continue
        if at < 0 and entry.encode() <= after.encode():
            continue
        if at >= 0 and (after.startswith(entry) or entry.encode() <= after.encode()):
            continue
        entries.append(entry)
    return entries[:limit], len(entries) > limit


@pytest.fixture(scope="module")
def tree(endpoint, s3):
    endpoint.make_bucket("listed")
    keys = make_tree(7, 120)
    for key in keys:
        s3.put_object(Bucket="listed", Key=key, Body=b"")
    return keys


def entries_of(answer):
    found = [each["Key"] for each in answer.get("Contents", [])]
    found += [each["Prefix"] for each in answer.get("CommonPrefixes", [])]
    return sorted(found, key=lambda text: text.encode())


QUESTIONS = [
    {},
    {"prefix": "a"},
    {"prefix": "a/"},
    {"prefix": "nothing"},
    {"delimiter": "/"},
    {"delimiter": "/", "prefix": "a/"},
    {"delimiter": "/", "prefix": "a"},
    {"delimiter": "-"},
    {"delimiter": "b"},
    {"delimiter": "a/"},
    {"delimiter": "é"},
    {"after": "a/"},
    {"after": "a.b", "delimiter": "/"},
    {"after": "b/a", "delimiter": "/"},
    {"after": "zzz"},
    {"after": "\U0010ffff"},
    {"prefix": "b/", "after": "a"},
    {"prefix": "a/", "after": "b"},
]


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_every_page_is_exact(s3, tree, question, limit):
    arguments = {"Prefix": question.get("prefix", ""), "Delimiter": question.get("delimiter", "")}
    after, token, seen, pages = question.get("after", ""), None, [], 0
    while True:
        where = {"ContinuationToken": token} if token else {"StartAfter": after}
        answer = s3.list_objects_v2(Bucket="listed", MaxKeys=limit, **arguments, **where)
        entries = entries_of(answer)
        expected, more = oracle(tree, after=seen[-1] if seen else after, limit=limit, **_without_after(question))
        assert entries == expected
        assert answer["IsTruncated"] == more
        assert answer["KeyCount"] == len(entries)
        seen += entries
        pages += 1
        if not more:
            break
        token = answer["NextContinuationToken"]
    assert seen == oracle(tree, limit=10**6, **question)[0]
    assert pages <= len(seen) // limit + 1


def _without_after(question):
    return {name: value for name, value in question.items() if name != "after"}


@pytest.mark.parametrize("delimiter", ["", "/"])
def test_the_older_listing(s3, tree, delimiter):
    seen, marker = [], ""
    while True:
        answer = s3.list_objects(Bucket="listed", Marker=marker, Delimiter=delimiter, MaxKeys=9)
        entries = entries_of(answer)
        seen += entries
        if not answer["IsTruncated"]:
            break
        assert ("NextMarker" in answer) == bool(delimiter)
        marker = answer.get("NextMarker", entries[-1])
    assert seen == oracle(tree, delimiter=delimiter, limit=10**6)[0]


def test_versions(s3, tree):
    seen = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket="listed", PaginationConfig={"PageSize": 11}):
        seen += page["Versions"]
    assert [each["Key"] for each in seen] == tree
    assert {(each["VersionId"], each["IsLatest"]) for each in seen} == {("null", True)}
    rolled = s3.list_object_versions(Bucket="listed", Delimiter="/")
    assert [each["Prefix"] for each in rolled["CommonPrefixes"]] == [
        entry for entry in oracle(tree, delimiter="/")[0] if entry.endswith("/")
    ]


def test_an_entry_says_what_there_is_to_say(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="x", Body=b"hello")["ETag"]
    entry = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (entry["ETag"], entry["Size"], entry["StorageClass"]) == (etag, 5, "STANDARD")
    assert entry["LastModified"] == s3.head_object(Bucket=bucket, Key="x")["LastModified"]
    assert "Owner" not in entry
    owned = s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]["Owner"]
    assert owned == s3.list_buckets()["Owner"]
    assert s3.list_objects(Bucket=bucket)["Contents"][0]["Owner"] == owned


def test_no_keys_at_all(s3, tree):
    answer = s3.list_objects_v2(Bucket="listed", MaxKeys=0)
    assert (answer["KeyCount"], answer["IsTruncated"], answer["MaxKeys"]) == (0, False, 0)
    assert s3.list_objects_v2(Bucket="listed", MaxKeys=5000)["MaxKeys"] == 1000


@pytest.mark.parametrize(
    "bad",
    [
        {"MaxKeys": -1},
        {"MaxKeys": 2**31},
        {"ContinuationToken": "nonsense"},
        {"ContinuationToken": ""},
        {"ContinuationToken": "AQAAAABhYmM="},
        {"EncodingType": "base64"},
    ],
    ids=str,
)
def test_questions_that_make_no_sense(s3, bucket, bad):
    with pytest.raises(ClientError) as caught:
        s3.list_objects_v2(Bucket=bucket, **bad)
    assert caught.value.response["Error"]["Code"] == "InvalidArgument"


def test_a_bucket_that_is_not_there(s3):
    for operation in (s3.list_objects, s3.list_objects_v2, s3.list_object_versions, s3.list_multipart_uploads):
        with pytest.raises(ClientError) as caught:
            operation(Bucket="no-such-bucket")
        assert caught.value.response["Error"]["Code"] == "NoSuchBucket"
