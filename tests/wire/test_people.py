"""What users see and do through S3, over real datasources: boto3 with tokens and key pairs."""

from datetime import UTC, datetime
from itertools import count

import pytest
from botocore.exceptions import ClientError

from cellsmono.interfaces.people import (
    CreateKeyPair,
    CreateToken,
    CreateUser,
    CreateWorkspace,
    GiveWorkspace,
    ListTokens,
    LockUser,
    RevokeToken,
    SetAcl,
    SetQuota,
    SetTemplate,
    TakeWorkspace,
    UnlockUser,
)
from cellsmono.interfaces.router import Actor

OWNER = Actor("owner")
BOTH = ("read", "write")
_numbers = count(1)


class Site:
    """A fresh datasource, and users who are made as they are needed."""

    def __init__(self, endpoint, make_client, format_):
        self.endpoint = endpoint
        self.make_client = make_client
        self.number = next(_numbers)
        self.source = f"people-{self.number}"
        self.folder = endpoint.make_bucket(self.source, format=format_)
        self.router = endpoint.core.router

    def perform(self, request):
        return self.endpoint.run(self.endpoint.core.installation.people.perform(request))

    def run(self, coroutine):
        return self.endpoint.run(coroutine)

    def user(self, name):
        login = f"{name}{self.number}"
        self.perform(CreateUser(login))
        return login

    def sign_in(self, login, **token):
        return self.make_client(access_key=self.perform(CreateToken(login, **token)).secret, secret_key="gatewaysecret")

    def workspace(self, name, roots, *rights):
        """Make one and give rights: ``(login, "read", "write")``."""
        slug = f"{name}-{self.number}"
        self.perform(CreateWorkspace(slug, tuple(roots.items())))
        for login, *given in rights:
            self.perform(GiveWorkspace(slug, f"user:{login}", tuple(given)))
        return slug

    def put(self, *keys):
        """Objects of the owner."""
        owner = self.make_client()
        for key in keys:
            owner.put_object(Bucket=self.source, Key=key, Body=key.encode())

    def uuid(self, path):
        return self.run(self.router.read_node(OWNER, self.source, path)).uuid


@pytest.fixture(params=["structured", "flat"])
def site(endpoint, make_client, request):
    return Site(endpoint, make_client, request.param)


@pytest.fixture
def flat_site(endpoint, make_client):
    return Site(endpoint, make_client, "flat")


def keys_of(client, bucket, **options):
    page = client.list_objects_v2(Bucket=bucket, **options)
    return [entry["Key"] for entry in page.get("Contents", [])] + [
        entry["Prefix"] for entry in page.get("CommonPrefixes", [])
    ]


def code_of(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


def test_files_of_a_template_are_apart(site):
    site.perform(SetTemplate(f"own-{site.number}", f"{site.source}/of/{{user:1}}/{{user}}"))
    alice, bob = site.user("alice"), site.user("bob")
    slug = site.workspace("own", {"": f"TEMPLATE:own-{site.number}"}, (alice, *BOTH), (bob, *BOTH))
    mine, his = site.sign_in(alice), site.sign_in(bob)
    assert keys_of(mine, slug) == []
    mine.put_object(Bucket=slug, Key="dir/a.txt", Body=b"hers", Metadata={"x": "y"})
    his.put_object(Bucket=slug, Key="dir/b.txt", Body=b"his")
    assert keys_of(mine, slug) == ["dir/a.txt"]
    assert keys_of(his, slug, Delimiter="/") == ["dir/"]
    assert code_of(his.get_object, Bucket=slug, Key="dir/a.txt") == "NoSuchKey"
    got = mine.get_object(Bucket=slug, Key="dir/a.txt")
    assert (got["Body"].read(), got["Metadata"]) == (b"hers", {"x": "y"})
    assert keys_of(site.make_client(), site.source) == [f"of/a/{alice}/dir/a.txt", f"of/b/{bob}/dir/b.txt"]
    mine.delete_object(Bucket=slug, Key="dir/a.txt")
    assert keys_of(mine, slug) == []


def test_a_quota_is_told_as_ceph_does(site):
    alice = site.user("alice")
    slug = site.workspace("small", {"": site.source}, (alice, *BOTH))
    site.perform(SetQuota(slug, "group:/", 1000))
    client = site.sign_in(alice)
    client.put_object(Bucket=slug, Key="a", Body=b"x" * 1000)
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=slug, Key="b", Body=b"x" * 100_000)
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("QuotaExceeded", 403)
    assert "100000 bytes more do not fit" in answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["RetryAttempts"] == 0
    assert code_of(client.create_multipart_upload, Bucket=slug, Key="b") == "QuotaExceeded"
    assert code_of(client.copy_object, Bucket=slug, Key="b", CopySource=f"{slug}/a") == "QuotaExceeded"
    client.put_object(Bucket=slug, Key="a", Body=b"y" * 1000)


def test_buckets_are_workspaces_and_nothing_else_is_there(site):
    alice = site.user("alice")
    slug = site.workspace("seen", {"": site.source}, (alice, "read"))
    hidden = site.workspace("unseen", {"": site.source})
    client = site.sign_in(alice)
    names = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    assert slug in names
    assert {hidden, site.source}.isdisjoint(names)
    for bucket in (hidden, site.source, "nothing-there"):
        assert code_of(client.list_objects_v2, Bucket=bucket) == "NoSuchBucket"
        assert code_of(client.put_object, Bucket=bucket, Key="x", Body=b"") == "NoSuchBucket"
    site.perform(TakeWorkspace(slug, f"user:{alice}"))
    assert code_of(client.list_objects_v2, Bucket=slug) == "NoSuchBucket"


def test_what_is_denied_is_not_there(site):
    alice = site.user("alice")
    site.put("a/1.txt", "a/secret/2.txt", "a/secret/deep/3.txt", "b.txt")
    slug = site.workspace("deny", {"": site.source}, (alice, *BOTH))
    site.perform(SetAcl(f"{site.source}/a/secret", f"user:{alice}", {"deny": "1"}))
    client = site.sign_in(alice)
    assert keys_of(client, slug) == ["a/1.txt", "b.txt"]
    assert keys_of(client, slug, Prefix="a/", Delimiter="/") == ["a/1.txt"]
    assert keys_of(client, slug, Prefix="a/secret/") == []
    for key in ("a/secret/2.txt", "a/secret/deep/3.txt", "a/secret/none", "a/secret/"):
        assert code_of(client.get_object, Bucket=slug, Key=key) == "AccessDenied"
        assert code_of(client.head_object, Bucket=slug, Key=key) == "403"
        assert code_of(client.delete_object, Bucket=slug, Key=key) == "AccessDenied"
    assert code_of(client.put_object, Bucket=slug, Key="a/secret/new", Body=b"") == "AccessDenied"
    source = {"Bucket": slug, "Key": "a/secret/2.txt"}
    assert code_of(client.copy_object, Bucket=slug, Key="stolen", CopySource=source) == "AccessDenied"
    answer = client.delete_objects(
        Bucket=slug, Delete={"Objects": [{"Key": key} for key in ("a/1.txt", "a/secret/2.txt", "none")]}
    )
    assert [entry["Key"] for entry in answer["Deleted"]] == ["a/1.txt", "none"]
    assert [(entry["Key"], entry["Code"]) for entry in answer["Errors"]] == [("a/secret/2.txt", "AccessDenied")]
    assert keys_of(site.make_client(), site.source) == ["a/secret/2.txt", "a/secret/deep/3.txt", "b.txt"]


def test_who_may_write_alone_sees_nothing_and_learns_nothing(site):
    alice = site.user("alice")
    site.put("there")
    slug = site.workspace("drop", {"": site.source}, (alice, "write"))
    client = site.sign_in(alice)
    client.put_object(Bucket=slug, Key="new", Body=b"new")
    assert keys_of(client, slug) == []
    for key in ("there", "absent"):
        assert code_of(client.get_object, Bucket=slug, Key=key) == "AccessDenied"
        assert code_of(client.put_object, Bucket=slug, Key=key, Body=b"", IfNoneMatch="*") == "AccessDenied"
    client.delete_object(Bucket=slug, Key="there")
    assert keys_of(site.make_client(), site.source) == ["new"]


def test_several_roots_are_folders_beside_each_other(site):
    alice = site.user("alice")
    site.put("x/in-x.txt", "y/deep/in-y.txt", "z.txt")
    slug = site.workspace("roots", {"B": f"{site.source}/x", "A": f"{site.source}/y/deep"}, (alice, *BOTH))
    client = site.sign_in(alice)
    assert keys_of(client, slug) == ["A/in-y.txt", "B/in-x.txt"]
    assert keys_of(client, slug, Delimiter="/") == ["A/", "B/"]
    assert keys_of(client, slug, Prefix="B/", Delimiter="/") == ["B/in-x.txt"]
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=slug, PaginationConfig={"PageSize": 1})
    assert [entry["Key"] for page in pages for entry in page.get("Contents", [])] == ["A/in-y.txt", "B/in-x.txt"]
    client.copy_object(Bucket=slug, Key="A/copy.txt", CopySource={"Bucket": slug, "Key": "B/in-x.txt"})
    assert client.get_object(Bucket=slug, Key="A/copy.txt")["Body"].read() == b"x/in-x.txt"
    for key in ("C/x", "z.txt", "top.txt"):
        assert code_of(client.get_object, Bucket=slug, Key=key) == "NoSuchKey"
        assert code_of(client.put_object, Bucket=slug, Key=key, Body=b"") == "AccessDenied"
    for root in ("A/", "B/"):
        assert code_of(client.delete_object, Bucket=slug, Key=root) == "AccessDenied"


def test_errors_do_not_tell_where_a_root_is(structured_site):
    site = structured_site
    alice = site.user("alice")
    site.put("private/place/file", "private/place/folder/x")
    slug = site.workspace("inner", {"": f"{site.source}/private/place"}, (alice, *BOTH))
    client = site.sign_in(alice)
    told = []
    for call, arguments in (
        (client.get_object, {"Key": "none"}),
        (client.put_object, {"Key": "file/below", "Body": b""}),
        (client.put_object, {"Key": "folder", "Body": b""}),
        (client.put_object, {"Key": "a/../b", "Body": b""}),
        (client.get_object, {"Key": "none", "VersionId": "a" * 32}),
    ):
        with pytest.raises(ClientError) as caught:
            call(Bucket=slug, **arguments)
        told.append(str(caught.value.response))
    assert [text for text in told if "private" in text or site.source in text] == []


@pytest.fixture
def structured_site(endpoint, make_client):
    return Site(endpoint, make_client, "structured")


def test_uploads_in_parts_belong_to_who_may_write_there(flat_site):
    site = flat_site
    alice, bob, carol = site.user("alice"), site.user("bob"), site.user("carol")
    site.perform(SetTemplate(f"own-{site.number}", f"{site.source}/of/{{user}}"))
    slug = site.workspace("own", {"": f"TEMPLATE:own-{site.number}"}, (alice, *BOTH), (bob, *BOTH), (carol, "read"))
    mine, his = site.sign_in(alice), site.sign_in(bob)
    upload = mine.create_multipart_upload(Bucket=slug, Key="big", Metadata={"a": "b"})["UploadId"]
    arguments = {"Bucket": slug, "Key": "big", "UploadId": upload}
    part = mine.upload_part(**arguments, PartNumber=1, Body=b"x" * 2000)
    assert [each["Key"] for each in mine.list_multipart_uploads(Bucket=slug)["Uploads"]] == ["big"]
    assert "Uploads" not in his.list_multipart_uploads(Bucket=slug)
    assert code_of(his.list_parts, **arguments) == "NoSuchUpload"
    assert code_of(his.upload_part, **arguments, PartNumber=1, Body=b"y") == "NoSuchUpload"
    assert code_of(his.abort_multipart_upload, **arguments) == "NoSuchUpload"
    assert code_of(site.sign_in(carol).create_multipart_upload, Bucket=slug, Key="x") == "AccessDenied"
    assert len(mine.list_parts(**arguments)["Parts"]) == 1
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    mine.complete_multipart_upload(**arguments, MultipartUpload=parts)
    got = mine.head_object(Bucket=slug, Key="big")
    assert (got["ContentLength"], got["Metadata"]) == (2000, {"a": "b"})
    other = mine.create_multipart_upload(Bucket=slug, Key="other")["UploadId"]
    mine.abort_multipart_upload(Bucket=slug, Key="other", UploadId=other)
    assert "Uploads" not in mine.list_multipart_uploads(Bucket=slug)


def test_versions_of_a_workspace_are_those_of_its_folder(flat_site):
    site = flat_site
    alice = site.user("alice")
    site.make_client().put_bucket_versioning(Bucket=site.source, VersioningConfiguration={"Status": "Enabled"})
    site.put("a/x", "a/x", "a/secret/y", "b/z")
    slug = site.workspace("old", {"": f"{site.source}/a"}, (alice, *BOTH))
    site.perform(SetAcl(f"{site.source}/a/secret", f"user:{alice}", {"deny": "1"}))
    client = site.sign_in(alice)
    versions = client.list_object_versions(Bucket=slug)["Versions"]
    assert [(each["Key"], each["IsLatest"]) for each in versions] == [("x", True), ("x", False)]
    first = versions[1]["VersionId"]
    assert client.get_object(Bucket=slug, Key="x", VersionId=first)["Body"].read() == b"a/x"
    assert code_of(client.get_object, Bucket=slug, Key="secret/y", VersionId=first) == "AccessDenied"
    client.delete_object(Bucket=slug, Key="x", VersionId=first)
    assert len(client.list_object_versions(Bucket=slug)["Versions"]) == 1
    enable = {"Bucket": slug, "VersioningConfiguration": {"Status": "Suspended"}}
    assert code_of(client.put_bucket_versioning, **enable) == "AccessDenied"


def test_what_a_datasource_encrypts_it_encrypts_for_users_too(flat_site):
    site = flat_site
    alice = site.user("alice")
    owner = site.make_client()
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    owner.put_bucket_encryption(Bucket=site.source, ServerSideEncryptionConfiguration={"Rules": [rule]})
    slug = site.workspace("sealed", {"": site.source}, (alice, *BOTH))
    client = site.sign_in(alice)
    client.put_object(Bucket=slug, Key="one", Body=b"one")
    client.put_object(Bucket=slug, Key="two", Body=b"two", ServerSideEncryption="AES256")
    client.copy_object(Bucket=slug, Key="three", CopySource={"Bucket": slug, "Key": "one"})
    upload = client.create_multipart_upload(Bucket=slug, Key="four")["UploadId"]
    arguments = {"Bucket": slug, "Key": "four", "UploadId": upload}
    part = client.upload_part(**arguments, PartNumber=1, Body=b"x" * 2000)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(**arguments, MultipartUpload=parts)
    for key in ("one", "two", "three", "four"):
        assert owner.head_object(Bucket=site.source, Key=key)["ServerSideEncryption"] == "AES256"
    assert client.get_object(Bucket=slug, Key="three")["Body"].read() == b"one"
    assert client.head_object(Bucket=slug, Key="four")["ContentLength"] == 2000


def test_what_can_not_be_encrypted_is_not_stored(structured_site):
    site = structured_site
    alice = site.user("alice")
    slug = site.workspace("plain", {"": site.source}, (alice, *BOTH))
    client = site.sign_in(alice)
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=slug, Key="x", Body=b"", ServerSideEncryption="AES256")
    assert caught.value.response["Error"]["Code"] == "NotImplemented"
    assert site.source not in str(caught.value.response)


def test_locks_hold_against_users_and_are_set_by_none(flat_site):
    site = flat_site
    alice = site.user("alice")
    owner = site.make_client()
    owner.put_bucket_versioning(Bucket=site.source, VersioningConfiguration={"Status": "Enabled"})
    owner.put_object_lock_configuration(
        Bucket=site.source,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )
    slug = site.workspace("locked", {"": site.source}, (alice, *BOTH))
    client = site.sign_in(alice)
    client.put_object(Bucket=slug, Key="x", Body=b"x")
    [version] = [each["VersionId"] for each in client.list_object_versions(Bucket=slug)["Versions"]]
    named = {"Bucket": slug, "Key": "x", "VersionId": version}
    assert code_of(client.delete_object, **named) == "AccessDenied"
    assert code_of(client.delete_object, **named, BypassGovernanceRetention=True) == "AccessDenied"
    hold = {"LegalHold": {"Status": "ON"}}
    assert code_of(client.put_object_legal_hold, **named, **hold) in {"AccessDenied", "InvalidRequest"}
    until = datetime(2100, 1, 1, tzinfo=UTC)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    assert code_of(client.put_object, Bucket=slug, Key="y", Body=b"", **lock) in {"AccessDenied", "InvalidRequest"}
    assert keys_of(client, slug) == ["x"]
    client.copy_object(Bucket=slug, Key="copy", CopySource={"Bucket": slug, "Key": "x"})
    client.put_object_tagging(Bucket=slug, Key="x", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    client.delete_object(Bucket=slug, Key="x")
    assert keys_of(client, slug) == ["copy"]
    assert len(owner.list_object_versions(Bucket=site.source, Prefix="x")["Versions"]) == 1


def test_nobody_opens_a_workspace_to_everybody(site):
    alice = site.user("alice")
    slug = site.workspace("acl", {"": site.source}, (alice, *BOTH))
    ownership = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    site.make_client().put_bucket_ownership_controls(Bucket=site.source, OwnershipControls=ownership)
    client = site.sign_in(alice)
    put = {"Bucket": slug, "Key": "x"}
    assert code_of(client.put_object, **put, Body=b"", ACL="public-read") == "AccessControlListNotSupported"
    client.put_object(**put, Body=b"")
    assert code_of(client.put_object_acl, **put, ACL="public-read") == "AccessControlListNotSupported"
    begin = {"Bucket": slug, "Key": "y", "ACL": "public-read"}
    assert code_of(client.create_multipart_upload, **begin) == "AccessControlListNotSupported"
    source = {"Bucket": slug, "Key": "x"}
    copy = {"Bucket": slug, "Key": "z", "CopySource": source, "ACL": "public-read"}
    assert code_of(client.copy_object, **copy) == "AccessControlListNotSupported"


def test_policies_of_the_datasource_deny_users_too(site):
    alice = site.user("alice")
    slug = site.workspace("policy", {"": site.source}, (alice, *BOTH))
    client = site.sign_in(alice)
    client.put_object(Bucket=slug, Key="kept/x", Body=b"")
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject",'
        f' "Resource": "arn:aws:s3:::{site.source}/kept/*",'
        ' "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}}]}'
    )
    site.make_client().put_bucket_policy(Bucket=site.source, Policy=policy)
    assert code_of(client.delete_object, Bucket=slug, Key="kept/x") == "AccessDenied"


def test_a_token_may_be_good_for_one_folder_alone(site):
    alice = site.user("alice")
    site.put("a/b/in.txt", "a/out.txt", "top.txt")
    slug = site.workspace("scope", {"": site.source}, (alice, *BOTH))
    other = site.workspace("elsewhere", {"": site.source}, (alice, *BOTH))
    client = site.sign_in(alice, scopes=(f"node:{site.uuid('a/b/')}:r",))
    assert keys_of(client, slug) == keys_of(client, other) == ["a/b/in.txt"]
    assert keys_of(client, slug, Delimiter="/") == ["a/"]
    assert client.get_object(Bucket=slug, Key="a/b/in.txt")["Body"].read() == b"a/b/in.txt"
    for key in ("a/out.txt", "top.txt"):
        assert code_of(client.get_object, Bucket=slug, Key=key) == "AccessDenied"
    assert code_of(client.put_object, Bucket=slug, Key="a/b/new", Body=b"") == "AccessDenied"
    writer = site.sign_in(alice, scopes=(f"node:{site.uuid('a/b/')}:rw", f"node:{site.uuid('top.txt')}:r"))
    writer.put_object(Bucket=slug, Key="a/b/new", Body=b"")
    assert keys_of(writer, slug) == ["a/b/in.txt", "a/b/new", "top.txt"]
    lost = site.sign_in(alice, scopes=("node:00000000-0000-7000-8000-000000000000:rw",))
    assert lost.list_buckets()["Buckets"] == []


def test_a_scope_gives_nothing_that_the_user_has_not(site):
    alice = site.user("alice")
    site.put("a/x", "b/y")
    slug = site.workspace("less", {"": f"{site.source}/a"}, (alice, "read"))
    client = site.sign_in(alice, scopes=(f"node:{site.uuid('a/')}:rw", f"node:{site.uuid('b/')}:rw"))
    assert keys_of(client, slug) == ["x"]
    assert code_of(client.put_object, Bucket=slug, Key="x", Body=b"") == "AccessDenied"


def test_rights_move_with_a_folder_at_once(site):
    alice = site.user("alice")
    site.put("open/secret/x", "other/y")
    slug = site.workspace("moves", {"": site.source}, (alice, *BOTH))
    site.perform(SetAcl(f"{site.source}/open/secret", f"user:{alice}", {"deny": "1"}))
    client = site.sign_in(alice)
    assert keys_of(client, slug) == ["other/y"]
    site.run(site.router.move_node(OWNER, site.source, "open/secret/", "other/moved/"))
    assert keys_of(client, slug) == ["other/y"]
    assert code_of(client.get_object, Bucket=slug, Key="other/moved/x") == "AccessDenied"
    site.run(site.router.move_node(OWNER, site.source, "other/", "renamed/"))
    assert keys_of(client, slug) == ["renamed/y"]
    client.put_object(Bucket=slug, Key="open/secret/z", Body=b"another folder")
    assert keys_of(client, slug) == ["open/secret/z", "renamed/y"]


def test_users_move_no_folder_that_keeps_something_from_them(flat_site):
    site = flat_site
    alice = site.user("alice")
    site.put("a/x", "b/secret/y", "b/z")
    slug = site.workspace("mv", {"": site.source}, (alice, *BOTH))
    site.perform(SetAcl(f"{site.source}/b/secret", f"user:{alice}", {"deny": "1"}))
    actor = Actor("alice", "user", user=site.perform(UnlockUser(alice)).uuid)
    moved = site.run(site.router.move_node(actor, slug, "a/", "c/"))
    assert moved.path == "c/"
    with pytest.raises(Exception, match="Access Denied"):
        site.run(site.router.move_node(actor, slug, "b/", "d/"))
    usage = site.run(site.router.usage(actor, slug, "c/"))
    assert usage.files == 1
    with pytest.raises(Exception, match="Access Denied"):
        site.run(site.router.usage(actor, slug, "b/"))
    children = site.run(site.router.list_children(actor, slug, "b/", limit=1))
    assert [node.path for node in children] == ["b/z"]


def test_tokens_end_when_they_are_revoked_and_with_their_user(site):
    alice = site.user("alice")
    slug = site.workspace("end", {"": site.source}, (alice, *BOTH))
    client = site.sign_in(alice)
    assert keys_of(client, slug) == []
    [token] = site.perform(ListTokens(alice))
    assert token.last_used > 0
    site.perform(LockUser(alice))
    assert code_of(client.list_buckets) == "InvalidAccessKeyId"
    site.perform(UnlockUser(alice))
    assert keys_of(client, slug) == []
    site.perform(RevokeToken(alice, token.id))
    assert code_of(client.list_buckets) == "InvalidAccessKeyId"


def test_signatures_are_verified(site):
    alice = site.user("alice")
    token = site.perform(CreateToken(alice)).secret
    wrong = site.make_client(access_key=token, secret_key="anything")
    assert code_of(wrong.list_buckets) == "SignatureDoesNotMatch"
    for text in (token[:-1], token + "x", token.upper(), token.rpartition("_")[0] + "_" + "a" * 43, "cmt_", "cmt__"):
        client = site.make_client(access_key=text, secret_key="gatewaysecret")
        assert code_of(client.list_buckets) == "InvalidAccessKeyId"


def test_key_pairs_sign_with_their_own_secret(site):
    alice = site.user("alice")
    slug = site.workspace("pair", {"": site.source}, (alice, *BOTH))
    pair = site.perform(CreateKeyPair(alice))
    client = site.make_client(access_key=pair.access_key, secret_key=pair.secret)
    client.put_object(Bucket=slug, Key="x", Body=b"by a pair")
    assert keys_of(client, slug) == ["x"]
    wrong = site.make_client(access_key=pair.access_key, secret_key="gatewaysecret")
    assert code_of(wrong.list_buckets) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls_are_as_good_as_the_key(site, version, fetch):
    alice = site.user("alice")
    slug = site.workspace("url", {"": site.source}, (alice, "read"))
    site.put("x")
    pair = site.perform(CreateKeyPair(alice))
    client = site.make_client(access_key=pair.access_key, secret_key=pair.secret, signature_version=version)
    for operation, key, status in (("get_object", "x", 200), ("put_object", "x", 403), ("get_object", "none", 404)):
        url = client.generate_presigned_url(operation, Params={"Bucket": slug, "Key": key})
        assert fetch(operation[:3].upper(), url)[0] == status
