"""Browser upload forms: reading them, their policy, their signatures."""

import base64
import json

import pytest
from botocore.auth import HmacV1PostAuth, S3SigV4PostAuth
from botocore.awsrequest import create_request_object
from botocore.credentials import Credentials

from cellsmono.gateway.s3 import dates
from cellsmono.gateway.s3.authentication import Authenticator
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.form_data import MAX_BEFORE_FILE, read_form
from cellsmono.gateway.s3.post_policy import check_policy, limit_file, parse_policy
from cellsmono.kernel.clock import SystemClock

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TYPE = "multipart/form-data; boundary=XX"


def encode(document) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


def policy_of(conditions, expiration="2013-05-24T12:00:00.000Z"):
    return parse_policy(encode({"expiration": expiration, "conditions": conditions}))


NOW = dates.parse_compact("20130524T000000Z")


class TestPolicy:
    FIELDS = {"key": "user/eric/a.jpg", "acl": "public-read", "content-type": "image/jpeg"}  # noqa: RUF012

    def test_all_kinds(self):
        policy = policy_of(
            [
                {"bucket": "b", "ACL": "public-read"},
                ["starts-with", "$key", "user/eric/"],
                ["starts-with", "$Content-Type", "image/"],
                ["content-length-range", 1, "10"],
            ]
        )
        check_policy(policy, self.FIELDS, "b", NOW)
        check_policy(policy, {**self.FIELDS, "x-ignore-me": "1", "policy": "p", "x-amz-signature": "s"}, "b", NOW)
        check_policy(policy, {**self.FIELDS, "content-type": "image/a, image/b"}, "b", NOW)
        assert (policy.smallest, policy.largest) == (1, 10)

    @pytest.mark.parametrize(
        ("conditions", "change", "message"),
        [
            ([["eq", "$key", "other"]], {}, "Policy Condition failed: "),
            ([["eq", "$key", "user/eric/a.jpg"]], {}, "Extra input fields: acl, content-type"),
            ([["starts-with", "$key", "user/bob/"]], {}, "Policy Condition failed"),
            ([{"bucket": "other"}], {}, "Policy Condition failed"),
            ([{"bucket": "other"}], {"bucket": "other"}, "Policy Condition failed"),
            ([["eq", "$x-amz-meta-a", ""]], {}, "Policy Condition failed"),
            ([["starts-with", "$x-amz-meta-a", "a"]], {}, "Policy Condition failed"),
            ([["starts-with", "$Content-Type", "image/"]], {"content-type": "image/a,text/html"}, "Condition failed"),
            ([["starts-with", "$key", ""]], {"x-amz-meta-extra": "1"}, "Extra input fields"),
            ([["starts-with", "$key", ""]], {"success_action_redirect": "http://evil"}, "Extra input fields"),
        ],
    )
    def test_refusals(self, conditions, change, message):
        with pytest.raises(S3Error) as caught:
            check_policy(policy_of(conditions), {**self.FIELDS, **change}, "b", NOW)
        assert (caught.value.code, caught.value.status) == ("AccessDenied", 403)
        assert message in caught.value.message

    def test_what_may_begin_with_anything_may_be_left_out(self):
        policy = policy_of([["starts-with", "$key", ""], ["starts-with", "$Content-Type", ""]])
        check_policy(policy, {"key": "k"}, "b", NOW)
        check_policy(policy, {"key": "k", "content-type": "text/plain"}, "b", NOW)

    def test_expiration(self):
        policy = policy_of([["starts-with", "$key", ""]])
        check_policy(policy, {"key": "k"}, "b", NOW + 12 * 3600 - 1)
        with pytest.raises(S3Error, match="Policy expired"):
            check_policy(policy, {"key": "k"}, "b", NOW + 12 * 3600)

    @pytest.mark.parametrize(
        "document",
        [
            [],
            {},
            {"expiration": "2013-05-24T12:00:00Z"},
            {"expiration": "tomorrow", "conditions": []},
            {"expiration": 1, "conditions": []},
            {"expiration": "2013-05-24T12:00:00Z", "conditions": {}},
            {"expiration": "2013-05-24T12:00:00Z", "conditions": [], "more": 1},
            {"expiration": "2013-05-24T12:00:00Z", "conditions": [{"key": 1}]},
            {"expiration": "2013-05-24T12:00:00Z", "conditions": [{}]},
            {"expiration": "2013-05-24T12:00:00Z", "conditions": ["key"]},
            {"expiration": "2013-05-24T12:00:00Z", "conditions": [["eq", "key", "v"]]},
            {"expiration": "2013-05-24T12:00:00Z", "conditions": [["ends-with", "$key", "v"]]},
            {"expiration": "2013-05-24T12:00:00Z", "conditions": [["eq", "$key"]]},
            {"expiration": "2013-05-24T12:00:00Z", "conditions": [["content-length-range", 1]]},
            {"expiration": "2013-05-24T12:00:00Z", "conditions": [["content-length-range", -1, 5]]},
            {"expiration": "2013-05-24T12:00:00Z", "conditions": [["content-length-range", True, 5]]},
        ],
    )
    def test_malformed(self, document):
        with pytest.raises(S3Error, match="InvalidPolicyDocument"):
            parse_policy(encode(document))

    @pytest.mark.parametrize("text", ["", "*", base64.b64encode(b"[" * 40_000).decode(), "A" * 70_000])
    def test_no_json(self, text):
        with pytest.raises(S3Error, match="InvalidPolicyDocument"):
            parse_policy(text)

    async def test_size_of_the_file(self):
        policy = policy_of([["content-length-range", 3, 5]])

        async def take(*pieces: bytes) -> bytes:
            async def source():
                for piece in pieces:
                    yield piece

            return b"".join([data async for data in limit_file(source(), policy)])

        assert await take(b"ab", b"cd") == b"abcd"
        with pytest.raises(S3Error, match="EntityTooLarge"):
            await take(b"abc", b"def")
        with pytest.raises(S3Error, match="EntityTooSmall"):
            await take(b"a", b"b")


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--XX\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


async def read(body: bytes, size: int = 10_000, content_type: str = TYPE):
    async def source():
        for at in range(0, len(body), size):
            yield body[at : at + size]

    form = await read_form(source(), content_type)
    return form, b"".join([data async for data in form.file])


class TestForm:
    FILE = b"line\r\n--X\r\n--XY? no\r\n\x00\xff" * 3
    BODY = (
        part("Key", b"up/${filename}")
        + part("x-amz-meta-name", "é".encode())
        + part("policy", b"p")
        + part("Content-Length", b"5")
        + part("file", FILE, '; filename="C:\\\\dir\\\\my \\"file\\".txt"\r\nContent-Type: text/plain')
        + part("late", b"ignored")
        + b"--XX--\r\n"
    )

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10_000])
    async def test_reading(self, size):
        form, file = await read(self.BODY, size)
        assert file == self.FILE
        assert form.filename == 'my "file".txt'
        assert form.fields == {
            "key": 'up/my "file".txt',
            "x-amz-meta-name": "é",
            "policy": "p",
            "content-length": "5",
        }
        assert dict(form.headers()) == {"x-amz-meta-name": "é"}

    async def test_preamble_quoted_boundary_and_empty_file(self):
        body = b"preamble\r\n" + part("file", b"", '; filename=""') + b"--XX--"
        form, file = await read(body, content_type='Multipart/Form-Data; charset=utf-8; boundary="XX"')
        assert (form.fields, form.filename, file) == ({}, "", b"")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", "MalformedPOSTRequest"),
            (b"--XX--\r\n", "IncorrectNumberOfFilesInPostRequest"),
            (part("key", b"k") + b"--XX--\r\n", "IncorrectNumberOfFilesInPostRequest"),
            (part("key", b"k"), "MalformedPOSTRequest"),
            (part("key", b"k") + part("KEY", b"l") + part("file", b"") + b"--XX--", "MalformedPOSTRequest"),
            (part("key", b"\xff") + part("file", b"") + b"--XX--", "MalformedPOSTRequest"),
            (b"--XX\r\nContent-Type: x\r\n\r\nv\r\n--XX--", "MalformedPOSTRequest"),
            (b"--XX\r\nContent-Disposition: attachment; name=a\r\n\r\nv\r\n--XX--", "MalformedPOSTRequest"),
            (b"--XXY\r\n\r\n\r\n--XX--", "MalformedPOSTRequest"),
            (part("key", b"k" * (MAX_BEFORE_FILE + 1)) + part("file", b"x") + b"--XX--",
             "MaxPostPreDataLengthExceededError"),
            (b"".join(part(f"f{i}", b"v" * 1000) for i in range(30)) + part("file", b"x") + b"--XX--",
             "MaxPostPreDataLengthExceededError"),
            (part("file", b"cut short")[:-2], "IncompleteBody"),
            (part("file", b"x") + b"--X", "IncompleteBody"),
            (part("file", b"x") + part("more", b""), "IncompleteBody"),
            (part("file", b"x") + part("more", b"y" * 100_000) + b"--XX--", "MalformedPOSTRequest"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("size", [3, 1000])
    async def test_malformed(self, body, code, size):
        with pytest.raises(S3Error) as caught:
            await read(body, size)
        assert caught.value.code == code

    @pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data", "multipart/form-data; boundary=",
                                              "multipart/form-data; boundary=é", "multipart/mixed; boundary=XX",
                                              "multipart/form-data; boundary=" + "x" * 71])  # fmt: skip
    async def test_content_types(self, content_type):
        with pytest.raises(S3Error, match="MalformedPOSTRequest"):
            await read(self.BODY, content_type=content_type)


def sign_form(signer: str) -> dict[str, str]:
    """The fields that botocore makes for a form, with lower-case names as a form is read."""
    request = create_request_object(
        {"method": "POST", "url": "http://h/b", "headers": {}, "body": b"", "url_path": "/b", "query_string": "",
         "context": {}}
    )  # fmt: skip
    conditions = [{"bucket": "b"}, ["starts-with", "$key", "up/"]]
    request.context["s3-presign-post-fields"] = {"key": "up/x"}
    request.context["s3-presign-post-policy"] = {"expiration": "2099-01-01T00:00:00Z", "conditions": conditions}
    credentials = Credentials(KEY, SECRET)
    if signer == "v4":
        S3SigV4PostAuth(credentials, "s3", "us-east-1").add_auth(request)
    else:
        HmacV1PostAuth(credentials).add_auth(request)
    return {name.lower(): value for name, value in request.context["s3-presign-post-fields"].items()}


@pytest.mark.parametrize("signer", ["v4", "v2"])
def test_forms_that_botocore_signs(signer, wire_keys):
    authenticator = Authenticator(wire_keys, region="us-east-1", clock=SystemClock())
    fields = sign_form(signer)
    identity = authenticator.check_post(fields)
    assert (identity.access_key, identity.kind) == (KEY, "post")
    check_policy(parse_policy(fields["policy"]), fields, "b", SystemClock().time())
    name = "x-amz-signature" if signer == "v4" else "signature"
    for change in ({"policy": encode({})}, {name: "0" * 64}, {name: "é"}):
        with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
            authenticator.check_post({**fields, **change})
    for missing in [name for name in fields if name != "key"]:
        with pytest.raises(S3Error) as caught:
            authenticator.check_post({k: v for k, v in fields.items() if k != missing})
        assert 400 <= caught.value.status < 500


def test_forms_without_signature_are_anonymous(authenticator):
    assert authenticator.check_post({"key": "k", "policy": "p"}).kind == "anonymous"


@pytest.mark.parametrize(
    "change",
    [
        {"x-amz-algorithm": "AWS4-HMAC-SHA512"},
        {"x-amz-credential": "nonsense"},
        {"x-amz-credential": f"{KEY}/20130524/eu-west-1/s3/aws4_request"},
        {"x-amz-date": "2013"},
        {"x-amz-security-token": "t"},
        {"awsaccesskeyid": KEY, "signature": "s"},
    ],
)
def test_forms_with_wrong_claims(change, wire_keys):
    authenticator = Authenticator(wire_keys, region="us-east-1", clock=SystemClock())
    with pytest.raises(S3Error) as caught:
        authenticator.check_post({**sign_form("v4"), **change})
    assert 400 <= caught.value.status < 500
