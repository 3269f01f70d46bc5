"""A flat bucket takes every key that S3 takes, and lists all of them in S3's order."""

import random

import pytest

HARD = [
    *("foo", "foo/bar", "foo//bar", "foo/bar/", "foo!", "foo0"),
    *("a//b", "/a", "//", "a///", "../a", "a/../b", "./a", "a/./b", ".", ".."),
    *("é" * 512, "k" * 1024, "x/" + "n" * 300, ".pydio", "a/.cellsmono/x", "tab\tand\nline", "+ %2F&=?#", "\u201bFF"),
    *("\U0001f600", "\uffee", "e\u0301", "é", "back\\slash", "cellsmono-flat.json"),
]
SEGMENTS = ["", "a", "b", "a-", "a0", ".", "..", "é", "\uffee", "\U0001f600"]


def body_of(key):
    return b"" if key.endswith("/") else key.encode()


def list_all(s3, bucket, **query):
    """Keys and common prefixes of all pages, in the order of their bytes as S3 merges them."""
    keys, prefixes = [], []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **query):
        keys += [entry["Key"] for entry in page.get("Contents", [])]
        prefixes += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
    return keys, prefixes


@pytest.fixture
def filled(s3, flat_bucket):
    for key in HARD:
        s3.put_object(Bucket=flat_bucket, Key=key, Body=body_of(key), Metadata={"n": str(len(key))})
    return flat_bucket


def test_every_key_is_stored_read_and_listed(s3, filled):
    for key in HARD:
        answer = s3.get_object(Bucket=filled, Key=key)
        assert answer["Body"].read() == body_of(key)
        assert answer["Metadata"] == {"n": str(len(key))}
    assert list_all(s3, filled) == (sorted(HARD), [])
    assert list_all(s3, filled, PaginationConfig={"PageSize": 3}) == (sorted(HARD), [])


def test_every_key_is_copied_tagged_and_deleted(s3, filled):
    for key in HARD:
        s3.copy_object(Bucket=filled, Key="copy/" + key[:500], CopySource={"Bucket": filled, "Key": key})
        s3.put_object_tagging(Bucket=filled, Key=key, Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
        assert s3.get_object_tagging(Bucket=filled, Key=key)["TagSet"] == [{"Key": "k", "Value": "v"}]
    wanted = {"Objects": [{"Key": key} for key in HARD]}
    assert len(s3.delete_objects(Bucket=filled, Delete=wanted)["Deleted"]) == len(HARD)
    keys, _ = list_all(s3, filled)
    assert keys == sorted({"copy/" + key[:500] for key in HARD})
    for key in keys:
        s3.delete_object(Bucket=filled, Key=key)
    assert list_all(s3, filled) == ([], [])
    s3.delete_bucket(Bucket=filled)


@pytest.mark.parametrize("key", ["a//b", "foo", "../up", "k" * 1024])
def test_an_upload_in_parts_has_any_key(s3, flat_bucket, key):
    s3.put_object(Bucket=flat_bucket, Key="foo/below", Body=b"")
    upload = s3.create_multipart_upload(Bucket=flat_bucket, Key=key)["UploadId"]
    assert [each["Key"] for each in s3.list_multipart_uploads(Bucket=flat_bucket)["Uploads"]] == [key]
    parts = []
    for number, body in ((1, b"1" * 1024), (2, b"2")):
        answer = s3.upload_part(Bucket=flat_bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    s3.complete_multipart_upload(Bucket=flat_bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=flat_bucket, Key=key)["Body"].read() == b"1" * 1024 + b"2"


@pytest.mark.parametrize("seed", range(3))
def test_listings_equal_those_of_a_sorted_list(s3, flat_bucket, seed):
    random.seed(seed)
    keys = {"/".join(random.choices(SEGMENTS, k=random.randint(1, 4))) for _ in range(60)} - {""}
    for key in keys:
        s3.put_object(Bucket=flat_bucket, Key=key, Body=b"")
    for prefix in ("", "a", "a/", "/", "a//", "../", "é/", "b/."):
        inside = sorted(key for key in keys if key.startswith(prefix))
        assert list_all(s3, flat_bucket, Prefix=prefix)[0] == inside
        for delimiter in ("/", "//", "a"):
            rolled, plain = set(), []
            for key in inside:
                at = key.find(delimiter, len(prefix))
                plain += [key] if at < 0 else []
                rolled |= {key[: at + len(delimiter)]} if at >= 0 else set()
            found = list_all(s3, flat_bucket, Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": 4})
            assert found == (plain, sorted(rolled))


def test_moving_a_tree_by_copies_and_deletes_leaves_no_folders(s3, flat_bucket):
    for n in range(5):
        s3.put_object(Bucket=flat_bucket, Key=f"old/{n}/f", Body=b"x")
        s3.copy_object(Bucket=flat_bucket, Key=f"new/{n}/f", CopySource={"Bucket": flat_bucket, "Key": f"old/{n}/f"})
        s3.delete_object(Bucket=flat_bucket, Key=f"old/{n}/f")
    assert list_all(s3, flat_bucket, Delimiter="/") == ([], ["new/"])
