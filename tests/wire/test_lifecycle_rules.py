"""Lifecycle rules on the wire: kept as they were put, refused as AWS refuses, told with each object."""

import pytest

EXPIRE = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}}


def put(s3, bucket, *rules):
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)})


def test_rules_are_kept_as_they_were_put(s3, refuse, bucket):
    rules = [
        EXPIRE,
        {"ID": "old form", "Status": "Disabled", "Prefix": "x", "Expiration": {"Days": 1}},
        {
            "ID": "all of it",
            "Status": "Enabled",
            "Filter": {
                "And": {
                    "Prefix": "a/",
                    "Tags": [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": ""}],
                    "ObjectSizeGreaterThan": 0,
                    "ObjectSizeLessThan": 10,
                }
            },
            "Expiration": {"Days": 9},
        },
        {"ID": "t", "Status": "Enabled", "Filter": {"Tag": {"Key": "a", "Value": "b"}}, "Expiration": {"Days": 1}},
        {
            "ID": "both",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "Expiration": {"Days": 30},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
        {
            "ID": "versions",
            "Status": "Enabled",
            "Filter": {"Prefix": "v/"},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2},
        },
        {
            "ID": "old versions",
            "Status": "Enabled",
            "Filter": {"Prefix": "w/"},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
        },
    ]
    put(s3, bucket, *rules)
    answer = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert answer["Rules"] == rules
    assert answer["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    put(s3, bucket, {key: value for key, value in EXPIRE.items() if key != "ID"})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["ID"]
    s3.delete_bucket_lifecycle(Bucket=bucket)
    missing = (404, "NoSuchLifecycleConfiguration")
    assert refuse("get_bucket_lifecycle_configuration", Bucket=bucket) == missing


ABORT = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"Status": "On"}, (400, "MalformedXML")),
        ({"Prefix": "x"}, (400, "MalformedXML")),
        ({"Filter": None}, (400, "MalformedXML")),
        ({"Expiration": {}}, (400, "MalformedXML")),
        ({"Expiration": None}, (400, "InvalidRequest")),
        ({"Expiration": {"Days": 0}}, (400, "InvalidArgument")),
        ({"Expiration": {"Days": -1}}, (400, "InvalidArgument")),
        ({"Expiration": {"Date": "2030-01-01T10:00:00Z"}}, (400, "InvalidArgument")),
        ({"Expiration": {"Days": 1, "Date": "2030-01-01T00:00:00Z"}}, (400, "MalformedXML")),
        ({"Expiration": {"ExpiredObjectDeleteMarker": False}}, (400, "MalformedXML")),
        (
            {"Expiration": {"ExpiredObjectDeleteMarker": True}, "Filter": {"Tag": {"Key": "a", "Value": ""}}},
            (400, "InvalidRequest"),
        ),
        ({"NoncurrentVersionExpiration": {"NoncurrentDays": 0}}, (400, "InvalidArgument")),
        ({"NoncurrentVersionExpiration": {"NewerNoncurrentVersions": 1}}, (400, "MalformedXML")),
        (
            {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 101}},
            (400, "InvalidArgument"),
        ),
        (
            {"NoncurrentVersionTransitions": [{"NoncurrentDays": 1, "StorageClass": "GLACIER"}]},
            (501, "NotImplemented"),
        ),
        ({"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}, (501, "NotImplemented")),
        ({"ID": "x" * 256}, (400, "InvalidArgument")),
        ({"Filter": {"Prefix": "x" * 1025}}, (400, "InvalidRequest")),
        ({"Filter": {"And": {"Prefix": "x"}}}, (400, "MalformedXML")),
        ({"Filter": {"And": {"ObjectSizeGreaterThan": 5, "ObjectSizeLessThan": 5}}}, (400, "InvalidRequest")),
        ({"Filter": {"Tag": {"Key": "aws:x", "Value": ""}}}, (400, "InvalidTag")),
        ({"Filter": {"Tag": {"Key": "a", "Value": ""}}} | ABORT, (400, "InvalidRequest")),
        ({"Filter": {"ObjectSizeLessThan": 5}} | ABORT, (400, "InvalidRequest")),
        ({"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 0}}, (400, "InvalidArgument")),
    ],
)
def test_rules_that_can_not_be(refuse, bucket, change, expected):
    rule = {key: value for key, value in (EXPIRE | change).items() if value is not None}
    rules = {"Rules": [rule]}
    assert refuse("put_bucket_lifecycle_configuration", Bucket=bucket, LifecycleConfiguration=rules) == expected
    refused = refuse("get_bucket_lifecycle_configuration", Bucket=bucket)
    assert refused == (404, "NoSuchLifecycleConfiguration")


def test_names_and_number_of_rules(refuse, bucket):
    for rules in ([EXPIRE, EXPIRE], [EXPIRE | {"ID": f"r{n}"} for n in range(1001)]):
        status, code = refuse(
            "put_bucket_lifecycle_configuration", Bucket=bucket, LifecycleConfiguration={"Rules": rules}
        )
        assert (status, code) == (400, "InvalidArgument" if len(rules) == 2 else "MalformedXML")


def test_objects_and_uploads_tell_when_they_go(s3, bucket):
    abort = {"ID": "a b", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}} | ABORT
    put(s3, bucket, EXPIRE, abort)
    told = s3.put_object(Bucket=bucket, Key="tmp/x", Body=b"hello")["Expiration"]
    assert told.startswith('expiry-date="')
    assert told.endswith(' 00:00:00 GMT", rule-id="r"')
    assert s3.get_object(Bucket=bucket, Key="tmp/x")["Expiration"] == told
    assert s3.head_object(Bucket=bucket, Key="tmp/x")["Expiration"] == told
    assert s3.copy_object(Bucket=bucket, Key="tmp/y", CopySource=f"{bucket}/tmp/x")["Expiration"] == told
    assert "Expiration" not in s3.put_object(Bucket=bucket, Key="keep", Body=b"")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="tmp/z")
    assert upload["AbortRuleId"] == "a%20b"
    assert upload["AbortDate"]
    part = {"Bucket": bucket, "Key": "tmp/z", "UploadId": upload["UploadId"]}
    etag = s3.upload_part(**part, PartNumber=1, Body=b"hello")["ETag"]
    done = s3.complete_multipart_upload(**part, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert done["Expiration"] == told
