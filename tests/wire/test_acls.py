"""Access control lists through real requests: kept, shown and enforced where ACLs count, refused where they do not."""

import pytest

EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
SIGNED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
DISABLED = (400, "AccessControlListNotSupported")


def own(s3, bucket, ownership="ObjectWriter"):
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": ownership}]})


def shown(answer):
    """What an ACL grants beside the owner's full control."""
    owner, *others = answer["Grants"]
    assert (owner["Grantee"]["ID"], owner["Permission"]) == (answer["Owner"]["ID"], "FULL_CONTROL")
    return [(grant["Grantee"]["URI"], grant["Permission"]) for grant in others]


@pytest.fixture
def open_bucket(s3, bucket):
    """A bucket in which ACLs count."""
    own(s3, bucket)
    return bucket


def test_an_object_is_as_open_as_its_acl(s3, fetch, open_bucket):
    bucket = open_bucket
    for key, acl in (("open", "public-read"), ("shut", "private"), ("signed", "authenticated-read")):
        s3.put_object(Bucket=bucket, Key=key, Body=b"hello", ACL=acl)
    assert shown(s3.get_object_acl(Bucket=bucket, Key="open")) == [(EVERYBODY, "READ")]
    assert shown(s3.get_object_acl(Bucket=bucket, Key="signed")) == [(SIGNED, "READ")]
    assert shown(s3.get_object_acl(Bucket=bucket, Key="shut")) == []
    assert fetch("GET", f"/{bucket}/open")[2] == b"hello"
    assert fetch("HEAD", f"/{bucket}/open")[0] == 200
    for method, target in (
        ("GET", "/shut"),
        ("GET", "/signed"),
        ("GET", "/missing"),
        ("GET", "/open?acl"),
        ("GET", "/open?tagging"),
        ("GET", ""),
        ("DELETE", "/open"),
        ("PUT", "/open?acl"),
    ):
        headers = {"x-amz-acl": "public-read"} if method == "PUT" else {}
        assert fetch(method, f"/{bucket}{target}", headers=headers)[0] == 403, target
    s3.put_object_acl(Bucket=bucket, Key="open", ACL="private")
    s3.put_object_acl(Bucket=bucket, Key="shut", GrantRead=f'uri="{EVERYBODY}"')
    assert fetch("GET", f"/{bucket}/open")[0] == 403
    assert fetch("GET", f"/{bucket}/shut")[0] == 200
    s3.put_object_tagging(Bucket=bucket, Key="shut", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert fetch("GET", f"/{bucket}/shut")[0] == 200, "tags leave the ACL alone"
    s3.put_object(Bucket=bucket, Key="shut", Body=b"new")
    assert fetch("GET", f"/{bucket}/shut")[0] == 403, "a new object has an ACL of its own"


def test_copies_and_uploads_in_parts_have_acls_of_their_own(s3, fetch, open_bucket):
    bucket = open_bucket
    s3.put_object(Bucket=bucket, Key="open", Body=b"hello", ACL="public-read")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/open")
    s3.copy_object(Bucket=bucket, Key="open copy", CopySource=f"{bucket}/open", ACL="public-read")
    assert fetch("GET", f"/{bucket}/copy")[0] == 403
    assert fetch("GET", f"/{bucket}/open%20copy")[0] == 200
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big", ACL="public-read")["UploadId"]
    part = {"Bucket": bucket, "Key": "big", "UploadId": upload}
    etag = s3.upload_part(**part, PartNumber=1, Body=b"hello")["ETag"]
    s3.complete_multipart_upload(**part, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert fetch("GET", f"/{bucket}/big")[0] == 200


def test_a_bucket_is_as_open_as_its_acl(s3, refuse, fetch, open_bucket):
    bucket = open_bucket
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello")
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert shown(s3.get_bucket_acl(Bucket=bucket)) == [(EVERYBODY, "READ")]
    assert fetch("GET", f"/{bucket}")[0] == 200
    assert fetch("GET", f"/{bucket}/x")[0] == 403, "to list is not to read"
    assert fetch("GET", f"/{bucket}/missing")[0] == 404, "who may list knows that already"
    assert fetch("PUT", f"/{bucket}/y", b"evil")[0] == 403
    read = s3.get_bucket_acl(Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy={"Owner": read["Owner"], "Grants": read["Grants"]})
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    assert fetch("PUT", f"/{bucket}/y", b"good")[0] == 200
    assert fetch("DELETE", f"/{bucket}/y")[0] == 204
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    refused = refuse("put_bucket_ownership_controls", Bucket=bucket, OwnershipControls=controls)
    assert refused == (400, "InvalidBucketAclWithObjectOwnership")
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls)
    assert fetch("GET", f"/{bucket}")[0] == 403


def test_where_acls_are_disabled_they_neither_count_nor_can_be_set(s3, refuse, fetch, open_bucket):
    bucket = open_bucket
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello", ACL="public-read")
    own(s3, bucket, "BucketOwnerEnforced")
    assert fetch("GET", f"/{bucket}/x")[0] == 403
    assert shown(s3.get_object_acl(Bucket=bucket, Key="x")) == []
    assert refuse("put_object", Bucket=bucket, Key="y", Body=b"", ACL="public-read") == DISABLED
    assert refuse("put_object_acl", Bucket=bucket, Key="x", ACL="public-read") == DISABLED
    assert refuse("put_bucket_acl", Bucket=bucket, ACL="public-read") == DISABLED
    assert refuse("create_multipart_upload", Bucket=bucket, Key="y", ACL="public-read") == DISABLED
    s3.put_object(Bucket=bucket, Key="y", Body=b"", ACL="bucket-owner-full-control")


def test_new_buckets_with_acls(s3, refuse, fetch, bucket):
    name = bucket + "-new"
    refused = (400, "InvalidBucketAclWithObjectOwnership")
    assert refuse("create_bucket", Bucket=name, ACL="public-read") == refused
    assert refuse("head_bucket", Bucket=name)[0] == 404
    s3.create_bucket(Bucket=name, ACL="public-read", ObjectOwnership="BucketOwnerPreferred")
    assert fetch("GET", f"/{name}")[0] == 200
    assert shown(s3.get_bucket_acl(Bucket=name)) == [(EVERYBODY, "READ")]


def test_a_public_access_block_refuses_and_ignores_acls(s3, refuse, fetch, open_bucket):
    bucket = open_bucket
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello", ACL="public-read")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    assert fetch("GET", f"/{bucket}/x")[0] == 200
    denied = (403, "AccessDenied")
    assert refuse("put_object", Bucket=bucket, Key="y", Body=b"", ACL="public-read") == denied
    assert refuse("put_object_acl", Bucket=bucket, Key="x", ACL="public-read-write") == denied
    assert refuse("put_bucket_acl", Bucket=bucket, ACL="public-read") == denied
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert fetch("GET", f"/{bucket}/x")[0] == 403


def test_the_configuration_is_shown_as_an_acl(s3, endpoint, bucket):
    for anonymous, granted in (("read", ["READ"]), ("write", ["READ", "WRITE"])):
        name = f"{bucket}-{anonymous}"
        endpoint.make_bucket(name, anonymous=anonymous)
        s3.put_object(Bucket=name, Key="x", Body=b"")
        acl = s3.get_bucket_acl(Bucket=name)
        assert [permission for _, permission in shown(acl)] == granted
        assert shown(s3.get_object_acl(Bucket=name, Key="x")) == [(EVERYBODY, "READ")]
        s3.put_bucket_acl(Bucket=name, AccessControlPolicy={"Owner": acl["Owner"], "Grants": acl["Grants"]})


@pytest.mark.parametrize(
    ("acl", "expected"),
    [
        ({"ACL": "nonsense"}, (400, "InvalidArgument")),
        ({"ACL": "aws-exec-read"}, (501, "NotImplemented")),
        ({"ACL": "private", "GrantRead": f"uri={EVERYBODY}"}, (400, "InvalidRequest")),
        ({"GrantFullControl": f"uri={EVERYBODY}"}, (501, "NotImplemented")),
        ({"GrantRead": "id=somebody"}, (400, "InvalidArgument")),
        ({"GrantRead": "emailAddress=a@example.com"}, (400, "InvalidArgument")),
        ({"GrantRead": "everybody"}, (400, "InvalidArgument")),
        ({"GrantRead": f"uri={EVERYBODY}-else"}, (400, "InvalidArgument")),
    ],
)
def test_acls_that_can_not_be_kept(s3, refuse, open_bucket, acl, expected):
    assert refuse("put_object", Bucket=open_bucket, Key="x", Body=b"", **acl) == expected
    s3.put_object(Bucket=open_bucket, Key="x", Body=b"")
    assert refuse("put_object_acl", Bucket=open_bucket, Key="x", **acl) == expected


def test_documents_that_are_no_acls(signer, endpoint, s3, open_bucket):
    s3.put_object(Bucket=open_bucket, Key="x", Body=b"")
    grant = "<Grant><Grantee><URI>{}</URI></Grantee><Permission>{}</Permission></Grant>"
    for inner, code in (
        ("", "MalformedACLError"),
        ("<AccessControlList>" + grant.format(EVERYBODY, "EVERYTHING") + "</AccessControlList>", "MalformedACLError"),
        ("<AccessControlList><Grant/></AccessControlList>", "MalformedXML"),
        ("<AccessControlList>" + grant.format("x", "READ") + "</AccessControlList>", "InvalidArgument"),
        ("<AccessControlList>" + grant.format(EVERYBODY, "WRITE") + "</AccessControlList>", "NotImplemented"),
    ):
        body = f"<AccessControlPolicy>{inner}</AccessControlPolicy>".encode()
        head = signer.head("PUT", f"/{open_bucket}/x?acl", {"content-length": str(len(body))}, unsigned=CLOSE)
        assert f"<Code>{code}</Code>".encode() in endpoint.talk(head + body), inner


CLOSE = ("Connection: close",)
