"""What each kind of user may do by each S3 operation, against a written table: an operation without a row fails."""

import base64
import hashlib
import hmac
import http.client
import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cellsmono.gateway.s3 import operations
from cellsmono.interfaces.people import CreateToken, CreateUser, CreateWorkspace, GiveWorkspace

READER, WRITER, DROPPER, STRANGER = "reader", "writer", "dropper", "stranger"
USERS = (READER, WRITER, DROPPER, STRANGER)
EVERYBODY = frozenset(USERS)
MEMBERS = frozenset({READER, WRITER, DROPPER})
READERS = frozenset({READER, WRITER})
WRITERS = frozenset({WRITER, DROPPER})
BOTH = frozenset({WRITER})
NOBODY: frozenset[str] = frozenset()

TABLE = {
    EVERYBODY: "ListBuckets",
    # Of what a workspace holds each sees what the rights show: a list may be empty.
    MEMBERS: """
        HeadBucket GetBucketLocation GetBucketVersioning ListObjects ListObjectVersions ListMultipartUploads
        GetBucketAcl GetBucketPolicyStatus GetBucketTagging GetBucketCors GetBucketPolicy GetPublicAccessBlock
        GetBucketOwnershipControls GetBucketLifecycleConfiguration GetBucketEncryption GetBucketWebsite
        GetBucketReplication GetObjectLockConfiguration GetBucketLogging GetBucketRequestPayment
        GetBucketAccelerateConfiguration GetBucketNotificationConfiguration GetBucketAnalyticsConfiguration
        GetBucketIntelligentTieringConfiguration GetBucketInventoryConfiguration GetBucketMetricsConfiguration
        DeleteObjects GetObjectRetention GetObjectLegalHold PutObjectRetention PutObjectLegalHold
        PutBucketWebsite PutBucketReplication PutBucketLogging
        PutBucketRequestPayment PutBucketAccelerateConfiguration PutBucketNotificationConfiguration
        PutBucketAnalyticsConfiguration PutBucketIntelligentTieringConfiguration PutBucketInventoryConfiguration
        PutBucketMetricsConfiguration
    """,
    READERS: """
        GetObject HeadObject GetObjectAcl GetObjectTagging GetObjectAttributes RestoreObject
    """,
    WRITERS: """
        PutObject PostObject DeleteObject CreateMultipartUpload UploadPart ListParts
        CompleteMultipartUpload AbortMultipartUpload
    """,
    BOTH: "CopyObject UploadPartCopy PutObjectAcl PutObjectTagging DeleteObjectTagging",
    NOBODY: """
        CreateBucket DeleteBucket PutBucketVersioning PutBucketAcl PutBucketTagging DeleteBucketTagging PutBucketCors
        DeleteBucketCors PutBucketPolicy DeleteBucketPolicy PutPublicAccessBlock DeletePublicAccessBlock
        PutBucketOwnershipControls DeleteBucketOwnershipControls PutBucketLifecycleConfiguration
        DeleteBucketLifecycleConfiguration PutBucketEncryption DeleteBucketEncryption
        DeleteBucketWebsite DeleteBucketReplication
        PutObjectLockConfiguration DeleteBucketLogging DeleteBucketRequestPayment
        DeleteBucketAccelerateConfiguration DeleteBucketNotificationConfiguration DeleteBucketAnalyticsConfiguration
        DeleteBucketIntelligentTieringConfiguration DeleteBucketInventoryConfiguration
        DeleteBucketMetricsConfiguration
    """,
}
ROWS = {name: who for who, names in TABLE.items() for name in names.split()}
"""Operation: who may."""


UNSIGNED = {"Options"}
"""Preflights of browsers, which nobody signs."""
FEATURES = {
    name
    for name, handler in (*operations._TABLE.values(), *operations._COPY.values())
    if handler is operations.refuse_feature
}
"""What this server does not have, and says so to everybody."""
ROUTES = [
    *((name, method, level, sub, False) for (method, level, sub), (name, _) in operations._TABLE.items()),
    *((name, "PUT", operations.OBJECT, sub, True) for sub, (name, _) in operations._COPY.items()),
]
REFUSALS = {"AccessDenied", "NoSuchUpload", "403"}
"""How a member is refused: uploads of keys that may not be written are not there."""

TAGGING = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
BODIES = {
    "PutObjectTagging": TAGGING,
    "PutBucketTagging": TAGGING,
    "DeleteObjects": "<Delete><Object><Key>none</Key></Object></Delete>",
    "PutBucketVersioning": "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    "PutObject": "new content",
    "PutObjectRetention": "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2100-01-01T00:00:00Z</RetainUntilDate>"
    "</Retention>",
    "PutObjectLegalHold": "<LegalHold><Status>ON</Status></LegalHold>",
    "UploadPart": "a part",
    "CompleteMultipartUpload": "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    "</CompleteMultipartUpload>",
}
HEADERS = {
    "PutObjectAcl": {"x-amz-acl": "private"},
    "GetObjectAttributes": {"x-amz-object-attributes": "ETag"},
    "CopyObject": {"x-amz-copy-source": "/{bucket}/source.txt"},
    "UploadPartCopy": {"x-amz-copy-source": "/{bucket}/source.txt"},
}


class Site:
    """Two workspaces over one datasource, and a token for each kind of user."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        endpoint.make_bucket("matrix-source", format="flat")
        perform = self.perform = lambda request: endpoint.run(endpoint.core.installation.people.perform(request))
        perform(CreateWorkspace("matrix", (("", "matrix-source"),)))
        self.tokens = {}
        for user, rights in ((READER, ("read",)), (WRITER, ("read", "write")), (DROPPER, ("write",)), (STRANGER, ())):
            perform(CreateUser(user))
            self.tokens[user] = perform(CreateToken(user)).secret
            if rights:
                perform(GiveWorkspace("matrix", f"user:{user}", rights))
        self.send(WRITER, "PUT", "/matrix/source.txt", body="content")

    def send(self, user, method, target, headers=None, body=""):
        """Status, code (that of the error, or the status) and body of the answer."""
        url = self.endpoint.url + target
        request = AWSRequest(method, url, headers=dict(headers or {}), data=body.encode())
        S3SigV4Auth(Credentials(self.tokens[user], "gatewaysecret"), "s3", "us-east-1").add_auth(request)
        return self.fetch(method, url, body.encode(), dict(request.headers.items()))

    def fetch(self, method, url, body, headers):
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        try:
            connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        found = re.search(r"<Error><Code>(\w+)</Code>", text)
        return answer.status, found[1] if found else str(answer.status), text

    def begin_upload(self):
        text = self.send(WRITER, "POST", "/matrix/file.txt?uploads=")[2]
        upload = re.search("<UploadId>(.+)</UploadId>", text)[1]
        etag = hashlib.md5(b"a part").hexdigest()
        self.send(WRITER, "PUT", f"/matrix/file.txt?partNumber=1&uploadId={upload}", body="a part")
        return upload, etag

    def try_form(self, user, bucket):
        """An upload by a form of a browser."""
        token, now = self.tokens[user], datetime.now(UTC)
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        credential = f"{token}/{day}/us-east-1/s3/aws4_request"
        fields = {"key": "form.txt", "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": credential}
        fields["x-amz-date"] = stamp
        conditions = [{"bucket": bucket}, *({name: value} for name, value in fields.items())]
        policy = {"expiration": (now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": conditions}
        fields["policy"] = base64.b64encode(json.dumps(policy).encode()).decode()
        key = b"AWS4gatewaysecret"
        for piece in (day, "us-east-1", "s3", "aws4_request"):
            key = hmac.digest(key, piece.encode(), "sha256")
        fields["x-amz-signature"] = hmac.new(key, fields["policy"].encode(), "sha256").hexdigest()
        parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                 for name, value in fields.items()]  # fmt: skip
        parts.append('--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nbytes\r\n--x--\r\n')
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        return self.fetch("POST", f"{self.endpoint.url}/{bucket}", "".join(parts).encode(), headers)

    def attempt(self, route, user, bucket):
        """What becomes of one operation on a bucket."""
        name, method, level, sub = route[:4]
        if name == "PostObject":
            return self.try_form(user, bucket)
        path = {operations.SERVICE: "/", operations.BUCKET: f"/{bucket}", operations.OBJECT: f"/{bucket}/file.txt"}
        query, etag = f"?{sub}=" if sub else "", ""
        if sub == "uploadId":
            upload, etag = self.begin_upload()
            query = f"?{'partNumber=1&' if 'Part' in name and name != 'ListParts' else ''}uploadId={upload}"
        headers = {key: value.replace("{bucket}", bucket) for key, value in HEADERS.get(name, {}).items()}
        body = BODIES.get(name, "").replace("{etag}", etag)
        if name in {"DeleteObjects", "PutObjectRetention", "PutObjectLegalHold"}:
            headers["Content-MD5"] = base64.b64encode(hashlib.md5(body.encode()).digest()).decode()
        return self.send(user, method, path[level] + query, headers, body)


@pytest.fixture(scope="module")
def site(endpoint):
    return Site(endpoint)


def test_every_operation_has_a_row():
    assert {route[0] for route in ROUTES} == ROWS.keys() | FEATURES | UNSIGNED


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: "-".join(map(str, route[:4])))
def test_who_may(site, route):
    name = route[0]
    if name in UNSIGNED:
        return
    if name in FEATURES:
        assert {site.attempt(route, user, "matrix")[0] for user in USERS} == {501}
        return
    for user in USERS:
        site.send(WRITER, "PUT", "/matrix/file.txt", body="content")
        status, code, text = site.attempt(route, user, "matrix")
        assert status < 500 or status == 501, (user, text)
        if user in ROWS[name]:
            assert code not in {*REFUSALS, "NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch"}, (user, text)
        elif user != STRANGER:
            assert code in REFUSALS, (user, status, text)
        else:
            assert (status, code) == site.attempt(route, user, "no-such-workspace")[:2], "existence is told"
            assert status in {403, 404}
