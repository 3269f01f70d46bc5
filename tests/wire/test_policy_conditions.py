"""Policies that ask for more than who and what: tags, versions, locks, encryption; by boto3, unsigned and signed."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError

OWNER = "arn:aws:iam::000000000000:root"
PUBLIC = {"TagSet": [{"Key": "public", "Value": "yes"}]}
SECRET = {"TagSet": [{"Key": "secret", "Value": "yes"}]}
IF_PUBLIC = {"StringEquals": {"s3:ExistingObjectTag/public": "yes"}}
IF_SECRET = {"StringEquals": {"s3:ExistingObjectTag/secret": "yes"}}


@pytest.fixture(scope="module")
def stranger(make_client):
    return make_client(signature_version=UNSIGNED)


@pytest.fixture
def put_policy(s3):
    def put(bucket, *statements):
        rows = []
        for action, condition, *more in statements:
            arn = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
            row = {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": arn}
            row |= {"Condition": condition} if condition else {}
            rows.append({name: value for name, value in (row | dict(*more)).items() if value is not None})
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": rows}))

    return put


DENY = {"Effect": "Deny"}


def code_of(call, **arguments):
    """How a call ends: the code of an error, or ``ok``."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"


NO = ("AccessDenied", "403")


def test_an_object_is_open_by_its_tags(s3, stranger, put_policy, bucket):
    for key, tags in (("open", "public=yes"), ("shut", "public=no"), ("bare", "")):
        s3.put_object(Bucket=bucket, Key=key, Body=b"hello", Tagging=tags)
    put_policy(bucket, (["s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectAttributes"], IF_PUBLIC))
    assert stranger.get_object(Bucket=bucket, Key="open")["Body"].read() == b"hello"
    assert stranger.head_object(Bucket=bucket, Key="open")["ContentLength"] == 5
    assert stranger.get_object_tagging(Bucket=bucket, Key="open")["TagSet"] == PUBLIC["TagSet"]
    attributes = stranger.get_object_attributes(Bucket=bucket, Key="open", ObjectAttributes=["ObjectSize"])
    assert attributes["ObjectSize"] == 5
    for key in ("shut", "bare", "missing"):
        for call in (stranger.get_object, stranger.head_object, stranger.get_object_tagging):
            assert code_of(call, Bucket=bucket, Key=key) in NO, key
    s3.put_object_tagging(Bucket=bucket, Key="open", Tagging={"TagSet": []})
    assert code_of(stranger.get_object, Bucket=bucket, Key="open") == "AccessDenied"
    s3.put_object_tagging(Bucket=bucket, Key="bare", Tagging=PUBLIC)
    assert code_of(stranger.get_object, Bucket=bucket, Key="bare") == "ok"
    assert code_of(stranger.put_object, Bucket=bucket, Key="bare", Body=b"") == "AccessDenied"


def test_who_may_list_is_told_what_is_missing(s3, stranger, put_policy, bucket):
    s3.put_object(Bucket=bucket, Key="shut", Body=b"")
    put_policy(bucket, ("s3:GetObject", IF_PUBLIC), ("s3:ListBucket", None))
    assert code_of(stranger.get_object, Bucket=bucket, Key="missing") == "NoSuchKey"
    assert code_of(stranger.get_object, Bucket=bucket, Key="shut") == "AccessDenied"
    unless = {"StringNotEquals": IF_PUBLIC["StringEquals"]}
    put_policy(bucket, ("s3:GetObject", unless, DENY), ("s3:ListBucket", None))
    assert code_of(stranger.get_object, Bucket=bucket, Key="missing") == "AccessDenied", "what is not there has no tag"


def test_a_denial_by_tags_binds_the_owner(s3, put_policy, bucket):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"hello", Tagging="secret=yes")
    s3.put_object(Bucket=bucket, Key="plain", Body=b"hello")
    put_policy(bucket, (["s3:GetObject", "s3:PutObjectTagging", "s3:DeleteObjectTagging"], IF_SECRET, DENY))
    for key, expected in (("secret", "AccessDenied"), ("plain", "ok")):
        assert code_of(s3.get_object, Bucket=bucket, Key=key) == expected
        assert code_of(s3.copy_object, Bucket=bucket, Key="copy", CopySource=f"{bucket}/{key}") == expected
        assert code_of(s3.get_object_tagging, Bucket=bucket, Key=key) == "ok", "another action"
        assert code_of(s3.delete_object_tagging, Bucket=bucket, Key=key) == expected
        assert code_of(s3.put_object_tagging, Bucket=bucket, Key=key, Tagging=PUBLIC) == expected
    assert s3.get_object_tagging(Bucket=bucket, Key="secret")["TagSet"] == SECRET["TagSet"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="y")["UploadId"]
    part = {"Bucket": bucket, "Key": "y", "UploadId": upload, "PartNumber": 1}
    assert code_of(s3.upload_part_copy, **part, CopySource=f"{bucket}/secret") == "AccessDenied"
    assert code_of(s3.upload_part_copy, **part, CopySource=f"{bucket}/plain") == "ok"
    assert code_of(s3.get_object, Bucket=bucket, Key="missing") == "NoSuchKey"
    assert code_of(s3.put_object_tagging, Bucket=bucket, Key="missing", Tagging=PUBLIC) == "NoSuchKey"
    assert code_of(s3.put_object, Bucket=bucket, Key="secret", Body=b"", Tagging="a=b") == "ok", "another object"


def test_acls_and_tags_decide_together(s3, stranger, put_policy, bucket):
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.put_object(Bucket=bucket, Key="a", Body=b"", ACL="public-read")
    s3.put_object(Bucket=bucket, Key="b", Body=b"", ACL="public-read", Tagging="secret=yes")
    s3.put_object(Bucket=bucket, Key="c", Body=b"")
    put_policy(bucket, ("s3:GetObject", IF_SECRET, DENY), ("s3:PutObjectAcl", IF_PUBLIC, DENY))
    assert [code_of(stranger.get_object, Bucket=bucket, Key=key) for key in "abc"] == ["ok", *["AccessDenied"] * 2]
    assert code_of(s3.put_object_acl, Bucket=bucket, Key="c", ACL="public-read") == "ok"
    s3.put_object_tagging(Bucket=bucket, Key="c", Tagging=PUBLIC)
    assert code_of(s3.put_object_acl, Bucket=bucket, Key="c", ACL="private") == "AccessDenied"
    assert code_of(stranger.get_object, Bucket=bucket, Key="c") == "ok"


def test_each_version_has_its_own_tags(s3, stranger, put_policy, flat_bucket):
    bucket = flat_bucket
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=bucket, Key="x", Body=b"old", Tagging="public=yes")["VersionId"]
    new = s3.put_object(Bucket=bucket, Key="x", Body=b"new")["VersionId"]
    put_policy(bucket, (["s3:GetObject", "s3:GetObjectVersion", "s3:PutObjectVersionTagging"], IF_PUBLIC))
    assert stranger.get_object(Bucket=bucket, Key="x", VersionId=old)["Body"].read() == b"old"
    assert code_of(stranger.head_object, Bucket=bucket, Key="x", VersionId=old) == "ok"
    for more in ({}, {"VersionId": new}, {"VersionId": "null"}):
        assert code_of(stranger.get_object, Bucket=bucket, Key="x", **more) == "AccessDenied"
    tags = {"Bucket": bucket, "Key": "x", "Tagging": PUBLIC}
    assert code_of(stranger.put_object_tagging, **tags, VersionId=new) == "AccessDenied"
    assert code_of(stranger.put_object_tagging, **tags, VersionId=old) == "ok"
    s3.delete_object(Bucket=bucket, Key="x")
    assert code_of(stranger.get_object, Bucket=bucket, Key="x") == "AccessDenied"
    assert code_of(s3.get_object, Bucket=bucket, Key="x") == "NoSuchKey"


def test_a_version_needs_the_action_for_versions(s3, stranger, put_policy, flat_bucket):
    bucket = flat_bucket
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="x", Body=b"old")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="x", Body=b"new")["VersionId"]
    put_policy(bucket, (["s3:GetObject", "s3:DeleteObject", "s3:GetObjectTagging"], None))
    assert code_of(stranger.get_object, Bucket=bucket, Key="x") == "ok"
    for call in (stranger.get_object, stranger.head_object, stranger.get_object_tagging, stranger.delete_object):
        assert code_of(call, Bucket=bucket, Key="x", VersionId=second) in NO
    some = {"Objects": [{"Key": "x", "VersionId": first}, {"Key": "x"}]}
    answer = stranger.delete_objects(Bucket=bucket, Delete=some)
    assert [each["VersionId"] for each in answer["Errors"]] == [first]
    assert [each["Key"] for each in answer["Deleted"]] == ["x"]
    one = {"StringEquals": {"s3:versionid": first}}
    put_policy(bucket, (["s3:GetObjectVersion", "s3:DeleteObjectVersion"], one))
    assert code_of(stranger.get_object, Bucket=bucket, Key="x", VersionId=second) == "AccessDenied"
    assert code_of(stranger.get_object, Bucket=bucket, Key="x", VersionId=first) == "ok"
    some = {"Objects": [{"Key": "x", "VersionId": each} for each in (second, first)]}
    answer = stranger.delete_objects(Bucket=bucket, Delete=some)
    assert [each["VersionId"] for each in answer["Deleted"]] == [first]
    assert [each["VersionId"] for each in answer["Errors"]] == [second]


def test_the_version_that_is_copied_is_asked_for(s3, put_policy, flat_bucket):
    bucket = flat_bucket
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first, second = (s3.put_object(Bucket=bucket, Key="x", Body=b"x")["VersionId"] for _ in range(2))
    put_policy(bucket, ("s3:GetObjectVersion", {"StringEquals": {"s3:versionid": first}}, DENY))
    for version, expected in ((first, "AccessDenied"), (second, "ok")):
        source = {"Bucket": bucket, "Key": "x", "VersionId": version}
        assert code_of(s3.copy_object, Bucket=bucket, Key="y", CopySource=source) == expected


ONLY_OWNER = {"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["owner", "team"]}}
MUST_OWN = {"StringLike": {"s3:RequestObjectTag/owner": "?*"}}


def test_tags_that_are_asked_for(s3, stranger, put_policy, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"")
    put_policy(
        bucket,
        (["s3:PutObject", "s3:PutObjectTagging"], ONLY_OWNER | MUST_OWN),
        (["s3:GetObjectTagging"], None),
    )
    for tags, expected in (("owner=me", "ok"), ("owner=me&team=t", "ok"), ("owner=", NO[0]), ("owner=me&x=y", NO[0])):
        assert code_of(stranger.put_object, Bucket=bucket, Key="y", Body=b"", Tagging=tags) == expected, tags
        rows = [dict(zip(("Key", "Value"), each.split("="), strict=True)) for each in tags.split("&")]
        tagging = {"Bucket": bucket, "Key": "x", "Tagging": {"TagSet": rows}}
        assert code_of(stranger.put_object_tagging, **tagging) == expected, tags
        assert code_of(stranger.create_multipart_upload, Bucket=bucket, Key="z", Tagging=tags) == expected
    assert code_of(stranger.put_object, Bucket=bucket, Key="y", Body=b"") == "AccessDenied"
    left = stranger.get_object_tagging(Bucket=bucket, Key="x")["TagSet"]
    assert {each["Key"]: each["Value"] for each in left} == {"owner": "me", "team": "t"}


def test_tags_of_a_form(s3, fetch, put_policy, bucket):
    put_policy(bucket, (["s3:PutObject", "s3:PutObjectTagging"], ONLY_OWNER | MUST_OWN))

    def post(tag):
        xml = f"<Tagging><TagSet><Tag><Key>{tag}</Key><Value>v</Value></Tag></TagSet></Tagging>"
        pieces = [f'name="key"\r\n\r\nf-{tag}', f'name="tagging"\r\n\r\n{xml}', 'name="file"; filename="f"\r\n\r\nx']
        body = "".join(f"--cut\r\nContent-Disposition: form-data; {piece}\r\n" for piece in pieces) + "--cut--\r\n"
        return fetch("POST", f"/{bucket}", body, {"Content-Type": "multipart/form-data; boundary=cut"})[0]

    assert (post("owner"), post("other")) == (204, 403)
    assert s3.get_object_tagging(Bucket=bucket, Key="f-owner")["TagSet"][0]["Key"] == "owner"


def test_tags_that_a_copy_takes_along_are_asked_for_as_well(s3, put_policy, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"", Tagging="other=1")
    put_policy(bucket, ("s3:PutObject", {"Null": {"s3:RequestObjectTag/other": "false"}}, DENY))
    copy = {"Bucket": bucket, "Key": "y", "CopySource": f"{bucket}/x"}
    assert code_of(s3.copy_object, **copy) == "AccessDenied"
    assert code_of(s3.copy_object, **copy, TaggingDirective="REPLACE", Tagging="mine=1") == "ok"
    assert code_of(s3.copy_object, **copy, TaggingDirective="COPY", Tagging="mine=1") == "AccessDenied"


def test_parts_are_judged_by_what_the_upload_began_with(s3, stranger, fetch, put_policy, flat_bucket):
    bucket = flat_bucket
    sealed = {"Null": {"s3:x-amz-server-side-encryption": "true"}}
    put_policy(
        bucket,
        (["s3:PutObject", "s3:PutObjectTagging"], MUST_OWN),
        ("s3:PutObject", sealed, DENY),
    )
    asked = {"Bucket": bucket, "Key": "x", "Tagging": "owner=me", "ServerSideEncryption": "AES256"}
    assert code_of(stranger.create_multipart_upload, **asked | {"Tagging": "a=b"}) == "AccessDenied"
    del asked["ServerSideEncryption"]
    assert code_of(stranger.create_multipart_upload, **asked) == "AccessDenied"
    upload = stranger.create_multipart_upload(**asked, ServerSideEncryption="AES256", Metadata={"a": "b"})["UploadId"]
    about = {"Bucket": bucket, "Key": "x", "UploadId": upload}
    etag = stranger.upload_part(**about, PartNumber=1, Body=b"hello")["ETag"]
    stranger.complete_multipart_upload(**about, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert s3.get_object(Bucket=bucket, Key="x")["Body"].read() == b"hello"
    assert s3.head_object(Bucket=bucket, Key="x")["Metadata"] == {"a": "b"}
    # What somebody else began on other terms can not be gone on with, whatever headers a part brings.
    s3.delete_bucket_policy(Bucket=bucket)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="x")["UploadId"]
    put_policy(bucket, ("s3:PutObject", {"StringEquals": {"s3:x-amz-storage-class": "STANDARD"}}))
    target = f"/{bucket}/x?partNumber=1&uploadId={upload}"
    assert fetch("PUT", target, b"evil", {"x-amz-storage-class": "STANDARD"})[0] == 403
    assert [each["UploadId"] for each in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]


@pytest.fixture
def locking(s3, flat_bucket):
    s3.put_bucket_versioning(Bucket=flat_bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket=flat_bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    return flat_bucket


def in_days(days):
    return datetime.now(UTC) + timedelta(days=days)


def test_locks_that_are_asked_for(s3, stranger, put_policy, locking):
    version = s3.put_object(Bucket=locking, Key="x", Body=b"")["VersionId"]
    short = {
        "NumericLessThanEquals": {"s3:object-lock-remaining-retention-days": "10"},
        "DateLessThan": {"s3:object-lock-retain-until-date": in_days(8).strftime("%Y-%m-%dT%H:%M:%SZ")},
        "StringEquals": {"s3:object-lock-mode": "GOVERNANCE"},
    }
    put_policy(
        locking,
        (["s3:PutObject", "s3:PutObjectRetention"], short),
        ("s3:PutObjectLegalHold", {"StringEquals": {"s3:object-lock-legal-hold": "ON"}}),
    )
    for mode, days, expected in (
        ("GOVERNANCE", 7, "ok"),
        ("COMPLIANCE", 7, "AccessDenied"),
        ("GOVERNANCE", 9, "AccessDenied"),
        ("GOVERNANCE", 11, "AccessDenied"),
    ):
        retention = {"Mode": mode, "RetainUntilDate": in_days(days)}
        about = {"Bucket": locking, "Key": "x", "VersionId": version}
        assert code_of(stranger.put_object_retention, **about, Retention=retention) == expected, (mode, days)
        headers = {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": in_days(days)}
        made = {"Bucket": locking, "Key": "new", "Body": b"", "ChecksumAlgorithm": "CRC32"}
        assert code_of(stranger.put_object, **made, **headers) == expected, (mode, days)
    assert code_of(stranger.put_object, Bucket=locking, Key="new", Body=b"") == "AccessDenied"
    hold = {"Bucket": locking, "Key": "x"}
    assert code_of(stranger.put_object_legal_hold, **hold, LegalHold={"Status": "ON"}) == "ok"
    assert code_of(stranger.put_object_legal_hold, **hold, LegalHold={"Status": "OFF"}) == "AccessDenied"


def test_remaining_days_are_whole_ones(s3, put_policy, locking):
    put_policy(
        locking,
        ("s3:PutObjectRetention", {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}}, DENY),
    )
    s3.put_object(Bucket=locking, Key="x", Body=b"")
    for days, expected in ((9.5, "ok"), (10, "ok"), (10.5, "AccessDenied")):
        retention = {"Mode": "GOVERNANCE", "RetainUntilDate": in_days(days)}
        assert code_of(s3.put_object_retention, Bucket=locking, Key="x", Retention=retention) == expected


@pytest.mark.parametrize("source", ["{}/secret/x", "/{}/secret/x", "{}/%73ecret/x", "/{}%2Fsecret/x?versionId=null"])
def test_the_source_of_a_copy_however_it_is_written(s3, signer, endpoint, put_policy, bucket, source):
    for key in ("secret/x", "open/x"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    put_policy(bucket, ("s3:PutObject", {"StringLike": {"s3:x-amz-copy-source": f"{bucket}/secret/*"}}, DENY))
    assert code_of(s3.copy_object, Bucket=bucket, Key="y", CopySource=f"{bucket}/open/x") == "ok"
    sent = {"x-amz-copy-source": source.format(bucket), "content-length": "0"}
    answer = endpoint.talk(signer.head("PUT", f"/{bucket}/z", sent, unsigned=("Connection: close",)))
    assert answer.startswith(b"HTTP/1.1 403"), answer


def test_what_a_request_says_beside_the_point_opens_nothing(s3, fetch, put_policy, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello")
    put_policy(bucket, ("s3:*", {"StringEquals": {"s3:prefix": "open/"}}))
    assert fetch("GET", f"/{bucket}?prefix=open/")[0] == 200
    assert fetch("GET", f"/{bucket}/x?prefix=open/")[0] == 403
    put_policy(bucket, ("s3:*", {"StringEquals": {"s3:x-amz-storage-class": "STANDARD"}}))
    assert fetch("GET", f"/{bucket}/x", headers={"x-amz-storage-class": "STANDARD"})[0] == 403
    assert fetch("PUT", f"/{bucket}/y", b"", {"x-amz-storage-class": "STANDARD"})[0] == 200


def test_a_header_that_is_sent_twice_is_refused(s3, endpoint, put_policy, bucket):
    put_policy(bucket, ("s3:PutObject", {"StringEquals": {"s3:x-amz-storage-class": "STANDARD"}}))
    rows = [f"PUT /{bucket}/y HTTP/1.1", "Host: x", "Content-Length: 0", "Connection: close"]
    rows += ["x-amz-storage-class: STANDARD", "x-amz-storage-class: GLACIER"]
    answer = endpoint.talk(("\r\n".join(rows) + "\r\n\r\n").encode())
    assert b"<Code>InvalidRequest</Code>" in answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_everybody_but_the_owner_can_be_denied(s3, stranger, put_policy, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello")
    spared = {"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": OWNER}}
    put_policy(bucket, ("s3:GetObject", None), ("s3:GetObject", IF_SECRET, spared))
    assert code_of(stranger.get_object, Bucket=bucket, Key="x") == "ok"
    s3.put_object_tagging(Bucket=bucket, Key="x", Tagging=SECRET)
    assert code_of(stranger.get_object, Bucket=bucket, Key="x") == "AccessDenied"
    assert code_of(s3.get_object, Bucket=bucket, Key="x") == "ok"
    with pytest.raises(ClientError) as caught:
        put_policy(bucket, ("s3:GetObject", None, spared | {"Effect": "Allow"}))
    assert caught.value.response["Error"]["Code"] == "MalformedPolicy"


def test_conditional_writes_can_be_demanded(s3, stranger, put_policy, bucket):
    put_policy(bucket, ("s3:PutObject", {"Null": {"s3:if-none-match": "false"}}))
    assert code_of(stranger.put_object, Bucket=bucket, Key="x", Body=b"") == "AccessDenied"
    assert code_of(stranger.put_object, Bucket=bucket, Key="x", Body=b"", IfNoneMatch="*") == "ok"
    assert code_of(stranger.put_object, Bucket=bucket, Key="x", Body=b"", IfNoneMatch="*") == "PreconditionFailed"
