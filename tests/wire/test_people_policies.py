"""What the owner's policy of a datasource is to users: it allows them nothing and denies them what it denies."""

import json
from itertools import count

import pytest
from botocore.exceptions import ClientError

from cellsmono.interfaces.people import CreateKeyPair, CreateUser, CreateWorkspace, GiveWorkspace

OWNER = {"AWS": "arn:aws:iam::000000000000:root"}
_numbers = count(1)


class Site:
    """A datasource of which a user sees the folder ``inner`` as a workspace, and signs with a key pair."""

    def __init__(self, endpoint, make_client, rights):
        number = next(_numbers)
        self.source, self.slug, login = f"ruled-{number}", f"view-of-ruled-{number}", f"ruled-{number}"
        endpoint.make_bucket(self.source, format="flat")
        self.owner = make_client()
        self.owner.put_object(Bucket=self.source, Key="inner/")
        perform = endpoint.core.installation.people.perform
        endpoint.run(perform(CreateUser(login)))
        endpoint.run(perform(CreateWorkspace(self.slug, (("", f"{self.source}/inner"),))))
        endpoint.run(perform(GiveWorkspace(self.slug, f"user:{login}", rights)))
        pair = endpoint.run(perform(CreateKeyPair(login)))
        self.user = make_client(access_key=pair.access_key, secret_key=pair.secret)

    def rule(self, action, **more):
        arn = f"arn:aws:s3:::{self.source}"
        statement = {"Effect": "Deny", "Action": action, "Resource": [arn, f"{arn}/*"]} | more
        statement |= {} if "NotPrincipal" in more else {"Principal": more.get("Principal", "*")}
        self.owner.put_bucket_policy(Bucket=self.source, Policy=json.dumps({"Statement": statement}))

    def put(self, key, **more):
        self.owner.put_object(Bucket=self.source, Key=f"inner/{key}", Body=b"hello", **more)

    def ask(self, operation, client=None, **arguments):
        arguments = {"Bucket": self.slug} | arguments
        try:
            getattr(client or self.user, operation)(**arguments)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "ok"


@pytest.fixture
def make_site(endpoint, make_client):
    return lambda *rights: Site(endpoint, make_client, rights)


def test_a_policy_allows_users_nothing(make_site):
    site = make_site("read")
    site.put("x")
    for principal in ("*", OWNER):
        site.rule("s3:*", Effect="Allow", Principal=principal)
        assert site.ask("put_object", Key="x", Body=b"") == "AccessDenied"
        assert site.ask("get_object", Bucket=site.source, Key="inner/x") == "NoSuchBucket"
    assert site.ask("get_object", Key="x") == "ok"


@pytest.mark.parametrize("who", [{"Principal": "*"}, {"Principal": OWNER}, {"NotPrincipal": OWNER}])
def test_whom_a_denial_is_about(make_site, who):
    site = make_site("read", "write")
    site.put("x")
    site.rule("s3:GetObject", **who)
    assert site.ask("get_object", Key="x") == "AccessDenied"
    assert site.ask("copy_object", Key="y", CopySource=f"{site.slug}/x") == "AccessDenied"
    assert site.ask("put_object", Key="z", Body=b"") == "ok"
    spared = "ok" if "NotPrincipal" in who else "AccessDenied"
    assert site.ask("get_object", site.owner, Bucket=site.source, Key="inner/x") == spared


def test_denials_by_tags(make_site):
    site = make_site("read", "write")
    site.put("plain")
    site.put("secret", Tagging="secret=yes")
    tagged = {"StringEquals": {"s3:ExistingObjectTag/secret": "yes"}}
    site.rule(["s3:GetObject", "s3:PutObjectTagging"], Condition=tagged)
    tags = {"TagSet": [{"Key": "secret", "Value": "yes"}]}
    for key, expected in (("secret", "AccessDenied"), ("plain", "ok")):
        assert site.ask("get_object", Key=key) == expected
        assert site.ask("put_object_tagging", Key=key, Tagging=tags) == expected
    assert site.ask("get_object", Key="plain") == "AccessDenied", "it has the tag by now"
    assert site.ask("get_object", Key="missing") == "NoSuchKey"
    site.rule("s3:PutObjectTagging", Condition={"Null": {"s3:RequestObjectTag/owner": "true"}})
    assert site.ask("put_object", Key="new", Body=b"", Tagging="a=b") == "AccessDenied"
    assert site.ask("put_object", Key="new", Body=b"", Tagging="owner=b") == "ok"


def test_the_prefix_of_a_listing_is_that_in_the_datasource(make_site):
    site = make_site("read")
    for key in ("a/x", "b/x"):
        site.put(key)
    lists = ["s3:ListBucket", "s3:ListBucketVersions"]
    for condition, prefix, expected in (
        ({"StringLike": {"s3:prefix": "inner/a/*"}}, "a/", "AccessDenied"),
        ({"StringLike": {"s3:prefix": "inner/a/*"}}, "b/", "ok"),
        ({"StringEquals": {"s3:prefix": "a/"}}, "a/", "ok"),
        ({"StringEquals": {"s3:prefix": "inner/"}}, "", "AccessDenied"),
        ({"Null": {"s3:prefix": "true"}}, "", "ok"),
    ):
        site.rule(lists, Condition=condition)
        for operation in ("list_objects", "list_objects_v2", "list_object_versions"):
            assert site.ask(operation, Prefix=prefix) == expected, (condition, prefix, operation)


def test_uploads_in_parts_go_on_as_they_began(make_site):
    site = make_site("read", "write")
    site.rule("s3:PutObject", Condition={"Null": {"s3:x-amz-server-side-encryption": "true"}})
    assert site.ask("create_multipart_upload", Key="x") == "AccessDenied"
    upload = site.user.create_multipart_upload(Bucket=site.slug, Key="x", ServerSideEncryption="AES256")["UploadId"]
    about = {"Bucket": site.slug, "Key": "x", "UploadId": upload}
    etag = site.user.upload_part(**about, PartNumber=1, Body=b"hello")["ETag"]
    site.user.complete_multipart_upload(**about, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert site.user.get_object(Bucket=site.slug, Key="x")["Body"].read() == b"hello"
