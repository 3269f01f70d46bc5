"""Object lock as boto3 sees it."""

import hashlib
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from urllib3.filepost import encode_multipart_formdata

NO_LOCK = (400, "InvalidRequest")
DENIED = (403, "AccessDenied")
TEXT = "Access Denied because object protected by object lock."


def in_days(days):
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)


@pytest.fixture
def locking(s3, flat_bucket):
    s3.put_bucket_versioning(Bucket=flat_bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket=flat_bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    return flat_bucket


@pytest.fixture
def lock_bucket(s3, flat_bucket):
    """A bucket that was made with object lock."""
    name = f"{flat_bucket}-locked"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def put(s3, bucket, key, body=b"x", **options):
    return s3.put_object(Bucket=bucket, Key=key, Body=body, **options)["VersionId"]


def retain(s3, bucket, key, mode, until, **options):
    retention = {"Mode": mode, "RetainUntilDate": until} if mode else {}
    s3.put_object_retention(Bucket=bucket, Key=key, Retention=retention, **options)


def send_form(fetch, form):
    body, kind = encode_multipart_formdata({**form["fields"], "file": ("file", b"x")})
    return fetch("POST", form["url"], body, {"Content-Type": kind})


def status_and_code(error):
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_a_bucket_is_made_with_object_lock(s3, refuse, lock_bucket):
    assert s3.get_bucket_versioning(Bucket=lock_bucket)["Status"] == "Enabled"
    found = s3.get_object_lock_configuration(Bucket=lock_bucket)["ObjectLockConfiguration"]
    assert found == {"ObjectLockEnabled": "Enabled"}
    suspended = {"VersioningConfiguration": {"Status": "Suspended"}}
    assert refuse("put_bucket_versioning", Bucket=lock_bucket, **suspended) == (409, "InvalidBucketState")
    s3.put_bucket_versioning(Bucket=lock_bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.delete_bucket(Bucket=lock_bucket)


def test_a_bucket_without_it_says_so(s3, refuse, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"1")
    missing = (404, "ObjectLockConfigurationNotFoundError")
    assert refuse("get_object_lock_configuration", Bucket=bucket) == missing
    config = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
    assert refuse("put_object_lock_configuration", Bucket=bucket, **config) == (409, "InvalidBucketState")
    asked = {"Bucket": bucket, "Key": "x"}
    retention = {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": in_days(1)}}
    assert refuse("get_object_retention", **asked) == NO_LOCK
    assert refuse("put_object_retention", **asked, **retention) == NO_LOCK
    assert refuse("get_object_legal_hold", **asked) == NO_LOCK
    assert refuse("put_object_legal_hold", **asked, LegalHold={"Status": "ON"}) == NO_LOCK
    assert refuse("put_object", **asked, ObjectLockLegalHoldStatus="ON") == NO_LOCK
    assert refuse("copy_object", **asked, CopySource=f"{bucket}/x", ObjectLockLegalHoldStatus="ON") == NO_LOCK
    assert refuse("create_multipart_upload", **asked, ObjectLockLegalHoldStatus="ON") == NO_LOCK
    assert s3.get_object(**asked)["Body"].read() == b"1"


RULE = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 30}}}


def rule(**default):
    return {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": default}}


def test_the_configuration_of_a_bucket_can_be_changed_but_not_removed(s3, locking, fetch, endpoint):
    for config in (RULE, rule(Mode="COMPLIANCE", Years=2), {"ObjectLockEnabled": "Enabled"}):
        s3.put_object_lock_configuration(Bucket=locking, ObjectLockConfiguration=config)
        assert s3.get_object_lock_configuration(Bucket=locking)["ObjectLockConfiguration"] == config
    url = s3.generate_presigned_url("delete_bucket", Params={"Bucket": locking})
    assert fetch("DELETE", f"{endpoint.url}/{locking}?object-lock&{url.partition('?')[2]}")[0] in {403, 405}
    assert s3.get_object_lock_configuration(Bucket=locking)


@pytest.mark.parametrize(
    ("config", "code"),
    [
        (rule(Mode="GOVERNANCE", Days=0), "InvalidArgument"),
        (rule(Mode="GOVERNANCE", Days=-1), "InvalidArgument"),
        (rule(Mode="GOVERNANCE", Years=-1), "InvalidArgument"),
        (rule(Mode="GOVERNANCE", Days=36501), "InvalidArgument"),
        (rule(Mode="GOVERNANCE", Years=101), "InvalidArgument"),
        (rule(Mode="GOVERNANCE", Days=1, Years=1), "MalformedXML"),
        (rule(Mode="GOVERNANCE"), "MalformedXML"),
        (rule(Days=1), "MalformedXML"),
        (rule(Mode="governance", Days=1), "MalformedXML"),
        ({"ObjectLockEnabled": "Disabled"}, "MalformedXML"),
        ({"Rule": RULE["Rule"]}, "MalformedXML"),
        ({"ObjectLockEnabled": "Enabled", "Rule": {}}, "MalformedXML"),
    ],
)
def test_wrong_configurations(refuse, locking, config, code):
    asked = {"Bucket": locking, "ObjectLockConfiguration": config}
    assert refuse("put_object_lock_configuration", **asked) == (400, code)


def test_retention_and_hold_of_an_upload_are_told_and_kept(s3, locking):
    until = in_days(3)
    version = put(
        s3,
        locking,
        "a",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=until,
        ObjectLockLegalHoldStatus="OFF",
    )
    for read in (s3.get_object, s3.head_object):
        answer = read(Bucket=locking, Key="a", VersionId=version)
        told = [answer[f"ObjectLock{name}"] for name in ("Mode", "RetainUntilDate", "LegalHoldStatus")]
        assert told == ["COMPLIANCE", until, "OFF"]
    retention = s3.get_object_retention(Bucket=locking, Key="a", VersionId=version)["Retention"]
    assert retention == {"Mode": "COMPLIANCE", "RetainUntilDate": until}
    assert s3.get_object_legal_hold(Bucket=locking, Key="a")["LegalHold"] == {"Status": "OFF"}
    for options in ({}, {"BypassGovernanceRetention": True}):
        with pytest.raises(ClientError) as error:
            s3.delete_object(Bucket=locking, Key="a", VersionId=version, **options)
        assert status_and_code(error) == DENIED
        assert error.value.response["Error"]["Message"] == TEXT
    assert s3.delete_object(Bucket=locking, Key="a")["DeleteMarker"] is True
    assert s3.get_object(Bucket=locking, Key="a", VersionId=version)["Body"].read() == b"x"


def test_a_version_without_a_lock_has_none_to_tell(s3, refuse, locking):
    version = put(s3, locking, "a")
    for operation in ("get_object_retention", "get_object_legal_hold"):
        code = (404, "NoSuchObjectLockConfiguration")
        assert refuse(operation, Bucket=locking, Key="a") == code
        assert refuse(operation, Bucket=locking, Key="a", VersionId=version) == code
        assert refuse(operation, Bucket=locking, Key="b") == (404, "NoSuchKey")
        assert refuse(operation, Bucket=locking, Key="a", VersionId="0" * 32) == (404, "NoSuchVersion")
    assert "ObjectLockMode" not in s3.head_object(Bucket=locking, Key="a")
    marker = s3.delete_object(Bucket=locking, Key="a")["VersionId"]
    hold = {"LegalHold": {"Status": "ON"}}
    assert refuse("put_object_legal_hold", Bucket=locking, Key="a", VersionId=marker, **hold)[0] == 405
    assert refuse("put_object_legal_hold", Bucket=locking, Key="a", **hold) == (404, "NoSuchKey")
    s3.delete_object(Bucket=locking, Key="a", VersionId=version)


def test_governance_gives_way_to_who_may_and_says_so(s3, refuse, locking):
    version = put(s3, locking, "a", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=in_days(2))
    one = {"Bucket": locking, "Key": "a", "VersionId": version}
    retain(s3, locking, "a", "GOVERNANCE", in_days(3), VersionId=version)
    for mode, until in (("GOVERNANCE", in_days(1)), ("COMPLIANCE", in_days(4)), ("", None)):
        with pytest.raises(ClientError) as error:
            retain(s3, locking, "a", mode, until, VersionId=version)
        assert status_and_code(error) == DENIED
    assert refuse("delete_object", **one) == DENIED
    retain(s3, locking, "a", "GOVERNANCE", in_days(1), VersionId=version, BypassGovernanceRetention=True)
    assert s3.get_object_retention(**one)["Retention"]["RetainUntilDate"] == in_days(1)
    retain(s3, locking, "a", "", None, VersionId=version, BypassGovernanceRetention=True)
    assert refuse("get_object_retention", **one) == (404, "NoSuchObjectLockConfiguration")
    retain(s3, locking, "a", "GOVERNANCE", in_days(1))
    s3.delete_object(**one, BypassGovernanceRetention=True)
    assert refuse("head_object", **one)[0] == 404


def test_bypassing_is_a_right_of_its_own(s3, refuse, locking):
    version = put(s3, locking, "a", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=in_days(2))
    one = {"Bucket": locking, "Key": "a", "VersionId": version}
    deny = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:BypassGovernanceRetention",
                "Resource": f"arn:aws:s3:::{locking}/*",
            }
        ],
    }
    s3.put_bucket_policy(Bucket=locking, Policy=json.dumps(deny))
    assert refuse("delete_object", **one, BypassGovernanceRetention=True) == DENIED
    shorter = {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": in_days(1)}}
    assert refuse("put_object_retention", **one, **shorter, BypassGovernanceRetention=True) == DENIED
    free = put(s3, locking, "b")
    s3.delete_object(Bucket=locking, Key="b", VersionId=free, BypassGovernanceRetention=True)
    deny["Statement"][0]["Action"] = ["s3:PutObjectRetention", "s3:PutObjectLegalHold"]
    s3.put_bucket_policy(Bucket=locking, Policy=json.dumps(deny))
    longer = {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": in_days(3)}}
    assert refuse("put_object_retention", **one, **longer) == DENIED
    assert refuse("put_object_legal_hold", **one, LegalHold={"Status": "ON"}) == DENIED
    assert refuse("put_object", Bucket=locking, Key="c", ObjectLockLegalHoldStatus="ON") == DENIED
    s3.delete_bucket_policy(Bucket=locking)
    s3.delete_object(**one, BypassGovernanceRetention=True)


def test_a_stranger_bypasses_nothing_without_a_right_to(s3, locking, fetch):
    version = put(s3, locking, "a", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=in_days(2))
    url = f"/{locking}/a?versionId={version}"
    bypass = {"x-amz-bypass-governance-retention": "true"}
    allow = {"Effect": "Allow", "Principal": "*", "Resource": f"arn:aws:s3:::{locking}/*"}

    def permit(*actions):
        statement = allow | {"Action": list(actions)}
        s3.put_bucket_policy(Bucket=locking, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    permit("s3:DeleteObjectVersion", "s3:GetObject", "s3:GetObjectVersion")
    assert fetch("DELETE", url, headers=bypass)[0] == 403
    status, headers, body = fetch("GET", url)
    assert (status, body) == (200, b"x")
    assert not [name for name in headers if "object-lock" in name.lower()]
    assert fetch("GET", f"{url}&retention")[0] == 403
    permit("s3:DeleteObjectVersion", "s3:BypassGovernanceRetention", "s3:GetObjectRetention")
    assert b"GOVERNANCE" in fetch("GET", f"{url}&retention")[2]
    assert fetch("DELETE", url)[0] == 403
    assert fetch("DELETE", url, headers=bypass)[0] == 204


def test_a_hold_stays_until_it_is_taken_off(s3, refuse, locking):
    version = put(s3, locking, "a", ObjectLockLegalHoldStatus="ON")
    one = {"Bucket": locking, "Key": "a", "VersionId": version}
    put(s3, locking, "a", b"newer")
    assert refuse("delete_object", **one, BypassGovernanceRetention=True) == DENIED
    s3.put_object_legal_hold(**one, LegalHold={"Status": "OFF"})
    assert s3.get_object_legal_hold(**one)["LegalHold"]["Status"] == "OFF"
    s3.delete_object(**one)


def test_deleting_many_tells_each_key_apart(s3, locking):
    kept = put(s3, locking, "kept", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=in_days(2))
    free = put(s3, locking, "free")
    objects = [{"Key": "kept", "VersionId": kept}, {"Key": "free", "VersionId": free}, {"Key": "kept"}]
    answer = s3.delete_objects(Bucket=locking, Delete={"Objects": objects})
    assert [(row["Key"], row["VersionId"], row["Code"], row["Message"]) for row in answer["Errors"]] == [
        ("kept", kept, "AccessDenied", TEXT)
    ]
    assert sorted((row["Key"], row.get("DeleteMarker", False)) for row in answer["Deleted"]) == [
        ("free", False),
        ("kept", True),
    ]
    again = s3.delete_objects(
        Bucket=locking,
        Delete={"Objects": objects[:1]},
        BypassGovernanceRetention=True,
    )
    assert "Errors" not in again


def test_new_versions_get_the_default_retention(s3, locking, fetch):
    s3.put_object_lock_configuration(Bucket=locking, ObjectLockConfiguration=RULE)
    before = in_days(30)
    put(s3, locking, "a")
    s3.copy_object(Bucket=locking, Key="b", CopySource=f"{locking}/a")
    upload = s3.create_multipart_upload(Bucket=locking, Key="c")["UploadId"]
    part = s3.upload_part(Bucket=locking, Key="c", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(
        Bucket=locking, Key="c", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}
    )
    form = s3.generate_presigned_post(locking, "d")
    assert send_form(fetch, form)[0] == 204
    for key in "abcd":
        retention = s3.get_object_retention(Bucket=locking, Key=key)["Retention"]
        assert retention["Mode"] == "GOVERNANCE"
        assert before <= retention["RetainUntilDate"] <= in_days(30) + timedelta(seconds=1)


def test_every_kind_of_upload_can_ask_for_a_lock(s3, locking, fetch):
    until = in_days(5)
    asked = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until, "ObjectLockLegalHoldStatus": "ON"}
    put(s3, locking, "source", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=in_days(9))
    s3.copy_object(Bucket=locking, Key="plain", CopySource=f"{locking}/source")
    s3.copy_object(Bucket=locking, Key="copy", CopySource=f"{locking}/source", **asked)
    upload = s3.create_multipart_upload(Bucket=locking, Key="parts", **asked)["UploadId"]
    part = s3.upload_part(Bucket=locking, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(
        Bucket=locking, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}
    )
    fields = {
        "x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-object-lock-retain-until-date": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-amz-object-lock-legal-hold": "ON",
    }
    form = s3.generate_presigned_post(locking, "form", fields, [{name: value} for name, value in fields.items()])
    assert send_form(fetch, form)[0] == 204
    for key in ("copy", "parts", "form"):
        head = s3.head_object(Bucket=locking, Key=key)
        assert {name: head[name] for name in asked} == asked
    assert "ObjectLockMode" not in s3.head_object(Bucket=locking, Key="plain")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ObjectLockMode": "GOVERNANCE"}, "must both be supplied"),
        ({"ObjectLockRetainUntilDate": in_days(1)}, "must both be supplied"),
        ({"ObjectLockMode": "FOREVER", "ObjectLockRetainUntilDate": in_days(1)}, "Unknown wormMode"),
        ({"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": in_days(-1)}, "must be in the future"),
        ({"ObjectLockLegalHoldStatus": "on"}, "'ON' or 'OFF'"),
    ],
)
def test_wrong_headers_of_uploads(s3, locking, options, message):
    with pytest.raises(ClientError, match=message) as error:
        s3.put_object(Bucket=locking, Key="a", Body=b"x", **options)
    assert status_and_code(error) == (400, "InvalidArgument")
    assert "Contents" not in s3.list_objects_v2(Bucket=locking)


def test_what_is_put_under_a_lock_comes_with_a_checksum(locking, endpoint, signer):
    def send(**more):
        headers = {"content-length": "1", "x-amz-object-lock-legal-hold": "ON", **more}
        payload = hashlib.sha256(b"x").hexdigest()
        head = signer.head("PUT", f"/{locking}/a", headers, payload, unsigned=("Connection: close",))
        return endpoint.talk(head + b"x")

    def md5(body):
        return b64encode(hashlib.md5(body).digest()).decode()

    assert b"Content-MD5 OR x-amz-checksum- HTTP header is required" in send()
    assert b"<Code>BadDigest</Code>" in send(**{"content-md5": md5(b"y")})
    assert b" 200 " in send(**{"content-md5": md5(b"x")})
    assert b" 200 " in send(**{"x-amz-checksum-sha256": b64encode(hashlib.sha256(b"x").digest()).decode()})


@pytest.mark.parametrize(
    ("retention", "code"),
    [
        ({"Mode": "governance", "RetainUntilDate": in_days(1)}, "MalformedXML"),
        ({"Mode": "GOVERNANCE"}, "MalformedXML"),
        ({"RetainUntilDate": in_days(1)}, "MalformedXML"),
        ({"Mode": "GOVERNANCE", "RetainUntilDate": in_days(-1)}, "InvalidArgument"),
    ],
)
def test_wrong_retentions(s3, refuse, locking, retention, code):
    put(s3, locking, "a")
    assert refuse("put_object_retention", Bucket=locking, Key="a", Retention=retention) == (400, code)
    assert refuse("put_object_legal_hold", Bucket=locking, Key="a", LegalHold={"Status": "on"}) == (
        400,
        "MalformedXML",
    )


def test_tags_and_acls_leave_a_lock_as_it_is(s3, locking):
    until = in_days(1)
    version = put(s3, locking, "a", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
    put(s3, locking, "a", b"newer")
    one = {"Bucket": locking, "Key": "a", "VersionId": version}
    s3.put_object_tagging(**one, Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    s3.delete_object_tagging(**one)
    s3.put_object_tagging(Bucket=locking, Key="a", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    assert s3.get_object_retention(**one)["Retention"] == {"Mode": "COMPLIANCE", "RetainUntilDate": until}


def test_folders_can_not_be_locked(s3, refuse, locking):
    assert refuse("put_object", Bucket=locking, Key="d/", ObjectLockLegalHoldStatus="ON") == (400, "InvalidArgument")
    s3.put_object_lock_configuration(Bucket=locking, ObjectLockConfiguration=RULE)
    s3.put_object(Bucket=locking, Key="d/", Body=b"")
    hold = {"LegalHold": {"Status": "ON"}}
    assert refuse("put_object_legal_hold", Bucket=locking, Key="d/", **hold) == (400, "InvalidArgument")
    s3.delete_object(Bucket=locking, Key="d/")


def test_a_bucket_that_holds_locked_versions_stays(s3, refuse, locking):
    version = put(s3, locking, "a", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=in_days(1))
    marker = s3.delete_object(Bucket=locking, Key="a")["VersionId"]
    assert refuse("delete_bucket", Bucket=locking) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=locking, Key="a", VersionId=marker)
    s3.delete_object(Bucket=locking, Key="a", VersionId=version, BypassGovernanceRetention=True)
    s3.delete_bucket(Bucket=locking)
