"""Presigned URLs, form uploads, wrong keys, anonymous access: who may do what."""

import hashlib

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

BOUNDARY = "----boundary0123456789"
# What AWS's SDK for JavaScript writes into URLs, according to its algorithm: the checksum of a body it does not have.
EMPTY_SUMS = {
    "x-amz-checksum-crc32": "AAAAAA==",
    "x-amz-checksum-crc64nvme": "AAAAAAAAAAA=",
    "x-amz-checksum-sha1": "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
    "x-amz-checksum-sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
}


def post_form(fetch, url, fields, content, filename="photo.jpg", closing=True):
    lines = []
    for name, value in fields.items():
        lines.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    lines.append(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
    )
    lines += [content, f"\r\n--{BOUNDARY}--\r\n".encode() if closing else b""]
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return fetch("POST", url, b"".join(lines), headers)


@pytest.fixture(params=["s3", "s3v4"])
def presigner(request, make_client):
    """A client that presigns with one of the two signature versions."""
    return make_client(signature_version=request.param)


def presign(client, operation, bucket, key, **more):
    return client.generate_presigned_url(operation, {"Bucket": bucket, "Key": key, **more}, ExpiresIn=60)


def test_presigned_urls(presigner, s3, fetch, bucket):
    key = "dir/a b+ü.txt"
    status, headers, _ = fetch("PUT", presign(presigner, "put_object", bucket, key), b"hello")
    assert (status, headers["ETag"]) == (200, f'"{hashlib.md5(b"hello").hexdigest()}"')
    assert fetch("GET", presign(presigner, "get_object", bucket, key))[2] == b"hello"
    assert fetch("HEAD", presign(presigner, "head_object", bucket, key))[1]["Content-Length"] == "5"
    url = presign(presigner, "get_object", bucket, key, ResponseContentType="text/x")
    assert fetch("GET", url)[1]["Content-Type"] == "text/x"
    assert fetch("DELETE", presign(presigner, "delete_object", bucket, key))[0] == 204
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_presigned_urls_are_good_for_what_was_signed_only(presigner, s3, fetch, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello")
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    url = presign(presigner, "get_object", bucket, "x")
    assert fetch("PUT", url, b"evil")[0] == 403
    assert fetch("GET", url.replace("/x?", "/secret?"))[0] == 403
    assert fetch("GET", url + "&response-content-type=text/html")[0] == 403
    put_url = presign(presigner, "put_object", bucket, "y")
    status, _, body = fetch("PUT", put_url, b"", {"x-amz-copy-source": f"/{bucket}/secret"})
    assert status == 403, body
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["secret", "x"]


def test_headers_that_a_url_carries_in_its_query(s3, endpoint, fetch, bucket, keys):
    access_key, secret_key, region = keys

    def presign_with(method, key, **hoisted):
        request = AWSRequest(method, f"{endpoint.url}/{bucket}/{key}", params=hoisted)
        S3SigV4QueryAuth(Credentials(access_key, secret_key), "s3", region, 60).add_auth(request)
        return request.prepare().url

    hoisted = {"X-Amz-Meta-Color": "blue", "x-amz-tagging": "a=b", "x-amz-checksum-crc32": "NhCmhg=="}
    url = presign_with("PUT", "x", **hoisted)
    assert fetch("PUT", url, b"jello")[0] == 400
    assert fetch("PUT", url.replace("blue", "gray"), b"hello")[0] == 403
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert fetch("PUT", url, b"hello")[0] == 200
    got = s3.head_object(Bucket=bucket, Key="x", ChecksumMode="ENABLED")
    assert (got["Metadata"], got["ChecksumCRC32"]) == ({"color": "blue"}, "NhCmhg==")
    for name, value in EMPTY_SUMS.items():
        algorithm = {"x-amz-sdk-checksum-algorithm": name.rpartition("-")[2].upper()}
        url = presign_with("PUT", "empty-sum", **{name: value, "x-amz-meta-sum": name, **algorithm})
        assert fetch("PUT", url, b"hello")[0] == 200
        assert s3.head_object(Bucket=bucket, Key="empty-sum")["Metadata"] == {"sum": name}
    url = presign_with("PUT", "bare", **{"x-amz-sdk-checksum-algorithm": "SHA256"})
    assert fetch("PUT", url, b"hello")[0] == 200
    copy = presign_with("PUT", "copy", **{"x-amz-copy-source": f"/{bucket}/x"})
    assert fetch("PUT", copy)[0] == 200
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"hello"
    assert "CopyObject" in [operation for operation, *_ in endpoint.figures.seen[-2:]]


def test_the_query_of_a_sigv2_url_carries_no_headers(make_client, s3, fetch, bucket):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    url = presign(make_client(signature_version="s3"), "put_object", bucket, "x")
    assert fetch("PUT", f"{url}&x-amz-copy-source=/{bucket}/secret&x-amz-meta-a=b", b"hello")[0] == 200
    got = s3.get_object(Bucket=bucket, Key="x")
    assert (got["Body"].read(), got["Metadata"]) == (b"hello", {})


def test_expired_urls(make_client, fetch, bucket):
    client = make_client(signature_version="s3")
    url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "x"}, ExpiresIn=-5)
    status, _, body = fetch("GET", url)
    assert (status, b"Request has expired" in body) == (403, True)


@pytest.mark.parametrize("operation", ["put_object", "get_object", "delete_object", "list_objects_v2"])
def test_a_wrong_secret_or_key_changes_nothing(make_client, s3, bucket, operation):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello")
    arguments = {"Bucket": bucket} | ({} if operation == "list_objects_v2" else {"Key": "x"})
    arguments |= {"Body": b"evil"} if operation == "put_object" else {}
    for client, code in (
        (make_client(secret_key="wrong"), "SignatureDoesNotMatch"),
        (make_client(access_key="AKIDUNKNOWN"), "InvalidAccessKeyId"),
    ):
        with pytest.raises(ClientError) as caught:
            getattr(client, operation)(**arguments)
        assert caught.value.response["Error"]["Code"] == code
    assert s3.get_object(Bucket=bucket, Key="x")["Body"].read() == b"hello"


def test_a_client_with_the_wrong_region_is_told_the_right_one(make_client, s3, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello")
    # boto3 repeats the request in the region that the refusal names.
    assert make_client(region="eu-west-1").get_object(Bucket=bucket, Key="x")["Body"].read() == b"hello"


def test_sigv2_clients_can_do_everything(make_client, bucket):
    client = make_client(signature_version="s3")
    client.put_object(Bucket=bucket, Key="a b/ü", Body=b"hello")
    assert client.get_object(Bucket=bucket, Key="a b/ü")["Body"].read() == b"hello"
    assert [each["Key"] for each in client.list_objects_v2(Bucket=bucket, Prefix="a b/")["Contents"]] == ["a b/ü"]


def test_anonymous_requests(endpoint, s3, fetch, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello")
    assert fetch("GET", f"/{bucket}/x")[0] == 403
    assert fetch("GET", f"/{bucket}")[0] == 403
    assert fetch("GET", "/")[0] == 403
    assert fetch("PUT", f"/{bucket}/y", b"evil")[0] == 403
    public = bucket + "-public"
    endpoint.make_bucket(public, anonymous="read")
    s3.put_object(Bucket=public, Key="x", Body=b"hello")
    assert fetch("GET", f"/{public}/x")[2] == b"hello"
    assert fetch("GET", f"/{public}")[0] == 200
    assert fetch("PUT", f"/{public}/y", b"evil")[0] == 403
    assert fetch("DELETE", f"/{public}/x")[0] == 403
    assert fetch("PUT", f"/{public}/x?tagging", b"<Tagging><TagSet/></Tagging>")[0] == 403
    status, _, body = fetch("GET", f"/{public}/x?response-content-type=text/html")
    assert (status, b"InvalidRequest" in body) == (400, True)
    writable = bucket + "-writable"
    endpoint.make_bucket(writable, anonymous="write")
    assert fetch("PUT", f"/{writable}/y", b"good")[0] == 200
    assert fetch("DELETE", f"/{writable}")[0] == 403


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_forms(make_client, s3, fetch, bucket, version):
    client = make_client(signature_version=version)
    form = client.generate_presigned_post(
        bucket,
        "up/${filename}",
        Fields={"success_action_status": "201", "x-amz-meta-k": "v"},
        Conditions=[{"success_action_status": "201"}, {"x-amz-meta-k": "v"}, ["content-length-range", 1, 100]],
    )
    status, headers, body = post_form(fetch, form["url"], form["fields"], b"\xff\xd8 jpeg \r\n-- data")
    assert status == 201, body
    assert b"<Key>up/photo.jpg</Key>" in body
    assert headers["Location"].endswith(f"/{bucket}/up/photo.jpg")
    got = s3.get_object(Bucket=bucket, Key="up/photo.jpg")
    assert got["Body"].read() == b"\xff\xd8 jpeg \r\n-- data"
    assert (got["ContentType"], got["Metadata"]) == ("image/jpeg", {"k": "v"})
    fields = form["fields"]

    def attempt(content=b"data", closing=True, **changes):
        changed = {name: value for name, value in (fields | changes).items() if value is not None}
        answer = post_form(fetch, form["url"], changed, content, filename="other", closing=closing)
        return answer[0]

    assert attempt(b"x" * 101) == 400
    assert attempt(b"") == 400
    assert attempt(closing=False) == 400
    assert attempt(key="elsewhere") == 403
    assert attempt(**{"x-amz-meta-k": "w"}) == 403
    assert attempt(**{"x-amz-meta-more": "w"}) == 403
    assert attempt(key=None) == 400
    assert attempt(policy=fields["policy"][:-8] + "AAAAAAAA") == 403
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["up/photo.jpg"]


def test_a_form_can_lead_on_to_a_page(s3, fetch, bucket):
    form = s3.generate_presigned_post(
        bucket,
        "x",
        Fields={"success_action_redirect": "http://example.com/done?a=b"},
        Conditions=[["starts-with", "$success_action_redirect", "http://example.com/"]],
    )
    status, headers, _ = post_form(fetch, form["url"], form["fields"], b"data")
    assert status == 303
    assert headers["Location"].startswith("http://example.com/done?a=b&bucket=")


def test_an_unsigned_form_is_anonymous(fetch, s3, bucket):
    assert post_form(fetch, f"/{bucket}", {"key": "x"}, b"data")[0] == 403
    assert fetch("POST", f"/{bucket}", b"a=b", {"Content-Type": "application/x-www-form-urlencoded"})[0] == 405
    broken = {"Content-Type": "multipart/form-data"}
    assert fetch("POST", f"/{bucket}", b"nonsense", broken)[0] == 400
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
