"""What authentication refuses, and with which of AWS's codes."""

import hashlib

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from cellsmono.gateway.s3 import signature_v2, signature_v4
from cellsmono.gateway.s3.authentication import Authenticator
from cellsmono.gateway.s3.claims import merge_hoisted
from cellsmono.gateway.s3.errors import S3Error, render
from cellsmono.gateway.s3.identity import SignedRequest
from cellsmono.gateway.s3.payload import PayloadMode, read_payload_mode

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "s3.test"
STAMP = "20130524T000000Z"
EMPTY = hashlib.sha256(b"").hexdigest()


def sign_v4(
    target="/b/k",
    method="GET",
    extra=None,
    *,
    key=KEY,
    secret=SECRET,
    date="20130524",
    stamp=STAMP,
    region="us-east-1",
    service="s3",
    unsigned=(),
    payload=EMPTY,
    leave_out=(),
):
    """A header-signed request, every part of which a test can spoil while the signature itself stays right."""
    headers = CIMultiDict({"host": HOST, "x-amz-date": stamp, "x-amz-content-sha256": payload, **(extra or {})})
    for name in leave_out:
        headers.pop(name, None)
    names = sorted(name for name in headers if name not in unsigned)
    scope = f"{date}/{region}/{service}/aws4_request"
    path, _, query = target.partition("?")
    canonical = signature_v4.build_canonical_request(
        method, path, query, signature_v4.canonical_headers(headers, names, HOST), ";".join(names), payload
    )
    signing_key = b"AWS4" + secret.encode()
    for step in (date, region, service, "aws4_request"):
        signing_key = signature_v4.hmac.digest(signing_key, step.encode(), "sha256")
    signature = signature_v4.sign(signing_key, signature_v4.build_string_to_sign(stamp, scope, canonical))
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return SignedRequest(method, path, query, headers, HOST)


def sign_query(
    *, key=KEY, secret=SECRET, expires="600", stamp=STAMP, region="us-east-1", names="host", headers=None, more=()
):
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    pairs = [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", f"{key}/{scope}"),
        ("X-Amz-Date", stamp),
        ("X-Amz-Expires", expires),
        ("X-Amz-SignedHeaders", names),
        *more,
    ]
    found = CIMultiDict({"host": HOST, **(headers or {})})
    query = signature_v4.canonical_query(pairs)
    payload = dict(more).get("X-Amz-Content-Sha256") or found.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    canonical = signature_v4.build_canonical_request(
        "PUT", "/b/k", query, signature_v4.canonical_headers(found, names.split(";"), HOST), names, payload
    )
    signing_key = b"AWS4" + secret.encode()
    for step in (stamp[:8], region, "s3", "aws4_request"):
        signing_key = signature_v4.hmac.digest(signing_key, step.encode(), "sha256")
    signature = signature_v4.sign(signing_key, signature_v4.build_string_to_sign(stamp, scope, canonical))
    return SignedRequest("PUT", "/b/k", f"{query}&X-Amz-Signature={signature}", found, HOST)


def refusal(authenticator, request) -> S3Error:
    with pytest.raises(S3Error) as caught:
        authenticator.authenticate(request)
    return caught.value


def test_the_helpers_sign_rightly(authenticator):
    assert authenticator.authenticate(sign_v4()).access_key == KEY
    assert authenticator.authenticate(sign_query()).kind == "query"


def test_unsigned_requests_are_anonymous(authenticator):
    identity = authenticator.authenticate(SignedRequest("GET", "/b/k", "", CIMultiDict(host=HOST), HOST))
    assert (identity.kind, identity.access_key) == ("anonymous", "")


def test_wrong_region_names_the_right_one(authenticator):
    error = refusal(authenticator, sign_v4(region="eu-west-1"))
    assert (error.code, error.status) == ("AuthorizationHeaderMalformed", 400)
    assert error.fields == {"Region": "us-east-1"}
    assert "expecting 'us-east-1'" in error.message


@pytest.mark.parametrize(
    ("spoiled", "code"),
    [
        ({"service": "ec2"}, "AuthorizationHeaderMalformed"),
        ({"date": "20130523"}, "AuthorizationHeaderMalformed"),
        ({"key": "AKIANOBODY"}, "InvalidAccessKeyId"),
        ({"secret": "guess"}, "SignatureDoesNotMatch"),
        ({"leave_out": ["x-amz-content-sha256"]}, "InvalidRequest"),
        ({"leave_out": ["x-amz-date"]}, "AccessDenied"),
        ({"leave_out": ["host"]}, "AuthorizationHeaderMalformed"),
        ({"payload": "e3b0"}, "InvalidArgument"),
        ({"payload": EMPTY.upper()}, "InvalidArgument"),
        ({"payload": "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"}, "NotImplemented"),
        ({"extra": {"x-amz-security-token": "t"}}, "InvalidToken"),
        ({"stamp": "2013-05-24"}, "AccessDenied"),
    ],
)
def test_header_refusals(authenticator, spoiled, code):
    assert refusal(authenticator, sign_v4(**spoiled)).code == code


@pytest.mark.parametrize("secretless", ["EMPTY", "NONE", "unknown"])
@pytest.mark.parametrize("secret", ["", "None", SECRET])
def test_c4_keys_without_secret_sign_nothing(authenticator, secretless, secret):
    """On every path: nobody is let in by an access key whose secret is empty or gone."""
    assert refusal(authenticator, sign_v4(key=secretless, secret=secret)).code == "InvalidAccessKeyId"
    assert refusal(authenticator, sign_query(key=secretless, secret=secret)).code == "InvalidAccessKeyId"
    v2 = CIMultiDict({"host": HOST, "date": "Fri, 24 May 2013 00:00:00 GMT"})
    text = signature_v2.build_string_to_sign("GET", v2, "/b/k", "", "", None)
    v2["authorization"] = f"AWS {secretless}:{signature_v2.sign(secret, text)}"
    assert refusal(authenticator, SignedRequest("GET", "/b/k", "", v2, HOST)).code == "InvalidAccessKeyId"
    fields = {"policy": "e30=", "awsaccesskeyid": secretless, "signature": signature_v2.sign(secret, "e30=")}
    with pytest.raises(S3Error, match="InvalidAccessKeyId"):
        authenticator.check_post(fields)


AMZ = ["x-amz-copy-source", "x-amz-acl", "x-amz-meta-a", "X-Amz-Tagging", "x-amz-server-side-encryption", "x-amz-date2"]


@pytest.mark.parametrize("name", AMZ)
def test_c1_unsigned_amz_headers_are_refused(authenticator, name):
    by_header = sign_v4(extra={name: "v"}, unsigned=[name])
    error = refusal(authenticator, by_header)
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert error.fields["HeadersNotSigned"] == name.lower()
    by_query = sign_query()
    by_query.headers[name] = "v"
    assert refusal(authenticator, by_query).fields["HeadersNotSigned"] == name.lower()


@pytest.mark.parametrize("payload", ["hash", "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                                     "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                                     "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"])  # fmt: skip
def test_c2_every_payload_mode_needs_a_good_signature(authenticator, payload):
    payload = EMPTY if payload == "hash" else payload
    assert authenticator.authenticate(sign_v4(payload=payload)).access_key == KEY
    assert refusal(authenticator, sign_v4(payload=payload, secret="wrong")).code == "SignatureDoesNotMatch"
    names = "host;x-amz-content-sha256"
    headers = {"x-amz-content-sha256": payload}
    assert authenticator.authenticate(sign_query(names=names, headers=headers)).kind == "query"
    forged = sign_query(names=names, headers=headers, secret="wrong")
    assert refusal(authenticator, forged).code == "SignatureDoesNotMatch"


def test_payload_modes(authenticator):
    signed = authenticator.authenticate(sign_v4(payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"))
    assert signed.payload is PayloadMode.CHUNKS_SIGNED_TRAILER
    assert signed.signing is not None
    assert SECRET not in repr(signed)
    assert repr(signed.signing.key) not in repr(signed)
    unsigned = authenticator.authenticate(sign_v4(payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER"))
    assert unsigned.payload is PayloadMode.CHUNKS_UNSIGNED_TRAILER
    assert unsigned.signing is None
    assert unsigned.payload.is_chunked
    query = authenticator.authenticate(sign_query(more=[("X-Amz-Content-Sha256", EMPTY)]))
    assert (query.payload, query.payload_sha256) == (PayloadMode.HASHED, EMPTY)


def test_payload_modes_without_sigv4():
    chunked = CIMultiDict({"content-encoding": "gzip, aws-chunked"})
    assert read_payload_mode(chunked, "")[0] is PayloadMode.CHUNKS_UNSIGNED_TRAILER
    assert read_payload_mode(CIMultiDict(), "")[0] is PayloadMode.UNSIGNED
    with pytest.raises(S3Error, match="InvalidRequest"):
        read_payload_mode(CIMultiDict({"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}), "")


@pytest.mark.parametrize("seconds", [901, -901, 86400 * 3650])
def test_clock_skew(authenticator, wire_clock, seconds):
    wire_clock.jump(seconds)
    error = refusal(authenticator, sign_v4())
    assert (error.code, error.status) == ("RequestTimeTooSkewed", 403)
    assert error.fields["RequestTime"] == STAMP
    assert error.fields["MaxAllowedSkewMilliseconds"] == "900000"


@pytest.mark.parametrize("seconds", [900, -900, 0])
def test_clock_skew_within_bounds(authenticator, wire_clock, seconds):
    wire_clock.jump(seconds)
    assert authenticator.authenticate(sign_v4()).access_key == KEY


def test_presigned_time(authenticator, wire_clock):
    wire_clock.jump(600)
    assert authenticator.authenticate(sign_query()).kind == "query"
    wire_clock.jump(1)
    error = refusal(authenticator, sign_query())
    assert (error.code, error.message) == ("AccessDenied", "Request has expired")
    assert error.fields == {
        "X-Amz-Expires": "600",
        "Expires": "2013-05-24T00:10:00Z",
        "ServerTime": "2013-05-24T00:10:01Z",
    }
    wire_clock.jump(-601 - 901)
    assert refusal(authenticator, sign_query()).message == "Request is not valid yet"


@pytest.mark.parametrize("expires", ["0", "-1", "604801", "abc", "1e3", "9" * 30, "", "٣"])
def test_presigned_expiry_values(authenticator, expires):
    assert refusal(authenticator, sign_query(expires=expires)).code == "AuthorizationQueryParametersError"


def test_presigned_longest_expiry(authenticator):
    assert authenticator.authenticate(sign_query(expires="604800")).kind == "query"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda q: q.replace("X-Amz-Algorithm=AWS4-HMAC-SHA256&", ""),
        lambda q: q.replace("X-Amz-Expires=600&", ""),
        lambda q: q.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
        lambda q: q.replace("aws4_request", "aws5_request"),
        lambda q: q.replace("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=range"),
        lambda q: q.replace("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=host%3Bhost"),
        lambda q: q + "&X-Amz-Expires=900",
        lambda q: q + "0",
        lambda q: q.replace("X-Amz-Date=2013", "X-Amz-Date=2O13"),
        lambda q: "X-Amz-Signature=" + "0" * 64,
    ],
)
def test_presigned_malformed(authenticator, spoil):
    request = sign_query()
    broken = SignedRequest("PUT", "/b/k", spoil(request.raw_query), request.headers, HOST)
    error = refusal(authenticator, broken)
    assert (error.code, error.status) == ("AuthorizationQueryParametersError", 400)


CREDENTIAL = "Credential=a/20130524/us-east-1/s3/aws4_request"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "InvalidArgument"),
        ("Basic dXNlcjpwYXNz", "InvalidArgument"),
        ("Bearer x", "InvalidArgument"),
        ("AWS", "InvalidArgument"),
        ("AWS AKIA", "InvalidArgument"),
        ("AWS :sig", "InvalidArgument"),
        ("AWS AKIA:", "InvalidArgument"),
        ("AWS4-HMAC-SHA256", "InvalidArgument"),
        ("AWS4-HMAC-SHA512 Credential=x", "InvalidArgument"),
        ("AWS4-HMAC-SHA256 ", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=x", "AuthorizationHeaderMalformed"),
        ("AWS4-ECDSA-P256-SHA256 Credential=x", "NotImplemented"),
        (f"AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature={'0' * 64}",
         "AuthorizationHeaderMalformed"),
        (f"AWS4-HMAC-SHA256 {CREDENTIAL}, SignedHeaders=Host, Signature={'0' * 64}",
         "AuthorizationHeaderMalformed"),
        (f"AWS4-HMAC-SHA256 {CREDENTIAL}, SignedHeaders=x;host, Signature={'0' * 64}",
         "AuthorizationHeaderMalformed"),
        (f"AWS4-HMAC-SHA256 {CREDENTIAL}, SignedHeaders=host, Signature={'0' * 63}",
         "AuthorizationHeaderMalformed"),
        (f"AWS4-HMAC-SHA256 Credential=a, Credential=b, SignedHeaders=host, Signature={'0' * 64}",
         "AuthorizationHeaderMalformed"),
    ],
)  # fmt: skip
def test_malformed_authorization(authenticator, value, code):
    headers = CIMultiDict({"host": HOST, "x-amz-date": STAMP, "x-amz-content-sha256": EMPTY, "authorization": value})
    assert refusal(authenticator, SignedRequest("GET", "/", "", headers, HOST)).code == code


def test_parts_of_the_header_in_another_order(authenticator):
    request = sign_v4()
    scheme, _, rest = request.headers["Authorization"].partition(" ")
    request.headers["Authorization"] = f"{scheme} {','.join(reversed(rest.split(', ')))}"
    assert authenticator.authenticate(request).access_key == KEY


def test_only_one_mechanism(authenticator):
    both = sign_v4(target="/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256")
    assert refusal(authenticator, both).code == "InvalidArgument"
    v2_too = SignedRequest("GET", "/b", "AWSAccessKeyId=a&X-Amz-Algorithm=b", CIMultiDict(), HOST)
    assert refusal(authenticator, v2_too).code == "InvalidArgument"
    twice = sign_v4()
    twice.headers.add("Authorization", twice.headers["Authorization"])
    assert refusal(authenticator, twice).code == "InvalidArgument"


def test_a_mismatch_explains_itself_to_the_client_and_not_to_the_log(authenticator):
    error = refusal(authenticator, sign_v4(secret="wrong"))
    assert error.status == 403
    assert error.fields["StringToSign"].startswith("AWS4-HMAC-SHA256\n20130524T000000Z\n")
    assert error.fields["CanonicalRequest"].startswith("GET\n/b/k\n\nhost:s3.test\n")
    assert bytes.fromhex(error.fields["StringToSignBytes"]).decode() == error.fields["StringToSign"]
    signature = error.fields["SignatureProvided"]
    assert signature not in str(error)
    assert signature not in repr(error)
    assert SECRET not in render(error, "r", "h").decode()


def test_path_encodings_are_one(authenticator):
    """A client may escape more or less than AWS does, as long as it signs the canonical form."""
    signed = sign_v4(target="/b/a%20%2B%C3%A9~%28x%29")
    for path in ("/b/a%20+é~(x)", "/b/a%20%2b%c3%a9%7E%28x)", "/%62/a%20%2B%C3%A9~%28x%29"):
        assert authenticator.authenticate(SignedRequest("GET", path, "", signed.headers, HOST)).access_key == KEY
    for path in ("/b/a%2520%2B%C3%A9~%28x%29", "/b//a%20%2B%C3%A9~%28x%29", "/b/./a%20%2B%C3%A9~%28x%29"):
        other = SignedRequest("GET", path, "", signed.headers, HOST)
        assert refusal(authenticator, other).code == "SignatureDoesNotMatch"


class TestVersion2:
    def test_switched_off(self, wire_keys, wire_clock):
        strict = Authenticator(wire_keys, region="us-east-1", clock=wire_clock, allow_v2=False)
        by_header = SignedRequest("GET", "/", "", CIMultiDict({"authorization": "AWS a:b"}), HOST)
        by_query = SignedRequest("GET", "/", "AWSAccessKeyId=a&Signature=b&Expires=1", CIMultiDict(), HOST)
        for request in (by_header, by_query):
            error = refusal(strict, request)
            assert (error.code, error.status) == ("InvalidRequest", 400)
            assert "AWS4-HMAC-SHA256" in error.message
        with pytest.raises(S3Error, match="InvalidRequest"):
            strict.check_post({"policy": "e30=", "awsaccesskeyid": KEY, "signature": "x"})

    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("AWSAccessKeyId=a", "requires the Signature"),
            ("Signature=a", "requires the Signature"),
            (f"AWSAccessKeyId={KEY}&Signature=a&Expires=soon", "Invalid date"),
            (f"AWSAccessKeyId={KEY}&Signature=a&Expires=1&Expires=2", "only once"),
            (f"AWSAccessKeyId={KEY}&Signature=a&Expires=1369353599", "has expired"),
        ],
    )
    def test_presigned_refusals(self, authenticator, query, message):
        error = refusal(authenticator, SignedRequest("GET", "/b/k", query, CIMultiDict(), HOST))
        assert error.code == "AccessDenied"
        assert message in error.message

    def test_skew(self, authenticator, wire_clock):
        headers = CIMultiDict({"date": "Fri, 24 May 2013 00:00:00 GMT"})
        text = signature_v2.build_string_to_sign("GET", headers, "/b/k", "", "", None)
        headers["authorization"] = f"AWS {KEY}:{signature_v2.sign(SECRET, text)}"
        request = SignedRequest("GET", "/b/k", "", headers, HOST)
        assert authenticator.authenticate(request).version == 2
        wire_clock.jump(901)
        assert refusal(authenticator, request).code == "RequestTimeTooSkewed"

    def test_no_date(self, authenticator):
        request = SignedRequest("GET", "/b/k", "", CIMultiDict(authorization=f"AWS {KEY}:x"), HOST)
        assert refusal(authenticator, request).code == "AccessDenied"


def test_a_revoked_key_is_refused_at_once(authenticator, wire_keys):
    request = sign_v4()
    assert authenticator.authenticate(request).access_key == KEY
    wire_keys.pairs[KEY] = None
    assert refusal(authenticator, request).code == "InvalidAccessKeyId"
    wire_keys.pairs[KEY] = "another"
    assert refusal(authenticator, request).code == "SignatureDoesNotMatch"


def test_headers_in_a_presigned_url(authenticator):
    more = [("x-amz-meta-a", "b c"), ("X-Amz-Acl", "private"), ("x-id", "PutObject")]
    request = sign_query(more=more, headers={"content-type": "text/plain", "x-amz-acl": "public-read"},
                         names="host;x-amz-acl")  # fmt: skip
    assert authenticator.authenticate(request).kind == "query"
    merged = merge_hoisted(CIMultiDictProxy(request.headers), request.query)
    assert dict(merged) == {
        "host": HOST,
        "content-type": "text/plain",
        "x-amz-acl": "public-read",
        "x-amz-meta-a": "b c",
    }
    plain = CIMultiDictProxy(CIMultiDict(a="b"))
    assert merge_hoisted(plain, sign_query().query) is plain
