"""SSE-S3 by boto3: what is asked for is done and told, or refused; and the default of a bucket."""

import json
import secrets

import boto3
import pytest
import requests
from botocore.exceptions import ClientError

SECRET = b"TOP-SECRET " * 20_000
SSE = {"ServerSideEncryption": "AES256"}
RULES = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
PART = 5 * 1024 * 1024


@pytest.fixture
def sealed_bucket(make_bucket):
    """A flat bucket whose datasource encrypts everything."""
    return make_bucket("sealed", format="flat", encryption="aes256")


@pytest.fixture
def make_bucket(endpoint):
    """Makes buckets of fresh names."""

    def make(prefix, **options):
        name = f"{prefix}-{secrets.token_hex(4)}"
        endpoint.make_bucket(name, **options)
        return name

    return make


def files_of(endpoint, bucket):
    """All bytes below the bucket's folder, by path."""
    return {path: path.read_bytes() for path in (endpoint.folder / "b" / bucket).rglob("*") if path.is_file()}


def holds_secret(endpoint, bucket):
    return any(b"TOP-SECRET" in data for data in files_of(endpoint, bucket).values())


def test_what_is_asked_to_be_encrypted_is_and_says_so(s3, endpoint, flat_bucket):
    put = s3.put_object(Bucket=flat_bucket, Key="k", Body=SECRET, **SSE)
    assert put["ServerSideEncryption"] == "AES256"
    got = s3.get_object(Bucket=flat_bucket, Key="k")
    assert (got["Body"].read(), got["ServerSideEncryption"]) == (SECRET, "AES256")
    assert got["ETag"] == put["ETag"]
    assert s3.head_object(Bucket=flat_bucket, Key="k")["ServerSideEncryption"] == "AES256"
    part = s3.get_object(Bucket=flat_bucket, Key="k", Range="bytes=65530-131080")
    assert part["Body"].read() == SECRET[65530:131081]
    assert not holds_secret(endpoint, flat_bucket)
    s3.put_object(Bucket=flat_bucket, Key="plain", Body=SECRET)
    assert "ServerSideEncryption" not in s3.head_object(Bucket=flat_bucket, Key="plain")
    assert holds_secret(endpoint, flat_bucket)


def test_uploads_in_parts_are_encrypted_from_the_first_byte(s3, endpoint, flat_bucket):
    begun = s3.create_multipart_upload(Bucket=flat_bucket, Key="k", **SSE)
    assert begun["ServerSideEncryption"] == "AES256"
    upload = {"Bucket": flat_bucket, "Key": "k", "UploadId": begun["UploadId"]}
    bodies, parts = [SECRET * 24, SECRET], []
    for number, body in enumerate(bodies, start=1):
        part = s3.upload_part(PartNumber=number, Body=body, **upload)
        assert part["ServerSideEncryption"] == "AES256"
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    work = endpoint.folder / "b" / ".cellsmono"
    assert not any(b"TOP-SECRET" in path.read_bytes() for path in work.rglob("*") if path.is_file())
    listed = s3.list_parts(**upload)["Parts"]
    assert [each["Size"] for each in listed] == [len(body) for body in bodies]
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
    assert done["ServerSideEncryption"] == "AES256"
    got = s3.get_object(Bucket=flat_bucket, Key="k")
    assert got["Body"].read() == b"".join(bodies)
    assert got["ETag"].endswith('-2"')
    second = s3.get_object(Bucket=flat_bucket, Key="k", PartNumber=2)
    assert second["Body"].read() == bodies[1]
    assert not holds_secret(endpoint, flat_bucket)


def test_copies_are_encrypted_when_asked_for_and_stay_so(s3, endpoint, flat_bucket):
    s3.put_object(Bucket=flat_bucket, Key="plain", Body=SECRET)
    source = {"Bucket": flat_bucket, "Key": "plain"}
    assert "ServerSideEncryption" not in s3.copy_object(Bucket=flat_bucket, Key="copy", CopySource=source)
    copied = s3.copy_object(Bucket=flat_bucket, Key="sealed", CopySource=source, **SSE)
    assert copied["ServerSideEncryption"] == "AES256"
    onward = s3.copy_object(Bucket=flat_bucket, Key="more", CopySource={"Bucket": flat_bucket, "Key": "sealed"})
    assert onward["ServerSideEncryption"] == "AES256", "encryption does not get lost on the way"
    for key in ("plain", "copy", "sealed", "more"):
        assert s3.get_object(Bucket=flat_bucket, Key=key)["Body"].read() == SECRET
    begun = s3.create_multipart_upload(Bucket=flat_bucket, Key="parts", **SSE)
    upload = {"Bucket": flat_bucket, "Key": "parts", "UploadId": begun["UploadId"]}
    part = s3.upload_part_copy(PartNumber=1, CopySource=source, CopySourceRange="bytes=5-70000", **upload)
    assert part["ServerSideEncryption"] == "AES256"
    parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
    assert s3.get_object(Bucket=flat_bucket, Key="parts")["Body"].read() == SECRET[5:70001]


def test_a_copy_to_itself_encrypts_what_was_stored_plainly(s3, endpoint, flat_bucket):
    s3.put_object(Bucket=flat_bucket, Key="k", Body=SECRET, Metadata={"m": "1"}, ContentType="text/x")
    before = s3.head_object(Bucket=flat_bucket, Key="k")
    copied = s3.copy_object(Bucket=flat_bucket, Key="k", CopySource={"Bucket": flat_bucket, "Key": "k"}, **SSE)
    assert copied["ServerSideEncryption"] == "AES256"
    after = s3.get_object(Bucket=flat_bucket, Key="k")
    assert after["Body"].read() == SECRET
    for name in ("ETag", "Metadata", "ContentType", "ContentLength"):
        assert after[name] == before[name]
    endpoint.run(endpoint.core.datasources.triple(flat_bucket).store.blobs.settle())
    assert not holds_secret(endpoint, flat_bucket)


def test_forms_can_ask_for_it(s3, endpoint, flat_bucket):
    fields = {"x-amz-server-side-encryption": "AES256"}
    conditions = [{"x-amz-server-side-encryption": "AES256"}]
    post = s3.generate_presigned_post(flat_bucket, "form", Fields=fields, Conditions=conditions)
    answer = requests.post(post["url"], data=post["fields"], files={"file": ("f", SECRET)}, timeout=20)
    assert (answer.status_code, answer.headers["x-amz-server-side-encryption"]) == (204, "AES256")
    assert s3.get_object(Bucket=flat_bucket, Key="form")["ServerSideEncryption"] == "AES256"
    assert not holds_secret(endpoint, flat_bucket)


def test_a_structured_bucket_refuses_instead_of_ignoring_it(s3, refuse, make_bucket):
    bucket = make_bucket("structured", format="structured")
    unable = (501, "NotImplemented")
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": {"Bucket": bucket, "Key": "k"}}
    assert refuse("put_object", Bucket=bucket, Key="x", Body=b"data", **SSE) == unable
    assert refuse("put_object", Bucket=bucket, Key="folder/", **SSE) == unable
    assert refuse("copy_object", **copy, **SSE) == unable
    assert refuse("create_multipart_upload", Bucket=bucket, Key="x", **SSE) == unable
    assert refuse("put_bucket_encryption", Bucket=bucket, ServerSideEncryptionConfiguration=RULES) == unable
    assert refuse("get_bucket_encryption", Bucket=bucket)[0] == 404
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_keys_that_this_server_does_not_have_are_refused(refuse, flat_bucket):
    put = {"Bucket": flat_bucket, "Key": "x", "Body": b"data"}
    assert refuse("put_object", **put, ServerSideEncryption="aws:kms") == (501, "NotImplemented")
    assert refuse("put_object", **put, ServerSideEncryption="aws:kms:dsse", SSEKMSKeyId="k") == (501, "NotImplemented")
    assert refuse("put_object", **put, ServerSideEncryption="rot13") == (400, "InvalidEncryptionAlgorithmError")
    assert refuse("put_object", **put, **SSE, SSEKMSKeyId="k") == (400, "InvalidArgument")
    kms = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"}}]}
    rules = {"Bucket": flat_bucket, "ServerSideEncryptionConfiguration": kms}
    assert refuse("put_bucket_encryption", **rules) == (501, "NotImplemented")
    odd = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256", "KMSMasterKeyID": "k"}}]}
    assert refuse("put_bucket_encryption", Bucket=flat_bucket, ServerSideEncryptionConfiguration=odd) == (
        400,
        "InvalidArgument",
    )
    for wrong in ({"Rules": []}, {"Rules": [{}]}, {"Rules": RULES["Rules"] * 2}):
        assert refuse("put_bucket_encryption", Bucket=flat_bucket, ServerSideEncryptionConfiguration=wrong) == (
            400,
            "MalformedXML",
        )


@pytest.mark.parametrize("algorithm", ["AES256", "aws:kms"])
def test_who_reads_can_not_say_how_to_encrypt(s3, make_client, flat_bucket, algorithm):
    s3.put_object(Bucket=flat_bucket, Key="k", Body=b"x", **SSE)
    client = make_client()
    client.meta.events.register(
        "before-call.s3", lambda params, **_: params["headers"].update({"x-amz-server-side-encryption": algorithm})
    )
    for read in (client.get_object, client.head_object):
        with pytest.raises(ClientError) as caught:
            read(Bucket=flat_bucket, Key="k")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_bucket_set_to_it_encrypts_everything_that_comes(s3, endpoint, refuse, flat_bucket):
    s3.put_object(Bucket=flat_bucket, Key="before", Body=b"before")
    missing = (404, "ServerSideEncryptionConfigurationNotFoundError")
    assert refuse("get_bucket_encryption", Bucket=flat_bucket) == missing
    s3.put_bucket_encryption(Bucket=flat_bucket, ServerSideEncryptionConfiguration=RULES)
    told = s3.get_bucket_encryption(Bucket=flat_bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert told == [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]
    assert s3.put_object(Bucket=flat_bucket, Key="k", Body=SECRET)["ServerSideEncryption"] == "AES256"
    source = {"Bucket": flat_bucket, "Key": "before"}
    assert s3.copy_object(Bucket=flat_bucket, Key="c", CopySource=source)["ServerSideEncryption"] == "AES256"
    begun = s3.create_multipart_upload(Bucket=flat_bucket, Key="m")
    assert begun["ServerSideEncryption"] == "AES256"
    s3.abort_multipart_upload(Bucket=flat_bucket, Key="m", UploadId=begun["UploadId"])
    assert "ServerSideEncryption" not in s3.head_object(Bucket=flat_bucket, Key="before")
    assert not holds_secret(endpoint, flat_bucket)
    s3.delete_bucket_encryption(Bucket=flat_bucket)
    assert refuse("get_bucket_encryption", Bucket=flat_bucket) == missing
    assert "ServerSideEncryption" not in s3.put_object(Bucket=flat_bucket, Key="after", Body=b"after")
    assert s3.get_object(Bucket=flat_bucket, Key="k")["Body"].read() == SECRET


def test_a_datasource_that_encrypts_tells_it_as_its_buckets_default(s3, endpoint, sealed_bucket):
    rules = s3.get_bucket_encryption(Bucket=sealed_bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert s3.put_object(Bucket=sealed_bucket, Key="k", Body=SECRET)["ServerSideEncryption"] == "AES256"
    s3.delete_bucket_encryption(Bucket=sealed_bucket)
    assert s3.put_object(Bucket=sealed_bucket, Key="l", Body=SECRET)["ServerSideEncryption"] == "AES256"
    assert not holds_secret(endpoint, sealed_bucket)


def test_a_policy_can_deny_what_is_not_encrypted(s3, refuse, flat_bucket):
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{flat_bucket}/*",
        "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}},
    }
    s3.put_bucket_policy(Bucket=flat_bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert refuse("put_object", Bucket=flat_bucket, Key="k", Body=b"x") == (403, "AccessDenied")
    s3.put_object(Bucket=flat_bucket, Key="k", Body=b"x", **SSE)


def test_new_buckets_encrypt_when_the_server_is_set_to_that(start_server, tmp_path):
    server = start_server(tmp_path / "data", CELLSMONO_LOG__LEVEL="error", CELLSMONO_S3__BUCKET_ENCRYPTION="aes256")
    client = boto3.client(
        "s3", endpoint_url=server.url, aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key
    )
    client.create_bucket(Bucket="fresh")
    assert client.put_object(Bucket="fresh", Key="k", Body=SECRET)["ServerSideEncryption"] == "AES256"
    assert server.stop() == 0
    server = start_server(tmp_path / "data", CELLSMONO_LOG__LEVEL="error")
    again = boto3.client(
        "s3", endpoint_url=server.url, aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key
    )
    assert again.get_object(Bucket="fresh", Key="k")["Body"].read() == SECRET
    assert again.put_object(Bucket="fresh", Key="l", Body=b"l")["ServerSideEncryption"] == "AES256"
    client.close()
    again.close()
