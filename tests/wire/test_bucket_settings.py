"""Settings of buckets through real requests: tags, CORS, policies, public access, ownership."""

import json

import pytest

RULES = {
    "CORSRules": [
        {
            "ID": "app",
            "AllowedMethods": ["GET", "PUT"],
            "AllowedOrigins": ["https://*.example.com", "https://example.org"],
            "AllowedHeaders": ["x-amz-*", "Content-Type"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 600,
        },
        {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]},
    ]
}
APP = "https://app.example.com"


def allow(bucket, action="s3:GetObject", resource="/*", **more):
    arn = f"arn:aws:s3:::{bucket}{resource}"
    return {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": arn} | more


def put_policy(s3, bucket, *statements):
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))


def test_tags_of_a_bucket(s3, refuse, bucket):
    tags = [{"Key": f"k{n}", "Value": "ü <&>"} for n in range(50)]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    many = {"TagSet": [*tags, {"Key": "one more", "Value": ""}]}
    assert refuse("put_bucket_tagging", Bucket=bucket, Tagging=many) == (400, "BadRequest")
    twice = {"TagSet": tags[:1] * 2}
    assert refuse("put_bucket_tagging", Bucket=bucket, Tagging=twice) == (400, "InvalidTag")
    s3.delete_bucket_tagging(Bucket=bucket)
    assert refuse("get_bucket_tagging", Bucket=bucket) == (404, "NoSuchTagSet")


def test_settings_go_with_their_bucket(s3, refuse, endpoint, bucket):
    name = bucket + "-again"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    put_policy(s3, name, allow(name))
    s3.delete_bucket(Bucket=name)
    assert endpoint.core.settings.buckets.find(name) is None
    s3.create_bucket(Bucket=name)
    assert refuse("get_bucket_tagging", Bucket=name) == (404, "NoSuchTagSet")
    assert refuse("get_bucket_policy", Bucket=name) == (404, "NoSuchBucketPolicy")


def test_cors_rules_are_kept_and_enforced(s3, fetch, bucket):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=RULES)
    kept = s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
    assert kept[0]["AllowedOrigins"] == RULES["CORSRules"][0]["AllowedOrigins"]
    assert kept[0]["AllowedHeaders"] == ["x-amz-*", "content-type"]
    assert (kept[0]["ID"], kept[0]["MaxAgeSeconds"], kept[0]["ExposeHeaders"]) == ("app", 600, ["ETag"])
    status, headers, _ = fetch("GET", f"/{bucket}/missing", headers={"Origin": APP})
    assert status == 403, "an error is seen by the page as well"
    assert headers["Access-Control-Allow-Origin"] == APP
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Access-Control-Expose-Headers"] == "ETag"
    assert "Origin" in headers["Vary"]
    _, headers, _ = fetch("GET", f"/{bucket}/missing", headers={"Origin": "https://elsewhere"})
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in headers
    _, headers, _ = fetch("PUT", f"/{bucket}/x", b"", {"Origin": "https://elsewhere"})
    assert "Access-Control-Allow-Origin" not in headers
    assert "Origin" in headers["Vary"], "a cache must not give this answer to other pages"
    s3.delete_bucket_cors(Bucket=bucket)
    _, headers, _ = fetch("GET", f"/{bucket}/missing", headers={"Origin": APP})
    assert not [name for name in headers if name in {"Vary", "Access-Control-Allow-Origin"}]


@pytest.mark.parametrize(
    ("origin", "method", "asked", "expected"),
    [
        (APP, "PUT", "X-Amz-Date, content-type", 200),
        ("https://example.org", "GET", "", 200),
        ("https://elsewhere", "GET", "", 200),
        ("https://elsewhere", "PUT", "", 403),
        ("https://elsewhere", "GET", "x-amz-date", 403),
        (APP, "PUT", "authorization", 403),
        (APP, "DELETE", "", 403),
        ("https://example.com", "PUT", "", 403),
        (APP, "PATCH", "", 400),
        (APP, "", "", 400),
        ("", "GET", "", 400),
        (APP, "PUT", ",".join(f"x-amz-{n}" for n in range(101)), 400),
    ],
)
def test_preflights(s3, fetch, bucket, origin, method, asked, expected):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=RULES)
    sent = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": asked,
    }
    sent = {name: value for name, value in sent.items() if value}
    for target in (f"/{bucket}/a/key?uploadId=x&partNumber=1", f"/{bucket}"):
        status, headers, body = fetch("OPTIONS", target, headers=sent)
        assert status == expected, body
        if status == 200:
            assert headers["Access-Control-Allow-Origin"] in {origin, "*"}
            assert headers.get("Access-Control-Allow-Headers", "") == asked.lower()
            assert method in headers["Access-Control-Allow-Methods"]
        elif status == 403:
            assert b"<Code>AccessForbidden</Code>" in body
            assert "Access-Control-Allow-Origin" not in headers


def test_a_preflight_of_a_bucket_without_rules_is_refused(fetch, bucket):
    sent = {"Origin": APP, "Access-Control-Request-Method": "GET"}
    for name in (bucket, "no-such-bucket"):
        status, _, body = fetch("OPTIONS", f"/{name}/x", headers=sent)
        assert (status, b"CORS is not enabled" in body) == (403, True)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"AllowedMethods": ["PATCH"]}, "InvalidRequest"),
        ({"AllowedMethods": []}, "MalformedXML"),
        ({"AllowedOrigins": []}, "MalformedXML"),
        ({"AllowedOrigins": ["*.*"]}, "InvalidRequest"),
        ({"AllowedHeaders": ["*-*"]}, "InvalidRequest"),
        ({"ExposeHeaders": ["*"]}, "InvalidRequest"),
        ({"ExposeHeaders": ["a\nb"]}, "MalformedXML"),
        ({"MaxAgeSeconds": -1}, "MalformedXML"),
        ({"ID": "x" * 256}, "InvalidRequest"),
    ],
)
def test_cors_rules_that_can_not_be(refuse, bucket, change, code):
    rules = {"CORSRules": [RULES["CORSRules"][0] | change]}
    assert refuse("put_bucket_cors", Bucket=bucket, CORSConfiguration=rules) == (400, code)
    assert refuse("get_bucket_cors", Bucket=bucket) == (404, "NoSuchCORSConfiguration")


def test_there_is_an_end_to_rules(refuse, bucket):
    many = {"CORSRules": RULES["CORSRules"][1:] * 101}
    assert refuse("put_bucket_cors", Bucket=bucket, CORSConfiguration=many) == (400, "MalformedXML")


def test_a_policy_opens_what_it_names_and_no_more(s3, refuse, fetch, bucket):
    for key in ("public/x", "secret"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"hello", Tagging="a=b")
    put_policy(
        s3,
        bucket,
        allow(bucket, resource="/public/*"),
        allow(bucket, "s3:ListBucket", "", Condition={"StringLike": {"s3:prefix": "public/*"}}),
    )
    assert fetch("GET", f"/{bucket}/public/x")[2] == b"hello"
    assert fetch("HEAD", f"/{bucket}/public/x")[0] == 200
    assert fetch("GET", f"/{bucket}?list-type=2&prefix=public/")[0] == 200
    for method, target in (
        ("GET", f"/{bucket}/secret"),
        ("GET", f"/{bucket}/public/x?tagging"),
        ("GET", f"/{bucket}/public/missing"),
        ("GET", f"/{bucket}"),
        ("GET", f"/{bucket}?policy"),
        ("GET", f"/{bucket}?uploads&prefix=public/"),
        ("PUT", f"/{bucket}/public/y"),
        ("DELETE", f"/{bucket}/public/x"),
        ("PUT", f"/{bucket}?policy"),
        ("DELETE", f"/{bucket}?policy"),
    ):
        assert fetch(method, target, b"" if method == "PUT" else None)[0] == 403, target
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    s3.delete_bucket_policy(Bucket=bucket)
    assert fetch("GET", f"/{bucket}/public/x")[0] == 403


def test_a_denial_binds_the_owner_but_for_the_policy_itself(s3, refuse, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello")
    arns = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    put_policy(s3, bucket, {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": arns})
    denied = (403, "AccessDenied")
    assert refuse("get_object", Bucket=bucket, Key="x") == denied
    assert refuse("put_object", Bucket=bucket, Key="x", Body=b"") == denied
    assert refuse("list_objects_v2", Bucket=bucket) == denied
    assert refuse("copy_object", Bucket=bucket, Key="y", CopySource=f"{bucket}/x") == denied
    assert refuse("create_multipart_upload", Bucket=bucket, Key="y") == denied
    assert refuse("get_bucket_cors", Bucket=bucket) == denied
    assert refuse("delete_bucket", Bucket=bucket) == denied
    assert "Deny" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    assert s3.get_bucket_policy(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/json"
    s3.delete_bucket_policy(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="x")["Body"].read() == b"hello"


def test_a_denial_of_a_source_binds_copies(s3, refuse, endpoint, bucket):
    other = bucket + "-source"
    endpoint.make_bucket(other)
    s3.put_object(Bucket=other, Key="x", Body=b"hello")
    put_policy(s3, other, allow(other, Effect="Deny"))
    source = f"{other}/x"
    assert refuse("copy_object", Bucket=bucket, Key="y", CopySource=source) == (403, "AccessDenied")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="y")["UploadId"]
    part = {"Bucket": bucket, "Key": "y", "UploadId": upload, "PartNumber": 1}
    assert refuse("upload_part_copy", **part, CopySource=source) == (403, "AccessDenied")


def test_deletions_of_many_are_judged_one_by_one(s3, bucket):
    for key in ("keep/x", "go/x"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    put_policy(s3, bucket, allow(bucket, "s3:DeleteObject", "/keep/*", Effect="Deny"))
    objects = [{"Key": "keep/x"}, {"Key": "go/x"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert [each["Key"] for each in answer["Deleted"]] == ["go/x"]
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [("keep/x", "AccessDenied")]


def test_uploads_in_parts_are_judged_by_their_key(s3, fetch, bucket):
    put_policy(s3, bucket, allow(bucket, "s3:PutObject", "/drop/*"))
    status, _, body = fetch("POST", f"/{bucket}/drop/x?uploads", b"")
    assert status == 200, body
    upload = body.partition(b"<UploadId>")[2].partition(b"<")[0].decode()
    assert fetch("PUT", f"/{bucket}/drop/x?partNumber=1&uploadId={upload}", b"hello")[0] == 200
    assert fetch("DELETE", f"/{bucket}/drop/x?uploadId={upload}")[0] == 403
    hidden = s3.create_multipart_upload(Bucket=bucket, Key="secret")["UploadId"]
    assert fetch("PUT", f"/{bucket}/secret?partNumber=1&uploadId={hidden}", b"evil")[0] == 403
    assert fetch("POST", f"/{bucket}/secret?uploads", b"")[0] == 403


def test_who_may_write_may_not_tag_or_publish_for_that(s3, fetch, bucket):
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    put_policy(s3, bucket, allow(bucket, "s3:PutObject"))
    assert fetch("PUT", f"/{bucket}/x", b"")[0] == 200
    assert fetch("PUT", f"/{bucket}/x", b"", {"x-amz-tagging": "a=b"})[0] == 403
    assert fetch("POST", f"/{bucket}/x?uploads", b"", {"x-amz-tagging": "a=b"})[0] == 403
    assert fetch("PUT", f"/{bucket}/x", b"", {"x-amz-acl": "public-read"})[0] == 403
    put_policy(s3, bucket, allow(bucket, ["s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAcl"]))
    for headers in ({"x-amz-tagging": "a=b"}, {"x-amz-acl": "public-read"}):
        assert fetch("PUT", f"/{bucket}/x", b"", headers)[0] == 200


def test_conditions_on_the_request(s3, fetch, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello")
    target = f"/{bucket}/x"
    for condition, headers, expected in (
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {}, 200),
        ({"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {}, 403),
        ({"StringLike": {"aws:Referer": "https://example.com/*"}}, {"Referer": "https://example.com/page"}, 200),
        ({"StringLike": {"aws:Referer": "https://example.com/*"}}, {}, 403),
        ({"Bool": {"aws:SecureTransport": "true"}}, {}, 403),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, {}, 403),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, {}, 200),
    ):
        put_policy(s3, bucket, allow(bucket, Condition=condition))
        assert fetch("GET", target, headers=headers)[0] == expected, condition
    put_policy(s3, bucket, allow(bucket, Condition={"IpAddress": {"aws:SourceIp": "127.0.0.1"}}))
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False


def test_public_access_can_be_blocked(s3, refuse, fetch, endpoint, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"hello")
    put_policy(s3, bucket, allow(bucket))
    assert fetch("GET", f"/{bucket}/x")[0] == 200
    block = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == block
    assert fetch("GET", f"/{bucket}/x")[0] == 403
    document = json.dumps({"Statement": allow(bucket, "s3:GetObject*")})
    assert refuse("put_bucket_policy", Bucket=bucket, Policy=document) == (403, "AccessDenied")
    s3.delete_public_access_block(Bucket=bucket)
    assert fetch("GET", f"/{bucket}/x")[0] == 200
    shut = bucket + "-shut"
    endpoint.make_bucket(shut, anonymous="read")
    assert fetch("GET", f"/{shut}")[0] == 200
    s3.put_public_access_block(Bucket=shut, PublicAccessBlockConfiguration=block)
    assert fetch("GET", f"/{shut}")[0] == 403


def test_ownership(s3, refuse, bucket):
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls)
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == controls
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    assert refuse("get_bucket_ownership_controls", Bucket=bucket) == (404, "OwnershipControlsNotFoundError")
    wrong = {"Rules": [{"ObjectOwnership": "Nobody"}]}
    assert refuse("put_bucket_ownership_controls", Bucket=bucket, OwnershipControls=wrong) == (400, "MalformedXML")


@pytest.mark.parametrize(
    "policy",
    [
        "[" * 20_000,
        '{"Statement":' + "[" * 5_000,
        '{"Version":"2012-10-17","Version":"2012-10-17"}',
        "x" * 20_481,
        "x" * 3_000_000,
        "\ufeff{}",
        "null",
    ],
    ids=["deep", "deep below", "twice", "large", "huge", "mark", "null"],
)
@pytest.mark.timeout(60)
def test_hostile_policies_are_refused_in_time(refuse, bucket, policy):
    code = "EntityTooLarge" if len(policy) > 2_000_000 else "MalformedPolicy"
    assert refuse("put_bucket_policy", Bucket=bucket, Policy=policy) == (400, code)


def test_hostile_documents_are_refused(refuse, signer, endpoint, bucket):
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><CORSConfiguration>&b;</CORSConfiguration>'
    for body in (bomb, b"<a>" * 5000, b"\x00", b"<CORSConfiguration/>", b""):
        for sub in ("cors", "tagging", "publicAccessBlock", "ownershipControls"):
            if sub == "publicAccessBlock" and body.endswith(b"/>"):
                continue
            head = signer.head("PUT", f"/{bucket}?{sub}", {"content-length": str(len(body))}, unsigned=CLOSE)
            assert b"<Code>MalformedXML</Code>" in endpoint.talk(head + body), (sub, body[:20])


CLOSE = ("Connection: close",)
