"""Tokens of users on S3: as the access key, and beside the signature, as clients of Cells send them."""

from urllib.parse import urlencode

import boto3
import pytest
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from cellsmono.interfaces.people import CreateKeyPair, CreateToken

SECRET = "gatewaysecret"


def make_client(server, access_key, version="s3v4", secret=SECRET):
    return boto3.client(
        "s3",
        endpoint_url=server.s3_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(signature_version=version, s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


@pytest.fixture
def access(server, get_code):
    token = server.redeem(get_code()).json()["access_token"]
    client = make_client(server, token)
    client.put_object(Bucket="common-files", Key="a file.txt", Body=b"content")
    client.close()
    return token


def presign(server, version, **more):
    """A URL that ``gateway`` signed; what is given is in it before it is signed."""
    client = make_client(server, "gateway", version)

    if more:
        client.meta.events.register("before-sign.s3.GetObject", lambda request, **_: request.params.update(more))
    url = client.generate_presigned_url("get_object", {"Bucket": "common-files", "Key": "a file.txt"})
    client.close()
    return url


def sign_header(server, headers):
    request = AWSRequest("GET", f"{server.s3_url}/common-files/a%20file.txt", headers=headers)
    request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    S3SigV4Auth(Credentials("gateway", SECRET), "s3", "us-east-1").add_auth(request)
    return dict(request.headers)


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_token_that_is_added_to_a_signed_address(server, access, version):
    url = presign(server, version) + "&" + urlencode({"pydio_jwt": access})
    answer = requests.get(url, timeout=20)
    assert (answer.status_code, answer.content) == (200, b"content")
    assert requests.get(url.replace("a%20file", "b%20file"), timeout=20).status_code == 403, "the signature counts"


def test_a_token_that_is_signed_with_the_address(server, access):
    url = presign(server, "s3v4", pydio_jwt=access)
    assert "pydio_jwt" in url
    assert requests.get(url, timeout=20).content == b"content"


def test_a_token_in_a_header(server, access):
    url = f"{server.s3_url}/common-files/a%20file.txt"
    signed = sign_header(server, {"X-Pydio-Bearer": access})
    assert requests.get(url, headers=signed, timeout=20).content == b"content"
    assert requests.get(url, headers={"X-Pydio-Bearer": access}, timeout=20).content == b"content"
    assert requests.get(f"{url}?{urlencode({'pydio_jwt': access})}", timeout=20).content == b"content"


def test_gateway_alone_is_nobody(server, access, alice):
    pair = server.perform(CreateKeyPair(alice))
    with pytest.raises(ClientError, match="AccessDenied"):
        make_client(server, "gateway").list_buckets()
    url = f"{server.s3_url}/common-files/a%20file.txt"
    owner = server.run(server.core.installation.create_key())
    for wrong in ("x", "gateway", access[:-1], pair.access_key, owner.access_key, access.replace("cmt_", "cmb_")):
        for headers in ({"X-Pydio-Bearer": wrong}, sign_header(server, {"X-Pydio-Bearer": wrong})):
            answer = requests.get(url, headers=headers, timeout=20)
            assert answer.status_code == 403, wrong
            assert wrong in {"gateway", "x"} or wrong not in answer.text
    bare = requests.get(url, timeout=20)
    assert bare.status_code == 403


def test_what_ends_ends_on_s3_as_well(server, access, alice):
    url = f"{server.s3_url}/common-files/a%20file.txt"
    assert server.post("/oauth2/revoke", client_id="cells-sync", token=access).status_code == 200
    assert requests.get(url, headers={"X-Pydio-Bearer": access}, timeout=20).status_code == 403
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        make_client(server, access).list_buckets()


def test_another_signature_counts_more_than_a_token_beside_it(server, access, alice):
    mine = server.perform(CreateToken(alice))
    client = make_client(server, mine.secret)
    url = client.generate_presigned_url("list_buckets")
    assert requests.get(url + "&pydio_jwt=x", timeout=20).status_code == 403, "it was not signed"
    headers = {"X-Pydio-Bearer": "x"}
    assert requests.get(client.generate_presigned_url("list_buckets"), headers=headers, timeout=20).status_code == 200
    client.close()
