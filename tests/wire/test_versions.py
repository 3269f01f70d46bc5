"""Object versions as boto3 sees them."""

import json

import pytest
from botocore.exceptions import ClientError


def status_and_code(error):
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def headers_of(error):
    return error.value.response["ResponseMetadata"]["HTTPHeaders"]


@pytest.fixture(autouse=True)
def keeper(endpoint):
    """The internal datasource that keeps the content of versions of structured ones, once for the endpoint."""
    if "versions" not in endpoint.core.datasources.names():
        endpoint.make_bucket("versions", format="internal")


@pytest.fixture
def versioned(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def suspend(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def put(s3, bucket, key, body=b"x", **options):
    return s3.put_object(Bucket=bucket, Key=key, Body=body, **options).get("VersionId")


def read(s3, bucket, key, version=None):
    options = {} if version is None else {"VersionId": version}
    return s3.get_object(Bucket=bucket, Key=key, **options)["Body"].read()


def list_all(s3, bucket, size=1000, **query):
    """(key, version id, is latest, is marker) in the order of the answer, over all pages."""
    found = []
    markers = {}
    while True:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=size, **query, **markers)
        rows = [(v["Key"], v["VersionId"], v["IsLatest"], False) for v in page.get("Versions", [])]
        rows += [(v["Key"], v["VersionId"], v["IsLatest"], True) for v in page.get("DeleteMarkers", [])]
        prefixes = [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        assert len(rows) + len(prefixes) <= size
        found.append((rows, prefixes))
        if not page["IsTruncated"]:
            return found
        markers = {"KeyMarker": page["NextKeyMarker"]}
        if "NextVersionIdMarker" in page:
            markers["VersionIdMarker"] = page["NextVersionIdMarker"]


def rows_of(pages):
    return [row for rows, _ in pages for row in rows]


def test_versioning_is_off_until_it_is_enabled_and_can_be_suspended(s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ("Suspended", "Enabled", "Suspended", "Enabled"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status, "MFADelete": "Disabled"})
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status
    with pytest.raises(ClientError) as error:
        s3.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled", "MFADelete": "Enabled"}, MFA="1 2"
        )
    assert status_and_code(error) == (501, "NotImplemented")


def test_what_was_suspended_before_it_was_enabled_has_null_versions_only(s3, bucket):
    put(s3, bucket, "k", b"before")
    suspend(s3, bucket)
    assert put(s3, bucket, "k", b"one") == "null"
    assert put(s3, bucket, "k", b"two") == "null"
    assert [entry["VersionId"] for entry in s3.list_object_versions(Bucket=bucket)["Versions"]] == ["null"]
    assert read(s3, bucket, "k") == b"two"


def test_each_upload_is_a_version_that_can_be_read(s3, versioned):
    first = put(s3, versioned, "k", b"one", Metadata={"n": "1"})
    second = put(s3, versioned, "k", b"two", Metadata={"n": "2"})
    assert first != second
    assert read(s3, versioned, "k") == b"two"
    for version, body, number in ((first, b"one", "1"), (second, b"two", "2")):
        answer = s3.get_object(Bucket=versioned, Key="k", VersionId=version)
        assert (answer["Body"].read(), answer["VersionId"], answer["Metadata"]) == (body, version, {"n": number})
        head = s3.head_object(Bucket=versioned, Key="k", VersionId=version)
        assert (head["ContentLength"], head["VersionId"]) == (3, version)
        part = s3.get_object(Bucket=versioned, Key="k", VersionId=version, Range="bytes=1-")
        assert part["Body"].read() == body[1:]
        attributes = s3.get_object_attributes(
            Bucket=versioned, Key="k", VersionId=version, ObjectAttributes=["ObjectSize", "ETag"]
        )
        assert (attributes["VersionId"], attributes["ObjectSize"]) == (version, 3)
    assert rows_of(list_all(s3, versioned)) == [("k", second, True, False), ("k", first, False, False)]


def test_a_deletion_leaves_a_marker_that_can_be_deleted(s3, versioned):
    first = put(s3, versioned, "k", b"one")
    gone = s3.delete_object(Bucket=versioned, Key="k")
    assert gone["DeleteMarker"] is True
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=versioned, Key="k")
    assert status_and_code(error) == (404, "NoSuchKey")
    assert headers_of(error)["x-amz-delete-marker"] == "true"
    assert headers_of(error)["x-amz-version-id"] == gone["VersionId"]
    for read_it in (s3.get_object, s3.head_object):
        with pytest.raises(ClientError) as error:
            read_it(Bucket=versioned, Key="k", VersionId=gone["VersionId"])
        assert status_and_code(error)[0] == 405
        assert headers_of(error)["x-amz-delete-marker"] == "true"
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=versioned, Key="k", VersionId=gone["VersionId"])
    assert status_and_code(error)[1] == "MethodNotAllowed"
    assert read(s3, versioned, "k", first) == b"one"
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    assert rows_of(list_all(s3, versioned)) == [("k", first, False, False), ("k", gone["VersionId"], True, True)]
    undone = s3.delete_object(Bucket=versioned, Key="k", VersionId=gone["VersionId"])
    assert (undone["DeleteMarker"], undone["VersionId"]) == (True, gone["VersionId"])
    assert read(s3, versioned, "k") == b"one"
    assert rows_of(list_all(s3, versioned)) == [("k", first, True, False)]


def test_deleting_the_current_version_brings_back_the_one_before(s3, versioned):
    ids = [put(s3, versioned, "k", b"%d" % n) for n in range(4)]
    s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[1])
    s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[3])
    assert read(s3, versioned, "k") == b"2"
    assert s3.head_object(Bucket=versioned, Key="k")["VersionId"] == ids[2]
    s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[2])
    assert read(s3, versioned, "k") == b"0"
    s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[0])
    assert list_all(s3, versioned) == [([], [])]
    s3.delete_bucket(Bucket=versioned)


def test_what_was_there_before_versioning_is_the_null_version(s3, bucket):
    assert put(s3, bucket, "k", b"old") is None
    assert read(s3, bucket, "k", "null") == b"old"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.head_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    newer = put(s3, bucket, "k", b"new")
    assert read(s3, bucket, "k", "null") == b"old"
    assert rows_of(list_all(s3, bucket)) == [("k", newer, True, False), ("k", "null", False, False)]
    assert rows_of(list_all(s3, bucket, 1)) == [("k", newer, True, False), ("k", "null", False, False)]
    suspend(s3, bucket)
    assert put(s3, bucket, "k", b"suspended") == "null"
    assert rows_of(list_all(s3, bucket)) == [("k", "null", True, False), ("k", newer, False, False)]
    assert read(s3, bucket, "k", "null") == b"suspended"
    gone = s3.delete_object(Bucket=bucket, Key="k")
    assert (gone["DeleteMarker"], gone["VersionId"]) == (True, "null")
    assert rows_of(list_all(s3, bucket)) == [("k", newer, False, False), ("k", "null", True, True)]
    s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert read(s3, bucket, "k") == b"new"


def test_ids_that_are_none_are_told_from_versions_that_are_not_there(s3, versioned):
    put(s3, versioned, "k")
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=versioned, Key="k", VersionId="nonsense")
    assert status_and_code(error) == (400, "InvalidArgument")
    for version in ("0" * 32, "null"):
        with pytest.raises(ClientError) as error:
            s3.get_object(Bucket=versioned, Key="k", VersionId=version)
        assert status_and_code(error) == (404, "NoSuchVersion")
    with pytest.raises(ClientError) as error:
        s3.delete_object(Bucket=versioned, Key="k", VersionId="nonsense")
    assert status_and_code(error) == (400, "InvalidArgument")
    assert s3.delete_object(Bucket=versioned, Key="k", VersionId="0" * 32)["VersionId"] == "0" * 32
    with pytest.raises(ClientError) as error:
        s3.list_object_versions(Bucket=versioned, VersionIdMarker="0" * 32)
    assert status_and_code(error) == (400, "InvalidArgument")
    assert len(rows_of(list_all(s3, versioned))) == 1


def test_copies_take_any_version_and_are_versions(s3, versioned):
    first = put(s3, versioned, "k", b"one", Metadata={"n": "1"})
    put(s3, versioned, "k", b"two")
    source = {"Bucket": versioned, "Key": "k", "VersionId": first}
    copied = s3.copy_object(Bucket=versioned, Key="copy", CopySource=source)
    assert copied["CopySourceVersionId"] == first
    assert read(s3, versioned, "copy", copied["VersionId"]) == b"one"
    restored = s3.copy_object(Bucket=versioned, Key="k", CopySource=source)
    assert read(s3, versioned, "k") == b"one"
    assert s3.head_object(Bucket=versioned, Key="k")["Metadata"] == {"n": "1"}
    assert len(rows_of(list_all(s3, versioned, Prefix="k"))) == 3
    again = s3.copy_object(
        Bucket=versioned, Key="k", CopySource={"Bucket": versioned, "Key": "k"}, MetadataDirective="REPLACE"
    )
    assert again["VersionId"] != restored["VersionId"]
    assert len(rows_of(list_all(s3, versioned, Prefix="k"))) == 4
    summed = s3.copy_object(Bucket=versioned, Key="sum", CopySource=source, ChecksumAlgorithm="SHA256")
    assert summed["CopyObjectResult"]["ChecksumSHA256"]
    assert read(s3, versioned, "sum") == b"one"
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=versioned, Key="c", CopySource={"Bucket": versioned, "Key": "k", "VersionId": marker})
    assert status_and_code(error) == (400, "InvalidRequest")
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=versioned, Key="c", CopySource={"Bucket": versioned, "Key": "k"})
    assert status_and_code(error) == (404, "NoSuchKey")


def test_uploads_in_parts_are_versions_and_take_parts_from_versions(s3, versioned):
    old = put(s3, versioned, "k", b"1" * 2048)
    put(s3, versioned, "k", b"2" * 2048)
    upload = s3.create_multipart_upload(Bucket=versioned, Key="k")["UploadId"]
    source = {"Bucket": versioned, "Key": "k", "VersionId": old}
    part = s3.upload_part_copy(Bucket=versioned, Key="k", UploadId=upload, PartNumber=1, CopySource=source)
    assert part["CopySourceVersionId"] == old
    parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
    done = s3.complete_multipart_upload(Bucket=versioned, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    assert read(s3, versioned, "k", done["VersionId"]) == b"1" * 2048
    assert len(rows_of(list_all(s3, versioned))) == 3


def test_tags_belong_to_a_version(s3, versioned):
    first = put(s3, versioned, "k", b"one")
    second = put(s3, versioned, "k", b"two")

    def tags(version=None):
        options = {} if version is None else {"VersionId": version}
        answer = s3.get_object_tagging(Bucket=versioned, Key="k", **options)
        return answer["VersionId"], {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    tagging = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert s3.put_object_tagging(Bucket=versioned, Key="k", VersionId=first, Tagging=tagging)["VersionId"] == first
    assert tags(first) == (first, {"a": "b"})
    assert tags() == tags(second) == (second, {})
    s3.put_object_tagging(Bucket=versioned, Key="k", Tagging=tagging)
    s3.delete_object_tagging(Bucket=versioned, Key="k", VersionId=first)
    assert tags(first) == (first, {})
    assert tags() == (second, {"a": "b"})
    assert s3.get_object_acl(Bucket=versioned, Key="k", VersionId=first)["Grants"]
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with pytest.raises(ClientError) as error:
        s3.put_object_tagging(Bucket=versioned, Key="k", VersionId=marker, Tagging=tagging)
    assert status_and_code(error) == (405, "MethodNotAllowed")
    assert len(rows_of(list_all(s3, versioned))) == 3, "tags are no new versions"


def test_deletions_of_many_tell_of_markers_and_versions(s3, versioned):
    first = put(s3, versioned, "a", b"one")
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "a"}, {"Key": "never"}]})
    made = {each["Key"]: each["DeleteMarkerVersionId"] for each in answer["Deleted"] if each["DeleteMarker"]}
    assert set(made) == {"a", "never"}
    wanted = [{"Key": "a", "VersionId": made["a"]}, {"Key": "never", "VersionId": made["never"]}]
    wanted += [{"Key": "a", "VersionId": "0" * 32}, {"Key": "a", "VersionId": "nonsense"}]
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": wanted})
    assert [(each["Key"], each.get("DeleteMarker"), each["VersionId"]) for each in answer["Deleted"]] == [
        ("a", True, made["a"]),
        ("never", True, made["never"]),
        ("a", None, "0" * 32),
    ]
    assert [each["Code"] for each in answer["Errors"]] == ["InvalidArgument"]
    assert rows_of(list_all(s3, versioned)) == [("a", first, True, False)]


def test_pages_are_exact_and_in_order_whatever_their_size(s3, versioned):
    expected = {}
    for key in ("A", "a/b", "a/c/d", "b", "é", "z/1"):
        ids = [put(s3, versioned, key, b"%d" % n) for n in range(3)]
        expected[key] = [(key, version, False, False) for version in reversed(ids)]
    gone = s3.delete_object(Bucket=versioned, Key="b")["VersionId"]
    expected["b"].insert(0, ("b", gone, True, True))
    for key, rows in expected.items():
        if key != "b":
            rows[0] = (key, rows[0][1], True, False)
    everything = sorted(row for rows in expected.values() for row in rows)
    for size in (1, 2, 3, 5, 1000):
        pages = list_all(s3, versioned, size)
        assert sorted(rows_of(pages)) == everything
        assert all(len(rows) == size for rows, _ in pages[:-1])
        ordered = rows_of(list_all(s3, versioned, 1))
        assert ordered == [row for key in sorted(expected) for row in expected[key]]
        rolled = list_all(s3, versioned, size, Delimiter="/")
        assert [prefix for _, prefixes in rolled for prefix in prefixes] == ["a/", "z/"]
        assert {row[0] for row in rows_of(rolled)} == {"A", "b", "é"}
        inside = list_all(s3, versioned, size, Prefix="a/", Delimiter="/")
        assert sorted(rows_of(inside)) == sorted(expected["a/b"])
        assert [prefix for _, prefixes in inside for prefix in prefixes] == ["a/c/"]


def test_paging_goes_on_rightly_when_each_page_is_deleted_at_once(s3, bucket):
    """As tools empty a bucket: what a page ended with is gone when the next one is asked for."""
    put(s3, bucket, "k", b"null")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for n in range(4):
        put(s3, bucket, "k", b"%d" % n)
    suspend(s3, bucket)
    put(s3, bucket, "k", b"null again")
    for key in ("j", "l"):
        put(s3, bucket, key)
    markers = {}
    seen = 0
    while True:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=1, **markers)
        entries = page.get("Versions", []) + page.get("DeleteMarkers", [])
        seen += len(entries)
        for entry in entries:
            s3.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    assert seen == 7
    assert list_all(s3, bucket) == [([], [])]
    s3.delete_bucket(Bucket=bucket)


def test_a_bucket_with_versions_alone_is_not_empty(s3, versioned):
    put(s3, versioned, "k")
    s3.delete_object(Bucket=versioned, Key="k")
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket=versioned)
    assert status_and_code(error) == (409, "BucketNotEmpty")


def test_conditions_are_about_the_current_version(s3, versioned):
    first = put(s3, versioned, "k", b"one")
    put(s3, versioned, "k", b"two")
    old = s3.head_object(Bucket=versioned, Key="k", VersionId=first)["ETag"]
    with pytest.raises(ClientError) as error:
        put(s3, versioned, "k", b"three", IfMatch=old)
    assert status_and_code(error) == (412, "PreconditionFailed")
    with pytest.raises(ClientError) as error:
        s3.delete_object(Bucket=versioned, Key="k", IfMatch=old)
    assert status_and_code(error) == (412, "PreconditionFailed")
    s3.delete_object(Bucket=versioned, Key="k")
    assert put(s3, versioned, "k", b"new", IfNoneMatch="*")
    assert len(rows_of(list_all(s3, versioned))) == 4


def test_policies_know_versions_by_actions_of_their_own(s3, versioned):
    first = put(s3, versioned, "k", b"one")
    put(s3, versioned, "k", b"two")
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:GetObjectVersion", "s3:DeleteObjectVersion"],
        "Resource": f"arn:aws:s3:::{versioned}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket=versioned, Policy=json.dumps(policy))
    assert read(s3, versioned, "k") == b"two"
    for refused in (s3.get_object, s3.head_object, s3.delete_object):
        with pytest.raises(ClientError) as error:
            refused(Bucket=versioned, Key="k", VersionId=first)
        assert status_and_code(error)[0] == 403
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "k", "VersionId": first}]})
    assert [each["Code"] for each in answer["Errors"]] == ["AccessDenied"]
    s3.delete_bucket_policy(Bucket=versioned)
    assert read(s3, versioned, "k", first) == b"one"
