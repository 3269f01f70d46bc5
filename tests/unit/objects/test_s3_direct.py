"""Requests that are made without the client's model, held to the client's own signer."""

from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from cellsmono.datasource.objects.s3 import direct
from cellsmono.datasource.objects.s3.endpoint import DIRECT, Endpoint

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
KEYS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=30)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20).map(str.strip)


def make(**changes):
    made = direct.Direct.__new__(direct.Direct)
    settings = {"url": "http://127.0.0.1:9000", "region": "eu-7", "access_key": "AK", "secret_key": "secret"} | changes
    made._endpoint = Endpoint(**settings)
    made._signer = direct.Signer("AK", "secret", "eu-7")
    parts = urlsplit(settings["url"])
    made._scheme, made._host, made._base = parts.scheme, parts.netloc, parts.path.rstrip("/")
    return made


class ClientSigner(S3SigV4Auth):
    """As the client signs, at a time of ours."""

    def add_auth(self, request):
        request.context["timestamp"] = NOW.strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))


def sign_as_client(request):
    later = {"authorization", "x-amz-date", "content-length", "user-agent", "expect"}
    kept = {name: value for name, value in request.headers.items() if name not in later}
    theirs = AWSRequest(request.method, request.url, kept, request.body or b"")
    ClientSigner(Credentials("AK", "secret"), "s3", "eu-7").add_auth(theirs)
    return theirs.headers["Authorization"]


@given(key=KEYS, metadata=st.dictionaries(st.sampled_from(["mtime", "b-c", "z"]), VALUES), body=st.binary(max_size=9))
def test_objects_are_stored_as_the_client_would_sign_it(key, metadata, body):
    arguments = {"Bucket": "b", "Key": key, "Body": body, "Metadata": metadata, "ContentType": "a/b"}
    request = make().make_request("put_object", arguments, NOW)
    assert request.headers["authorization"] == sign_as_client(request)
    assert unquote(urlsplit(request.url).path) == f"/b/{key}"


@pytest.mark.parametrize("path_style", [True, False])
@pytest.mark.parametrize("operation", sorted(DIRECT))
def test_each_call_is_signed_as_the_client_would(operation, path_style):
    arguments = {"Bucket": "bucket", "Key": "a b/ü//.."}
    arguments |= {
        "get_object": {"IfMatch": '"e"', "Range": "bytes=1-"},
        "head_object": {},
        "put_object": {"Body": b"x", "StorageClass": "S", "Tagging": "a=b&c=d%20e", "IfNoneMatch": "*"},
        "upload_part": {"Body": b"x", "PartNumber": 7, "UploadId": "a/b+c=", "ChecksumCRC32": "AAAAAA=="},
    }[operation]
    request = make(path_style=path_style, url="http://s3.test:9000/base/").make_request(operation, arguments, NOW)
    assert request.headers["authorization"] == sign_as_client(request)
    host, path = ("s3.test:9000", "/base/bucket/") if path_style else ("bucket.s3.test:9000", "/base/")
    assert request.headers["host"] == host
    assert urlsplit(request.url).path == path + "a%20b/%C3%BC//.."


def test_a_body_is_signed_by_the_sum_that_it_brings_along():
    class Body(bytes):
        sha256 = "f" * 64

    wanted = {"Bucket": "b", "Key": "k", "Body": Body(b"x")}
    assert make().make_request("put_object", wanted, NOW).headers["x-amz-content-sha256"] == "f" * 64
    secured = make(url="https://s3.test")
    assert secured.make_request("put_object", wanted, NOW).headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


def test_an_argument_that_would_be_lost_is_refused():
    with pytest.raises(ValueError, match="ACL"):
        make().make_request("put_object", {"Bucket": "b", "Key": "k", "ACL": "private"}, NOW)


@pytest.mark.parametrize(
    ("headers", "body", "code", "message"),
    [
        ({}, b"<?xml?><Error><Code>NoSuchKey</Code><Message>a &lt;b&gt;</Message></Error>", "NoSuchKey", "a <b>"),
        ({}, b"<html>no</html>", "404", "Not Found"),
        ({}, b"", "404", "Not Found"),
        ({"x-minio-error-code": "NoSuchBucket"}, b"", "NoSuchBucket", "Not Found"),
    ],
)
def test_a_refusal_is_what_the_client_would_raise(headers, body, code, message):
    error = direct._refusal("GetObject", 404, headers, body)
    assert (error.response["Error"]["Code"], error.response["Error"]["Message"]) == (code, message)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
