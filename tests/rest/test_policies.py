"""What the policy of a datasource denies to everybody is denied over REST as it is over S3."""

import json

import pytest
from msgspec import structs

from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.users import Profile

OWNER = Actor("owner")


@pytest.fixture
def ours(flat_site):
    site = flat_site
    site.put("in/secret/x", "in/open/y")
    alice = site.user("alice")
    return site, site.workspace("ws", {"": f"{site.source}/in"}, (alice, "read", "write")), site.token(alice)


def deny(site, action, resource="*", **condition):
    """Put a policy that denies this to everybody."""
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": f"s3:{action}",
        "Resource": [f"arn:aws:s3:::{site.source}", f"arn:aws:s3:::{site.source}/{resource}"],
    }
    if condition:
        statement["Condition"] = condition
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    change = site.server.core.router.change_settings(
        OWNER, site.source, "s3:PutBucketPolicy", lambda old: structs.replace(old, policy=policy)
    )
    site.server.run(change)


def paths(site, token, folder):
    answer = site.call("POST", "/tree/stats", token, {"NodePaths": [f"{folder}/*"]})
    return [node["Path"] for node in answer.json.get("Nodes", [])]


def test_listings_by_prefix_in_the_datasource(ours):
    site, slug, token = ours
    deny(site, "ListBucket", StringLike={"s3:prefix": "in/secret/*"})
    assert paths(site, token, f"{slug}/open") == [f"{slug}/open/y"]
    assert paths(site, token, slug) == [f"{slug}/open", f"{slug}/secret"]
    assert paths(site, token, f"{slug}/secret") == []
    admin = site.token(site.user("root", Profile.ADMIN))
    listed = site.call("POST", "/tree/admin/list", admin, {"Node": {"Path": f"{site.source}/in/secret"}})
    assert "Children" not in listed.json


@pytest.mark.parametrize(
    "condition",
    [
        {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
        {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
        {"NumericGreaterThan": {"aws:EpochTime": "1"}},
        {"Bool": {"aws:SecureTransport": "false"}},
        {"StringLike": {"aws:UserAgent": "my*"}},
        {"StringEquals": {"aws:Referer": "https://example.org/"}},
    ],
    ids=lambda condition: next(iter(condition)),
)
def test_circumstances(ours, condition):
    site, slug, token = ours
    deny(site, "GetObject", "in/secret/*", **condition)
    headers = {"User-Agent": "my client", "Referer": "https://example.org/"}
    for path, status in (("open/y", 200), ("secret/x", 403)):
        assert site.call("GET", f"/io/{slug}/{path}", token, **headers).status == status
        assert site.call("GET", f"/tree/stat/{slug}/{path}", token, **headers).status == status


def test_writing(ours):
    site, slug, token = ours
    deny(site, "PutObject", "in/secret/*")
    assert site.call("PUT", f"/io/{slug}/secret/x", token, b"new").status == 403
    assert site.call("POST", f"/io/{slug}/secret/x", token, Upload_Length="5").status == 403
    made = {"Nodes": [{"Path": f"{slug}/secret/new", "Type": "LEAF"}]}
    assert site.call("POST", "/tree/create", token, made).status == 403
    assert site.call("PUT", f"/io/{slug}/open/new", token, b"new").status == 200


def test_a_datasource_that_can_not_be_looked_at_is_listed(ours):
    site, slug, token = ours
    deny(site, "GetObject")
    admin = site.token(site.user("root", Profile.ADMIN))
    roots = site.call("POST", "/tree/admin/list", admin, {"Node": {"Path": "/"}}).json["Children"]
    mine = next(each for each in roots if each["Path"] == site.source)
    assert mine["Uuid"] == f"DATASOURCE:{site.source}"
    assert "MTime" not in mine
    assert site.call("POST", "/tree/admin/stat", admin, {"Node": {"Path": site.source}}).status == 403
    listed = site.call("POST", "/tree/stats", token, {"NodePaths": ["/*"]}).json["Nodes"]
    assert slug in [node["Path"] for node in listed]
