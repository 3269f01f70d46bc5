"""SSE-C by boto3: only who brings the key reads what was stored with it, and nothing of it is kept."""

import base64
import hashlib
import io
import secrets

import boto3
import pytest
import requests
from boto3.s3.transfer import TransferConfig

SECRET = b"CLIENT-SECRET " * 20_000
KEY, OTHER = secrets.token_bytes(32), secrets.token_bytes(32)
PART = 5 * 1024 * 1024


def with_key(key=KEY, prefix=""):
    return {f"{prefix}SSECustomerAlgorithm": "AES256", f"{prefix}SSECustomerKey": key}


def md5_of(key):
    return base64.b64encode(hashlib.md5(key).digest()).decode()


@pytest.fixture
def secret():
    """What no other test has stored, in the clear or otherwise."""
    return f"SECRET {secrets.token_hex(8)} ".encode() * 12_000


def files_with(endpoint, *secrets):
    """Files that hold one of these bytes, of all that the server keeps: buckets, work folders, data folder."""
    kept = {path: path.read_bytes() for path in endpoint.folder.rglob("*") if path.is_file()}
    return [path for path, content in kept.items() if any(each in content for each in secrets)]


@pytest.fixture
def stored(s3, flat_bucket):
    """An object with a client's key."""
    s3.put_object(Bucket=flat_bucket, Key="k", Body=SECRET, Metadata={"m": "1"}, **with_key())
    return flat_bucket


def test_it_is_read_with_its_key(s3, endpoint, flat_bucket, secret):
    put = s3.put_object(Bucket=flat_bucket, Key="k", Body=secret, **with_key())
    assert (put["SSECustomerAlgorithm"], put["SSECustomerKeyMD5"]) == ("AES256", md5_of(KEY))
    assert "ServerSideEncryption" not in put
    assert put["ETag"] != f'"{hashlib.md5(secret).hexdigest()}"', "an ETag that tells the content would betray it"
    got = s3.get_object(Bucket=flat_bucket, Key="k", **with_key())
    assert got["Body"].read() == secret
    assert (got["ETag"], got["SSECustomerAlgorithm"]) == (put["ETag"], "AES256")
    assert got["SSECustomerKeyMD5"] == md5_of(KEY)
    head = s3.head_object(Bucket=flat_bucket, Key="k", **with_key())
    assert (head["ContentLength"], head["SSECustomerKeyMD5"]) == (len(secret), md5_of(KEY))
    part = s3.get_object(Bucket=flat_bucket, Key="k", Range="bytes=65530-131080", **with_key())
    assert part["Body"].read() == secret[65530:131081]
    again = s3.put_object(Bucket=flat_bucket, Key="k2", Body=secret, **with_key())
    assert again["ETag"] != put["ETag"]
    never = (secret[:20], KEY, KEY.hex().encode(), base64.b64encode(KEY), md5_of(KEY).encode())
    assert files_with(endpoint, *never, hashlib.md5(secret).digest()) == []


def test_without_its_key_it_is_not_read(s3, refuse, stored):
    for operation in ("get_object", "head_object"):
        assert refuse(operation, Bucket=stored, Key="k")[0] == 400
        assert refuse(operation, Bucket=stored, Key="k", **with_key(OTHER))[0] == 403
    assert refuse("get_object", Bucket=stored, Key="k") == (400, "InvalidRequest")
    assert refuse("get_object", Bucket=stored, Key="k", **with_key(OTHER)) == (403, "AccessDenied")
    attributes = {"Bucket": stored, "Key": "k", "ObjectAttributes": ["ObjectSize"]}
    assert refuse("get_object_attributes", **attributes) == (400, "InvalidRequest")
    as_sent = {  # boto3 leaves it to the caller to encode the key here
        "SSECustomerAlgorithm": "AES256",
        "SSECustomerKey": base64.b64encode(KEY).decode(),
        "SSECustomerKeyMD5": md5_of(KEY),
    }
    assert s3.get_object_attributes(**attributes, **as_sent)["ObjectSize"] == len(SECRET)
    s3.put_object(Bucket=stored, Key="plain", Body=b"plain")
    assert refuse("get_object", Bucket=stored, Key="plain", **with_key()) == (400, "InvalidRequest")
    assert refuse("head_object", Bucket=stored, Key="plain", **with_key())[0] == 400
    assert [each["Size"] for each in s3.list_objects_v2(Bucket=stored)["Contents"]] == [len(SECRET), 5]
    s3.delete_object(Bucket=stored, Key="k")
    assert refuse("head_object", Bucket=stored, Key="k", **with_key())[0] == 404


def test_empty_content_has_a_key_as_well(s3, refuse, flat_bucket):
    s3.put_object(Bucket=flat_bucket, Key="k", Body=b"", **with_key())
    assert s3.get_object(Bucket=flat_bucket, Key="k", **with_key())["Body"].read() == b""
    assert refuse("get_object", Bucket=flat_bucket, Key="k", **with_key(OTHER)) == (403, "AccessDenied")


def test_copies_have_the_key_that_is_said_or_none(s3, refuse, stored):
    source = {"Bucket": stored, "Key": "k"}
    copy = {"Bucket": stored, "Key": "copy", "CopySource": source}
    assert refuse("copy_object", **copy) == (400, "InvalidRequest")
    assert refuse("copy_object", **copy, **with_key(OTHER, "CopySource")) == (403, "AccessDenied")
    plain = s3.copy_object(**copy, **with_key(prefix="CopySource"))
    assert "SSECustomerAlgorithm" not in plain
    got = s3.get_object(Bucket=stored, Key="copy")
    assert (got["Body"].read(), got["Metadata"]) == (SECRET, {"m": "1"})
    assert got["ETag"] == f'"{hashlib.md5(SECRET).hexdigest()}"'
    assert "SSECustomerAlgorithm" not in got
    copied = s3.copy_object(**copy, **with_key(prefix="CopySource"), **with_key(OTHER))
    assert copied["SSECustomerKeyMD5"] == md5_of(OTHER)
    assert s3.get_object(Bucket=stored, Key="copy", **with_key(OTHER))["Body"].read() == SECRET
    own = s3.copy_object(**copy, **with_key(prefix="CopySource"), ServerSideEncryption="AES256")
    assert own["ServerSideEncryption"] == "AES256"
    assert s3.get_object(Bucket=stored, Key="copy")["Body"].read() == SECRET
    turned = {"Bucket": stored, "Key": "k", "CopySource": source}
    s3.copy_object(**turned, **with_key(prefix="CopySource"), **with_key(OTHER))
    assert s3.get_object(Bucket=stored, Key="k", **with_key(OTHER))["Body"].read() == SECRET
    assert refuse("get_object", Bucket=stored, Key="k", **with_key()) == (403, "AccessDenied")
    unneeded = {"Bucket": stored, "Key": "x", "CopySource": {"Bucket": stored, "Key": "copy"}}
    assert refuse("copy_object", **unneeded, **with_key(prefix="CopySource")) == (400, "InvalidRequest")


def test_uploads_in_parts_need_the_key_with_each_part(s3, endpoint, refuse, flat_bucket, secret):
    begun = s3.create_multipart_upload(Bucket=flat_bucket, Key="k", **with_key())
    assert begun["SSECustomerKeyMD5"] == md5_of(KEY)
    upload = {"Bucket": flat_bucket, "Key": "k", "UploadId": begun["UploadId"]}
    assert refuse("upload_part", PartNumber=1, Body=b"x", **upload) == (400, "InvalidRequest")
    assert refuse("upload_part", PartNumber=1, Body=b"x", **upload, **with_key(OTHER)) == (400, "InvalidRequest")
    bodies, parts = [secret * 24, secret], []
    for number, body in enumerate(bodies, start=1):
        part = s3.upload_part(PartNumber=number, Body=body, **upload, **with_key())
        assert part["SSECustomerAlgorithm"] == "AES256"
        assert part["ETag"] != f'"{hashlib.md5(body).hexdigest()}"'
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    assert files_with(endpoint, secret[:20], KEY) == []
    s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
    got = s3.get_object(Bucket=flat_bucket, Key="k", **with_key())
    assert got["Body"].read() == b"".join(bodies)
    assert refuse("get_object", Bucket=flat_bucket, Key="k") == (400, "InvalidRequest")
    second = s3.create_multipart_upload(Bucket=flat_bucket, Key="copy", **with_key(OTHER))["UploadId"]
    target = {"Bucket": flat_bucket, "Key": "copy", "UploadId": second}
    source = {"CopySource": {"Bucket": flat_bucket, "Key": "k"}, "CopySourceRange": "bytes=0-99999"}
    assert refuse("upload_part_copy", PartNumber=1, **source, **target, **with_key(OTHER)) == (400, "InvalidRequest")
    keys = {**with_key(prefix="CopySource"), **with_key(OTHER)}
    part = s3.upload_part_copy(PartNumber=1, **source, **target, **keys)
    done = {"Parts": [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]}
    s3.complete_multipart_upload(MultipartUpload=done, **target)
    assert s3.get_object(Bucket=flat_bucket, Key="copy", **with_key(OTHER))["Body"].read() == b"".join(bodies)[:100_000]


def test_boto3s_own_transfers_work(s3, flat_bucket):
    data = secrets.token_bytes(12 * 1024 * 1024)
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
    s3.upload_fileobj(io.BytesIO(data), flat_bucket, "big", ExtraArgs=with_key(), Config=config)
    got = io.BytesIO()
    s3.download_fileobj(flat_bucket, "big", got, ExtraArgs=with_key(), Config=config)
    assert got.getvalue() == data


def test_an_upload_outlives_a_restart_when_its_end_brings_the_key(start_server, tmp_path):
    def client_of(server):
        return boto3.client(
            "s3",
            endpoint_url=server.url,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name="us-east-1",
        )

    server = start_server(tmp_path / "data", CELLSMONO_LOG__LEVEL="error")
    s3 = client_of(server)
    s3.create_bucket(Bucket="fresh")
    begun = s3.create_multipart_upload(Bucket="fresh", Key="k", **with_key())
    upload = {"Bucket": "fresh", "Key": "k", "UploadId": begun["UploadId"]}
    part = s3.upload_part(PartNumber=1, Body=SECRET, **upload, **with_key())
    s3.close()
    server.kill()
    server = start_server(tmp_path / "data", CELLSMONO_LOG__LEVEL="error")
    s3 = client_of(server)
    done = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}, **upload}
    with pytest.raises(s3.exceptions.ClientError, match="with the encryption parameters"):
        s3.complete_multipart_upload(**done)
    s3.complete_multipart_upload(**done, **with_key())
    assert s3.get_object(Bucket="fresh", Key="k", **with_key())["Body"].read() == SECRET
    s3.close()


def test_what_is_no_key_is_refused(refuse, flat_bucket):
    put = {"Bucket": flat_bucket, "Key": "x", "Body": b"data"}
    short = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"short"}
    assert refuse("put_object", **put, **short) == (400, "InvalidArgument")
    as_sent = base64.b64encode(KEY).decode()  # boto3 takes a key with its hash for one that is encoded
    wrong = {**with_key(as_sent), "SSECustomerKeyMD5": md5_of(OTHER)}
    assert refuse("put_object", **put, **wrong) == (400, "InvalidArgument")
    odd = {"SSECustomerAlgorithm": "AES128", "SSECustomerKey": KEY}
    assert refuse("put_object", **put, **odd) == (400, "InvalidEncryptionAlgorithmError")
    assert refuse("put_object", **put, **with_key(), ServerSideEncryption="AES256") == (400, "InvalidArgument")
    assert refuse("put_object", **put, SSECustomerAlgorithm="AES256") == (400, "InvalidArgument")


def test_a_structured_bucket_refuses(refuse, endpoint):
    name = f"structured-{secrets.token_hex(4)}"
    endpoint.make_bucket(name)
    assert refuse("put_object", Bucket=name, Key="x", Body=b"data", **with_key()) == (501, "NotImplemented")
    assert refuse("create_multipart_upload", Bucket=name, Key="x", **with_key()) == (501, "NotImplemented")


def test_forms_can_bring_a_key(s3, flat_bucket):
    prefix = "x-amz-server-side-encryption-customer-"
    fields = {
        prefix + "algorithm": "AES256",
        prefix + "key": base64.b64encode(KEY).decode(),
        prefix + "key-MD5": md5_of(KEY),
    }
    conditions = [["starts-with", f"${name}", ""] for name in fields]
    post = s3.generate_presigned_post(flat_bucket, "form", Fields=fields, Conditions=conditions)
    answer = requests.post(post["url"], data=post["fields"], files={"file": ("f", SECRET)}, timeout=20)
    assert answer.status_code == 204, answer.text
    assert answer.headers[prefix + "key-MD5"] == md5_of(KEY)
    assert s3.get_object(Bucket=flat_bucket, Key="form", **with_key())["Body"].read() == SECRET


def test_the_server_itself_leaves_it_alone(s3, endpoint, stored):
    operations, triple = endpoint.core.installation, endpoint.core.datasources.triple(stored)
    report = endpoint.run(operations.rehash(stored, "", progress=None))
    assert report.open_problems == 0
    rotated = endpoint.run(operations.rotate_key(stored, True))
    assert (rotated.foreign, rotated.failed) == (1, 0)
    assert endpoint.run(operations.check(stored)).is_fine
    assert endpoint.run(triple.store.read_node("k")).content_hash == ""
    assert s3.get_object(Bucket=stored, Key="k", **with_key())["Body"].read() == SECRET


def test_versions_keep_the_keys_that_they_came_with(s3, refuse, stored):
    s3.put_bucket_versioning(Bucket=stored, VersioningConfiguration={"Status": "Enabled"})
    newer = s3.put_object(Bucket=stored, Key="k", Body=b"newer", **with_key(OTHER))["VersionId"]
    s3.put_object(Bucket=stored, Key="k", Body=b"plain")
    older = s3.get_object(Bucket=stored, Key="k", VersionId="null", **with_key())
    assert older["Body"].read() == SECRET
    assert refuse("get_object", Bucket=stored, Key="k", VersionId=newer) == (400, "InvalidRequest")
    assert refuse("head_object", Bucket=stored, Key="k", VersionId=newer, **with_key())[0] == 403
    assert s3.get_object(Bucket=stored, Key="k", VersionId=newer, **with_key(OTHER))["Body"].read() == b"newer"
    assert s3.get_object(Bucket=stored, Key="k")["Body"].read() == b"plain"
