"""Buckets, their settings, and copies between them, through boto3."""

import hashlib

import pytest


@pytest.fixture
def other_bucket(endpoint, bucket):
    endpoint.make_bucket(bucket + "-other")
    return bucket + "-other"


def test_a_bucket_lives_and_dies(s3, refuse, bucket):
    name = bucket + "-made"
    s3.create_bucket(Bucket=name)
    assert refuse("create_bucket", Bucket=name) == (409, "BucketAlreadyOwnedByYou")
    assert name in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "us-east-1"
    s3.put_object(Bucket=name, Key="x", Body=b"")
    assert refuse("delete_bucket", Bucket=name) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=name, Key="x")
    s3.delete_bucket(Bucket=name)
    assert refuse("delete_bucket", Bucket=name) == (404, "NoSuchBucket")


def test_names_and_places_that_no_bucket_can_have(refuse, make_client):
    assert refuse("create_bucket", Bucket="Upper") == (400, "InvalidBucketName")
    elsewhere = {"LocationConstraint": "eu-west-1"}
    assert refuse("create_bucket", Bucket="abc", CreateBucketConfiguration=elsewhere) == (
        400,
        "InvalidLocationConstraint",
    )


@pytest.mark.parametrize(
    "name", ["192.168.5.123", "two..dots", "dot.-dash", "dash-.dot", "xn--abc", "abc-s3alias", "under_score", "ab"]
)
def test_names_that_aws_forbids(refuse, name):
    assert refuse("create_bucket", Bucket=name) == (400, "InvalidBucketName")


def test_buckets_are_listed_in_pages(s3, endpoint, bucket):
    names = [f"paged-{bucket}-{letter}" for letter in "abc"]
    for name in names:
        endpoint.make_bucket(name)
    prefix = f"paged-{bucket}"
    first = s3.list_buckets(Prefix=prefix, MaxBuckets=2)
    assert [each["Name"] for each in first["Buckets"]] == names[:2]
    rest = s3.list_buckets(Prefix=prefix, MaxBuckets=2, ContinuationToken=first["ContinuationToken"])
    assert [each["Name"] for each in rest["Buckets"]] == names[2:]
    assert "ContinuationToken" not in rest


UNSET = {
    "get_bucket_policy": (404, "NoSuchBucketPolicy"),
    "get_bucket_policy_status": (404, "NoSuchBucketPolicy"),
    "get_bucket_cors": (404, "NoSuchCORSConfiguration"),
    "get_bucket_lifecycle_configuration": (404, "NoSuchLifecycleConfiguration"),
    "get_bucket_tagging": (404, "NoSuchTagSet"),
    "get_bucket_website": (404, "NoSuchWebsiteConfiguration"),
    "get_bucket_encryption": (404, "ServerSideEncryptionConfigurationNotFoundError"),
    "get_bucket_replication": (404, "ReplicationConfigurationNotFoundError"),
    "get_object_lock_configuration": (404, "ObjectLockConfigurationNotFoundError"),
    "get_public_access_block": (404, "NoSuchPublicAccessBlockConfiguration"),
}


@pytest.mark.parametrize("operation", UNSET)
def test_settings_that_nobody_made(refuse, bucket, operation):
    assert refuse(operation, Bucket=bucket) == UNSET[operation]
    assert refuse(operation, Bucket="no-such-bucket") == (404, "NoSuchBucket")


def test_settings_that_have_an_answer_without_being_made(s3, bucket):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    assert "TopicConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert not s3.list_bucket_analytics_configurations(Bucket=bucket)["IsTruncated"]
    assert not s3.list_bucket_inventory_configurations(Bucket=bucket)["IsTruncated"]


@pytest.mark.parametrize(
    "operation",
    [
        "delete_bucket_policy",
        "delete_bucket_cors",
        "delete_bucket_lifecycle",
        "delete_bucket_tagging",
        "delete_bucket_website",
        "delete_bucket_encryption",
        "delete_bucket_replication",
        "delete_public_access_block",
    ],
)
def test_removing_what_is_not_set_succeeds(s3, bucket, operation):
    assert getattr(s3, operation)(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_settings_that_can_not_be_made(s3, refuse, bucket):
    unsupported = (501, "NotImplemented")
    website = {"IndexDocument": {"Suffix": "index.html"}}
    assert refuse("put_bucket_website", Bucket=bucket, WebsiteConfiguration=website) == unsupported
    versioning = {"VersioningConfiguration": {"Status": "Enabled", "MFADelete": "Enabled"}}
    assert refuse("put_bucket_versioning", Bucket=bucket, **versioning) == unsupported
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def test_a_bucket_of_somebody_else_is_not_touched(s3, refuse, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello")
    mine = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    assert s3.head_object(Bucket=bucket, Key="x", ExpectedBucketOwner=mine)["ContentLength"] == 5
    denied, where = (403, "AccessDenied"), {"Bucket": bucket, "ExpectedBucketOwner": "123456789012"}
    assert refuse("put_object", **where, Key="x", Body=b"evil") == denied
    assert refuse("delete_object", **where, Key="x") == denied
    assert refuse("list_objects_v2", **where) == denied
    copy = {"Bucket": bucket, "Key": "y", "CopySource": f"{bucket}/x", "ExpectedSourceBucketOwner": "123456789012"}
    assert refuse("copy_object", **copy) == denied
    s3.copy_object(**copy | {"ExpectedSourceBucketOwner": mine})
    assert s3.get_object(Bucket=bucket, Key="y")["Body"].read() == b"hello"


def test_copies(s3, refuse, bucket, other_bucket):
    s3.put_object(
        Bucket=bucket,
        Key="sub dir/a+b %.txt",
        Body=b"hello",
        ContentType="text/x",
        CacheControl="no-cache",
        Metadata={"k": "v"},
        Tagging="t=1",
        ChecksumAlgorithm="SHA256",
        StorageClass="GLACIER_IR",
    )
    source = {"Bucket": bucket, "Key": "sub dir/a+b %.txt"}
    for target in (bucket, other_bucket):
        s3.copy_object(Bucket=target, Key="copy", CopySource=source)
        got = s3.get_object(Bucket=target, Key="copy", ChecksumMode="ENABLED")
        assert got["Body"].read() == b"hello"
        assert (got["ContentType"], got["CacheControl"], got["Metadata"]) == ("text/x", "no-cache", {"k": "v"})
        assert got["TagCount"] == 1
        assert got["ChecksumSHA256"]
        assert "StorageClass" not in got
        assert got["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'


def test_copies_with_new_metadata(s3, refuse, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello", Metadata={"old": "1"}, Tagging="old=1", ContentType="a/b")
    source = {"Bucket": bucket, "Key": "x"}
    s3.copy_object(
        Bucket=bucket,
        Key="y",
        CopySource=source,
        Metadata={"new": "2"},
        MetadataDirective="REPLACE",
        Tagging="new=2&newer=3",
        TaggingDirective="REPLACE",
    )
    got = s3.head_object(Bucket=bucket, Key="y")
    assert (got["Metadata"], got["ContentType"]) == ({"new": "2"}, "binary/octet-stream")
    tags = s3.get_object_tagging(Bucket=bucket, Key="y")["TagSet"]
    assert [tag["Key"] for tag in tags] == ["new", "newer"]
    assert refuse("copy_object", Bucket=bucket, Key="z", CopySource=source, MetadataDirective="NO") == (
        400,
        "InvalidArgument",
    )


def test_a_copy_onto_itself_must_change_something(s3, refuse, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello", Metadata={"a": "1"}, ChecksumAlgorithm="CRC32")
    source = {"Bucket": bucket, "Key": "x"}
    assert refuse("copy_object", Bucket=bucket, Key="x", CopySource=source) == (400, "InvalidRequest")
    new = {"b": "2", "mtime": "1400000000"}
    s3.copy_object(Bucket=bucket, Key="x", CopySource=source, Metadata=new, MetadataDirective="REPLACE")
    got = s3.get_object(Bucket=bucket, Key="x", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"hello"
    assert got["Metadata"] == new
    assert int(got["LastModified"].timestamp()) == 1_400_000_000
    assert got["ChecksumCRC32"]


def test_conditions_of_copies(s3, refuse, bucket):
    etag = s3.put_object(Bucket=bucket, Key="x", Body=b"hello")["ETag"]
    base = {"Bucket": bucket, "Key": "y", "CopySource": {"Bucket": bucket, "Key": "x"}}
    assert refuse("copy_object", **base, CopySourceIfMatch='"no"') == (412, "PreconditionFailed")
    assert refuse("copy_object", **base, CopySourceIfNoneMatch=etag) == (412, "PreconditionFailed")
    s3.copy_object(**base, CopySourceIfMatch=etag, IfNoneMatch="*")
    assert refuse("copy_object", **base, IfNoneMatch="*") == (412, "PreconditionFailed")
    missing = base | {"CopySource": {"Bucket": bucket, "Key": "missing"}}
    assert refuse("copy_object", **missing) == (404, "NoSuchKey")
    no_bucket = base | {"CopySource": {"Bucket": "no-such-bucket", "Key": "x"}}
    assert refuse("copy_object", **no_bucket) == (404, "NoSuchBucket")
    versioned = base | {"CopySource": {"Bucket": bucket, "Key": "x", "VersionId": "null"}}
    s3.copy_object(**versioned)
    other = base | {"CopySource": {"Bucket": bucket, "Key": "x", "VersionId": "0" * 32}}
    assert refuse("copy_object", **other) == (404, "NoSuchVersion")
    other = base | {"CopySource": {"Bucket": bucket, "Key": "x", "VersionId": "abc"}}
    assert refuse("copy_object", **other) == (400, "InvalidArgument")


def test_a_copy_can_get_another_checksum(s3, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello", ChecksumAlgorithm="CRC32")
    s3.copy_object(Bucket=bucket, Key="y", CopySource={"Bucket": bucket, "Key": "x"}, ChecksumAlgorithm="SHA256")
    got = s3.get_object(Bucket=bucket, Key="y", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"hello"
    assert got["ChecksumSHA256"] == "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="


def test_folders_are_copied_to_folders_only(s3, refuse, bucket):
    s3.put_object(Bucket=bucket, Key="dir/", Body=b"", Metadata={"a": "b"})
    source = {"Bucket": bucket, "Key": "dir/"}
    s3.copy_object(Bucket=bucket, Key="dir2/", CopySource=source)
    assert s3.head_object(Bucket=bucket, Key="dir2/")["Metadata"] == {"a": "b"}
    assert refuse("copy_object", Bucket=bucket, Key="file", CopySource=source) == (400, "InvalidArgument")
