"""The policy language: what is refused, and what a policy says about a request."""

import json

import pytest

from cellsmono.data.policy.document import arn_of, parse_policy
from cellsmono.data.policy.evaluation import Decision, Who, evaluate, needs_tags
from cellsmono.data.policy.request import Known
from cellsmono.data.policy.wildcards import compile_pattern
from cellsmono.kernel.errors import Invalid

OBJECTS, BUCKET, OWNER = "arn:aws:s3:::b/*", "arn:aws:s3:::b", "arn:aws:iam::000000000000:root"


def make(**changes):
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": OBJECTS} | changes
    return {name: value for name, value in statement.items() if value is not None}


def parse(*statements, **more):
    return parse_policy(json.dumps({"Version": "2012-10-17", "Statement": list(statements)} | more), "b")


def ask(policy, action="s3:GetObject", path="x", who=Who.ANYBODY, asked=(), existing=(), **values):
    values = {name.replace("_", ":", 1).replace("__", "-"): value for name, value in values.items()}
    known = Known(values, dict(asked), None if existing is None else dict(existing))
    return evaluate(policy, who=who, action=action, resource=arn_of("b", path), known=known).value


@pytest.mark.parametrize(
    ("statement", "question", "expected"),
    [
        ({}, {}, "allow"),
        ({}, {"who": Who.OWNER}, "allow"),
        ({}, {"action": "s3:PutObject"}, "none"),
        ({"Action": "S3:getobject"}, {}, "allow"),
        ({"Action": "s3:Get*"}, {"action": "s3:GetObjectTagging"}, "allow"),
        ({"Action": "s3:?etObject"}, {}, "allow"),
        ({"Action": "*"}, {"action": "s3:PutObject"}, "allow"),
        ({"Action": None, "NotAction": "s3:GetObject"}, {}, "none"),
        ({"Action": None, "NotAction": "s3:GetObject"}, {"action": "s3:PutObject"}, "allow"),
        ({"Principal": {"AWS": "*"}}, {}, "allow"),
        ({"Principal": {"AWS": OWNER}}, {}, "none"),
        ({"Principal": {"AWS": [OWNER]}}, {"who": Who.OWNER}, "allow"),
        ({"Principal": {"AWS": "000000000000"}}, {"who": Who.OWNER}, "allow"),
        ({"Effect": "Deny", "Principal": {"AWS": OWNER}}, {"who": Who.USER}, "deny"),
        ({"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": OWNER}}, {}, "deny"),
        ({"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": OWNER}}, {"who": Who.USER}, "deny"),
        ({"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": OWNER}}, {"who": Who.OWNER}, "none"),
        ({"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": ["*"]}}, {}, "none"),
        ({"Effect": "Deny", "Principal": None, "NotPrincipal": "*"}, {}, "none"),
        ({"Effect": "Deny"}, {}, "deny"),
        ({"Resource": "arn:aws:s3:::b/a/*.txt"}, {"path": "a/b/c.txt"}, "allow"),
        ({"Resource": "arn:aws:s3:::b/a/*.txt"}, {"path": "b/a/c.txt"}, "none"),
        ({"Resource": "arn:aws:s3:::b/a"}, {"path": "ab"}, "none"),
        ({"Resource": "arn:aws:s3:::b/A"}, {"path": "a"}, "none"),
        ({"Resource": None, "NotResource": "arn:aws:s3:::b/a"}, {"path": "a"}, "none"),
        ({"Resource": None, "NotResource": "arn:aws:s3:::b/a"}, {"path": "x"}, "allow"),
        ({"Action": "s3:ListBucket", "Resource": BUCKET}, {"action": "s3:ListBucket", "path": ""}, "allow"),
        ({"Action": "s3:*", "Resource": OBJECTS}, {"action": "s3:ListBucket", "path": ""}, "none"),
    ],
)
def test_what_a_statement_is_about(statement, question, expected):
    assert ask(parse(make(**statement)), **question) == expected


LISTING = {"s3:prefix", "s3:delimiter", "s3:max-keys"}


@pytest.mark.parametrize(
    ("condition", "values", "is_met"),
    [
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws_sourceip": "10.1.2.3"}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws_sourceip": "11.1.2.3"}, False),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws_sourceip": "::ffff:10.1.2.3"}, True),
        ({"IpAddress": {"aws:SourceIp": "fd00::/8"}}, {"aws_sourceip": "fd00::1"}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws_sourceip": "not one"}, False),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {}, False),
        ({"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "11.0.0.0/8"]}}, {"aws_sourceip": "11.1.2.3"}, False),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws_sourceip": "11.1.2.3"}, True),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {}, True),
        ({"StringEquals": {"s3:prefix": ["a/", ""]}}, {"s3_prefix": ""}, True),
        ({"StringEquals": {"s3:prefix": "a/"}}, {"s3_prefix": "A/"}, False),
        ({"StringEqualsIgnoreCase": {"s3:prefix": "a/"}}, {"s3_prefix": "A/"}, True),
        ({"StringNotEquals": {"s3:prefix": "a/"}}, {"s3_prefix": "a/"}, False),
        ({"StringNotEquals": {"s3:prefix": "a/"}}, {}, True),
        ({"StringEqualsIfExists": {"s3:prefix": "a/"}}, {}, True),
        ({"StringEqualsIfExists": {"s3:prefix": "a/"}}, {"s3_prefix": "b/"}, False),
        ({"StringLike": {"aws:Referer": "https://*.x/?"}}, {"aws_referer": "https://a.x/1"}, True),
        ({"StringNotLike": {"aws:Referer": "https://*.x/*"}}, {"aws_referer": "https://a.x/1"}, False),
        ({"StringLike": {"S3:PREFIX": "a"}, "StringEquals": {"s3:delimiter": "/"}}, {"s3_prefix": "a"}, False),
        ({"Bool": {"aws:SecureTransport": False}}, {"aws_securetransport": "false"}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, {"aws_securetransport": "false"}, False),
        ({"NumericLessThanEquals": {"s3:max-keys": 10}}, {"s3_max__keys": "10"}, True),
        ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, {"s3_max__keys": "11"}, False),
        ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, {"s3_max__keys": "many"}, False),
        ({"DateLessThan": {"aws:CurrentTime": "2030-01-01"}}, {"aws_currenttime": "2029-12-31T23:59:59Z"}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2030-01-01"}}, {"aws_currenttime": "2030-01-01T00:00:00Z"}, False),
        ({"DateGreaterThan": {"aws:EpochTime": "1000"}}, {"aws_epochtime": "1001"}, True),
        ({"Null": {"s3:x-amz-acl": "true"}}, {}, True),
        ({"Null": {"s3:x-amz-acl": "true"}}, {"s3_x__amz__acl": "private"}, False),
        ({"Null": {"s3:x-amz-acl": False}}, {"s3_x__amz__acl": "private"}, True),
        ({"Null": {"s3:x-amz-acl": "false"}}, {}, False),
    ],
)
def test_conditions(condition, values, is_met):
    keys = [key.lower() for block in condition.values() for key in block]
    action = "s3:ListBucket" if keys[0] in LISTING else "s3:PutObject"
    some = {"Action": action, "Resource": [OBJECTS, BUCKET], "Condition": condition}
    assert ask(parse(make(**some)), action, **values) == ("allow" if is_met else "none")
    assert ask(parse(make(Effect="Deny", **some)), action, **values) == ("deny" if is_met else "none")


SET = ["a", "b*"]


@pytest.mark.parametrize(
    ("operator", "tags", "is_met"),
    [
        ("ForAllValues:StringLike", "a", True),
        ("ForAllValues:StringLike", "a bb", True),
        ("ForAllValues:StringLike", "a c", False),
        ("ForAllValues:StringLike", "", True),
        ("ForAllValues:StringLikeIfExists", "", True),
        ("ForAllValues:StringEquals", "bb", False),
        ("ForAllValues:StringNotLike", "c d", True),
        ("ForAllValues:StringNotLike", "c a", False),
        ("ForAllValues:StringNotLike", "", True),
        ("ForAnyValue:StringLike", "c a", True),
        ("ForAnyValue:StringLike", "c d", False),
        ("ForAnyValue:StringLike", "", False),
        ("ForAnyValue:StringLikeIfExists", "", True),
        ("ForAnyValue:StringLikeIfExists", "c", False),
        ("ForAnyValue:StringNotLike", "a c", True),
        ("ForAnyValue:StringNotLike", "a bb", False),
        ("ForAnyValue:StringNotLike", "", False),
        ("ForAnyValue:StringEqualsIgnoreCase", "c A", True),
        ("Null", "", False),
        ("Null", "c", True),
    ],
)
def test_operators_on_sets(operator, tags, is_met):
    condition = {operator: {"s3:RequestObjectTagKeys": "false" if operator == "Null" else SET}}
    for action in ("s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectVersionTagging"):
        policy = parse(make(Action=action, Condition=condition))
        assert ask(policy, action, asked=[(tag, "x") for tag in tags.split()]) == ("allow" if is_met else "none")


@pytest.mark.parametrize(
    ("operator", "value", "is_met"),
    [
        ("ForAllValues:StringEquals", "a", True),
        ("ForAllValues:StringEquals", "c", False),
        ("ForAllValues:StringEquals", None, True),
        ("ForAnyValue:StringEquals", "a", True),
        ("ForAnyValue:StringEquals", None, False),
        ("ForAnyValue:StringNotEquals", None, False),
        ("ForAllValues:NumericLessThan", None, True),
    ],
)
def test_operators_on_sets_with_a_key_of_one_value(operator, value, is_met):
    condition = {operator: {"s3:prefix": "5" if "Numeric" in operator else SET}}
    policy = parse(make(Action="s3:ListBucket", Resource=BUCKET, Condition=condition))
    values = {} if value is None else {"s3_prefix": value}
    assert ask(policy, "s3:ListBucket", "", **values) == ("allow" if is_met else "none")


@pytest.mark.parametrize(
    ("operator", "key", "tags", "is_met"),
    [
        ("StringEquals", "Env", {"Env": "x"}, True),
        ("StringEquals", "Env", {"Env": "X"}, False),
        ("StringEquals", "Env", {}, False),
        ("StringEquals", "ENV", {"Env": "x"}, True),
        ("StringEquals", "env", {"Env": "x", "env": "y"}, False),
        ("StringEquals", "ENV", {"Env": "x", "env": "y"}, True),
        ("StringNotEquals", "Env", {"Env": "x"}, False),
        ("StringNotEquals", "Env", {}, True),
        ("StringNotEquals", "ENV", {"Env": "x", "env": "y"}, False),
        ("StringEqualsIfExists", "Env", {}, True),
        ("StringEqualsIfExists", "Env", {"Env": "y"}, False),
        ("StringEquals", "a/b", {"a/b": "x"}, True),
        ("Null", "Env", {}, True),
        ("Null", "Env", {"Env": ""}, False),
    ],
)
def test_conditions_on_tags(operator, key, tags, is_met):
    wanted = "true" if operator == "Null" else "x"
    expected = "allow" if is_met else "none"
    existing = parse(make(Condition={operator: {f"S3:existingObjectTag/{key}": wanted}}))
    assert ask(existing, existing=tags) == expected
    asked = parse(make(Action="s3:PutObject", Condition={operator: {f"s3:RequestObjectTag/{key}": wanted}}))
    assert ask(asked, "s3:PutObject", asked=tags) == expected


TAGGED = {"StringEquals": {"s3:ExistingObjectTag/a": "b"}}


def test_tags_that_nobody_looked_at_decide_nothing():
    """Neither way: what would be a guess is an error."""
    for effect in ("Allow", "Deny"):
        for condition in (TAGGED, {"StringNotEquals": TAGGED["StringEquals"]}):
            policy = parse(make(Effect=effect, Condition=condition))
            with pytest.raises(LookupError):
                ask(policy, existing=None)


@pytest.mark.parametrize(
    ("statement", "question", "expected"),
    [
        ({}, {}, True),
        ({"Effect": "Deny"}, {}, True),
        ({"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": OWNER}}, {"who": Who.OWNER}, False),
        ({"Principal": {"AWS": OWNER}}, {}, False),
        ({"Principal": {"AWS": OWNER}}, {"who": Who.USER}, True),
        ({"Resource": "arn:aws:s3:::b/other/*"}, {}, False),
        ({"Action": "s3:*"}, {"action": "s3:DeleteObject"}, False),
        ({"Action": "s3:*"}, {"action": "s3:PutObjectVersionTagging"}, True),
        ({"Action": "s3:GetObject*"}, {"action": "s3:PutObjectTagging"}, False),
        ({"Condition": {"StringEquals": {"s3:authType": "x"}}}, {}, False),
    ],
)
def test_when_tags_are_needed(statement, question, expected):
    policy = parse(make(**{"Condition": TAGGED} | statement))
    about = {"who": Who.ANYBODY, "action": "s3:GetObject"} | question
    assert needs_tags(policy, resource=arn_of("b", "x"), **about) is expected
    if not expected:
        ask(policy, existing=None, **question)


@pytest.mark.parametrize(
    ("key", "values", "action", "other"),
    [
        ("s3:prefix", {"s3_prefix": "x"}, "s3:ListBucket", "s3:GetObject"),
        ("s3:delimiter", {"s3_delimiter": "x"}, "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"),
        ("s3:versionid", {"s3_versionid": "x"}, "s3:GetObjectVersion", "s3:GetObject"),
        ("s3:x-amz-acl", {"s3_x__amz__acl": "x"}, "s3:PutObjectAcl", "s3:GetObject"),
        ("s3:object-lock-mode", {"s3_object__lock__mode": "x"}, "s3:PutObjectRetention", "s3:PutObjectLegalHold"),
        ("s3:if-match", {"s3_if__match": "x"}, "s3:DeleteObject", "s3:DeleteObjectVersion"),
        ("s3:RequestObjectTag/k", {"asked": [("k", "x")]}, "s3:PutObject", "s3:GetObject"),
        ("s3:ExistingObjectTag/k", {"existing": [("k", "x")]}, "s3:GetObject", "s3:DeleteObject"),
    ],
)
def test_a_key_that_is_not_about_an_action_is_missing(key, values, action, other):
    """Whatever a request says beside what it does must not open anything."""
    policy = parse(make(Action="*", Resource=[BUCKET, OBJECTS], Condition={"StringEquals": {key: "x"}}))
    assert ask(policy, action, **values) == "allow"
    assert ask(policy, other, **values) == "none"
    denial = parse(make(Action="*", Effect="Deny", Resource=[BUCKET, OBJECTS], Condition={"Null": {key: "true"}}))
    assert ask(denial, action, **values) == "none"
    assert ask(denial, other, **values) == "deny"
    with pytest.raises(Invalid, match="Conditions do not apply"):
        parse(make(Action=other, Resource=[BUCKET, OBJECTS], Condition={"StringEquals": {key: "x"}}))
    parse(make(Action=[other, action], Resource=[BUCKET, OBJECTS], Condition={"StringEquals": {key: "x"}}))


def test_a_denial_wins_in_any_order():
    some = [make(), make(Effect="Deny", Resource="arn:aws:s3:::b/a/*")]
    for statements in (some, some[::-1]):
        assert ask(parse(*statements), path="a/x") == Decision.DENY.value
        assert ask(parse(*statements), path="b/x") == Decision.ALLOW.value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Effect": "allow"}, "effect"),
        ({"Effect": None}, "effect"),
        ({"Principal": None}, "Principal"),
        ({"Principal": "arn:aws:iam::1:root"}, "principal"),
        ({"Principal": {"AWS": "arn:aws:iam::111111111111:root"}}, "principal"),
        ({"Principal": {"Service": "x"}}, "principal"),
        ({"Principal": {"AWS": []}}, "principal"),
        ({"Principal": {"AWS": {}}}, "principal"),
        ({"NotPrincipal": "*"}, "NotPrincipal"),
        ({"Principal": None, "NotPrincipal": {"AWS": OWNER}}, "NotPrincipal must be used"),
        ({"Effect": "Deny", "NotPrincipal": {"AWS": OWNER}}, "either Principal or NotPrincipal"),
        ({"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": "arn:aws:iam::1:root"}}, "principal"),
        ({"Effect": "Deny", "Principal": None, "NotPrincipal": {}}, "principal"),
        ({"Action": "s3:Nothing"}, "action"),
        ({"Action": "ec2:Run"}, "action"),
        ({"Action": "s3:Xyz*"}, "action"),
        ({"Action": []}, "Action"),
        ({"Action": [3]}, "Action"),
        ({"Action": None}, "Action"),
        ({"NotAction": "s3:GetObject"}, "Action"),
        ({"Resource": "arn:aws:s3:::other/*"}, "resource"),
        ({"Resource": "arn:aws:s3:::bb/*"}, "resource"),
        ({"Resource": "arn:aws:s3:::*"}, "resource"),
        ({"Resource": BUCKET}, "does not apply"),
        ({"Action": "s3:ListBucket"}, "does not apply"),
        ({"Resource": "arn:aws:s3:::b/${aws:username}/*"}, "variables"),
        ({"Condition": {"StringEquals": {"aws:username": "x"}}}, "condition key"),
        ({"Condition": {"StringEquals": {"s3:ExistingObjectTag/": "x"}}}, "condition key"),
        ({"Condition": {"StringEquals": {"s3:ExistingObjectTag": "x"}}}, "condition key"),
        ({"Condition": {"StringEquals": {"aws:RequestTag/a": "x"}}}, "condition key"),
        ({"Condition": {"StringEquals": {"s3:ExistingObjectTag/${aws:username}": "x"}}}, "variables"),
        ({"Condition": {"ArnLike": {"aws:SourceIp": "x"}}}, "condition operator"),
        ({"Condition": {"ForSomeValues:StringEquals": {"s3:prefix": "x"}}}, "condition operator"),
        ({"Condition": {"forallvalues:StringEquals": {"s3:prefix": "x"}}}, "condition operator"),
        ({"Condition": {":StringEquals": {"s3:prefix": "x"}}}, "condition operator"),
        ({"Condition": {"ForAllValues:": {"s3:prefix": "x"}}}, "condition operator"),
        ({"Condition": {"ForAllValues:Null": {"s3:prefix": "true"}}}, "condition operator"),
        ({"Condition": {"StringEquals": {"s3:RequestObjectTagKeys": "x"}}}, "several values"),
        ({"Condition": {"NullIfExists": {"s3:prefix": "true"}}}, "condition operator"),
        ({"Condition": {"Null": {"s3:prefix": "maybe"}}}, "Null"),
        ({"Condition": {"StringEquals": {"s3:prefix": []}}}, "no values"),
        ({"Condition": {"StringEquals": {"s3:prefix": None}}}, "value"),
        ({"Condition": {"StringEquals": {"s3:prefix": {}}}}, "value"),
        ({"Condition": {"StringEquals": {}}}, "Condition"),
        ({"Condition": []}, "Condition"),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "300.0.0.0/8"}}}, "suit"),
        ({"Condition": {"Bool": {"aws:SecureTransport": "yes"}}}, "suit"),
        ({"Condition": {"DateLessThan": {"aws:CurrentTime": "soon"}}}, "suit"),
        ({"Condition": {"NumericEquals": {"s3:max-keys": "inf"}}}, "suit"),
        ({"Sid": 3}, "Sid"),
        ({"Comment": "x"}, "Comment"),
    ],
)
def test_what_is_refused(change, said):
    with pytest.raises(Invalid, match=said) as caught:
        parse(make(**change))
    assert caught.value.reason == "policy"


@pytest.mark.parametrize(
    "more", [{"Version": "2013-01-01"}, {"Version": []}, {"Id": 3}, {"Statement": []}, {"Statement": "x"}, {"New": 1}]
)
def test_documents_that_are_no_policies(more):
    with pytest.raises(Invalid):
        parse(make(), **more)


@pytest.mark.parametrize(
    ("condition", "is_public"),
    [
        (None, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
        ({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/1"]}}, True),
        ({"IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}}, True),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, True),
        ({"StringLike": {"aws:Referer": "x"}}, True),
        ({"IpAddress": {"aws:SourceIp": "fd00::/32"}}, False),
        ({"ForAnyValue:IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
        ({"ForAllValues:IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, True),
        ({"StringEquals": {"s3:ExistingObjectTag/public": "yes"}}, True),
    ],
)
def test_what_is_public(condition, is_public):
    assert parse(make(Condition=condition)).is_public is is_public
    assert not parse(make(Condition=condition, Effect="Deny")).is_public
    assert not parse(make(Condition=condition, Principal={"AWS": OWNER})).is_public


@pytest.mark.parametrize("wild", ["*a" * 5000, "a*" * 5000, "?a" * 5000, "*?a" * 3000, "*" * 10_000, "a" * 9000 + "*b"])
@pytest.mark.timeout(30)
def test_bombs_take_bounded_time(wild):
    """Matching that goes back would not end here; the limit is thousands of times what is needed."""
    pattern = compile_pattern(wild)
    assert pattern.matches("a" * 2047 + "\n") is (wild == "*" * 10_000)
    for text in ("a" * 2048, "a" * 2047 + "b", ""):
        pattern.matches(text)


@pytest.mark.timeout(30)
def test_a_policy_as_large_as_can_be_is_judged_in_time():
    values = ["*" + "?a" * 60 + f"b{n}" for n in range(120)]
    policy = parse(make(Condition={"StringLike": {"aws:Referer": values}}))
    assert ask(policy, aws_referer="a" * 2048) == "none"
