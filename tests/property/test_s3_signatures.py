"""Requests signed by botocore, which real clients are built on, and what becomes of them when they are altered."""

import datetime
import random
from urllib.parse import quote, urlsplit

import pytest
from botocore import auth as botocore_auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from cellsmono.gateway.s3.authentication import Authenticator
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.identity import Identity, SignedRequest
from cellsmono.kernel.clock import ManualClock

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "localhost:9000"
METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE"]


class OneKey:
    def find_secret(self, access_key: str) -> str | None:
        return SECRET if access_key == KEY else None


def check(method: str, url: str, headers: CIMultiDict[str]) -> Identity:
    parts = urlsplit(url)
    # Now: botocore signs with the machine's time.
    clock = ManualClock(datetime.datetime.now(datetime.UTC).timestamp())
    authenticator = Authenticator(OneKey(), region="us-east-1", clock=clock)
    return authenticator.authenticate(SignedRequest(method, parts.path, parts.query, headers, parts.netloc))


def signed_by(signer: str, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[str, CIMultiDict[str]]:
    credentials = Credentials(KEY, SECRET)
    # A presigned URL knows no body.
    request = AWSRequest(method, url, dict(headers), b"" if signer == "v4_query" else body)
    makers = {
        "v4_header": lambda: botocore_auth.S3SigV4Auth(credentials, "s3", "us-east-1"),
        "v4_query": lambda: botocore_auth.S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=600),
        "v2_header": lambda: botocore_auth.HmacV1Auth(credentials),
        "v2_query": lambda: botocore_auth.HmacV1QueryAuth(credentials, expires=600),
    }
    makers[signer]().add_auth(request)
    prepared = request.prepare()
    sent = CIMultiDict((name, value) for name, value in prepared.headers.items() if name.lower() != "content-length")
    if signer.endswith("query"):
        # A presigned URL says what headers must be sent; the client sends those it was signed with.
        sent = CIMultiDict(headers)
    sent = CIMultiDict((k, v.decode() if isinstance(v, bytes) else v) for k, v in sent.items())
    sent["Host"] = HOST
    return prepared.url, sent


SIGNERS = ["v4_header", "v4_query", "v2_header", "v2_query"]
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
NAMES = st.sampled_from(["prefix", "marker", "uploadId", "partNumber", "acl", "x y", "response-content-type", "é"])
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
HEADERS = st.dictionaries(
    st.sampled_from(["x-amz-meta-a", "x-amz-acl", "x-amz-meta-b-c", "content-type", "range", "cache-control"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20).map(lambda t: f"a  {t} z"),
    max_size=4,
)


def build_url(key: str, query: list[tuple[str, str]]) -> str:
    url = f"http://{HOST}/bucket/{quote(key, safe='/~')}"
    # Sub-resources of the old signature are named once.
    seen: dict[str, str] = dict(query)
    return url + ("?" + "&".join(f"{quote(n)}={quote(v, safe='~')}" for n, v in seen.items()) if seen else "")


@pytest.mark.parametrize("signer", SIGNERS)
@settings(max_examples=100, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    key=KEYS,
    query=st.lists(st.tuples(NAMES, VALUES), max_size=4),
    headers=HEADERS,
    body=st.binary(max_size=50),
)
def test_what_botocore_signs_is_accepted(signer, method, key, query, headers, body):
    url, sent = signed_by(signer, method, build_url(key, query), headers, body)
    identity = check(method, url, sent)
    assert identity.access_key == KEY
    assert identity.kind == ("query" if signer.endswith("query") else "header")
    assert identity.version == (4 if signer.startswith("v4") else 2)


@pytest.mark.parametrize("signer", SIGNERS)
@settings(max_examples=100, deadline=None)
@given(key=KEYS, headers=HEADERS, seed=st.integers(0, 2**32))
def test_what_is_altered_is_refused(signer, key, headers, seed):
    """Method, path, signed query, each x-amz- header, an added one, another secret: whatever is touched."""
    rng = random.Random(seed)
    url, sent = signed_by(signer, "PUT", build_url(key, [("uploadId", "u"), ("partNumber", "1")]), headers, b"x")
    check("PUT", url, sent)
    mutations = {
        "method": lambda: check("GET", url, sent),
        "path": lambda: check("PUT", url.replace("/bucket/", "/bucket2/", 1), sent),
        "query": lambda: check("PUT", url.replace("partNumber=1", "partNumber=2"), sent),
        "copy_source": lambda: check("PUT", url, CIMultiDict([*sent.items(), ("x-amz-copy-source", "a/b")])),
        "repeated": lambda: check("PUT", url, CIMultiDict([*sent.items(), ("x-amz-acl", "public-read")])),
    }
    if signer == "v4_header":
        mutations["host"] = lambda: check("PUT", url.replace(HOST, "localhost:9001"), sent)
        mutations["sha"] = lambda: check("PUT", url, replaced(sent, "x-amz-content-sha256", "UNSIGNED-PAYLOAD"))
    if signer == "v4_query":
        mutations["expires"] = lambda: check("PUT", url.replace("X-Amz-Expires=600", "X-Amz-Expires=601"), sent)
        mutations["more"] = lambda: check("PUT", url + "&x=y", sent)
    if signer == "v2_query":
        mutations["expires"] = lambda: check("PUT", url.replace("Expires=", "Expires=9"), sent)
    for name in [name for name in headers if name.startswith("x-amz-")]:
        mutations["header " + name] = lambda name=name: check("PUT", url, replaced(sent, name, "changed"))
    name = rng.choice(sorted(mutations))
    with pytest.raises(S3Error) as caught:
        mutations[name]()
    assert caught.value.status == 403, name


def replaced(headers: CIMultiDict[str], name: str, value: str) -> CIMultiDict[str]:
    found = headers.copy()
    found[name] = value
    return found


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0, 63), digit=st.sampled_from("0123456789abcdef"))
def test_any_other_signature_is_refused(position, digit):
    url, sent = signed_by("v4_header", "GET", f"http://{HOST}/bucket/key", {}, b"")
    head, signature = sent["Authorization"].rsplit("=", 1)
    forged = signature[:position] + digit + signature[position + 1 :]
    altered = replaced(sent, "Authorization", f"{head}={forged}")
    if forged == signature:
        check("GET", url, altered)
    else:
        with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
            check("GET", url, altered)
