"""Policies against a model that is as plain as can be: expressions for patterns, two passes over the statements."""

import contextlib
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from cellsmono.data.policy.document import arn_of, parse_policy
from cellsmono.data.policy.evaluation import Who, evaluate
from cellsmono.data.policy.request import Known
from cellsmono.data.policy.wildcards import compile_pattern
from cellsmono.kernel.errors import Invalid

ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
PATHS = st.text("ab/", min_size=1, max_size=4)
GOOD = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": arn_of("b", "*")}
WILD = st.text("ab/*?", min_size=1, max_size=5)


def fits(pattern, text):
    signs = {"*": ".*", "?": "."}
    return re.fullmatch("".join(signs.get(sign) or re.escape(sign) for sign in pattern), text, re.DOTALL) is not None


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_patterns_are_expressions(pattern, text):
    assert compile_pattern(pattern).matches(text) == fits(pattern, text)


STATEMENTS = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Principal": st.sampled_from(["*", {"AWS": "000000000000"}]),
        "Action": st.lists(st.sampled_from([*ACTIONS, "s3:*", "s3:?etObject"]), min_size=1, max_size=2),
        "Resource": st.lists(WILD.map(lambda path: arn_of("b", path)), min_size=1, max_size=2),
    },
    optional={
        "Condition": st.fixed_dictionaries(
            {}, optional={"StringLike": st.builds(lambda v: {"aws:Referer": v}, st.lists(WILD, min_size=1, max_size=2))}
        )
    },
)


def applies(statement, is_owner, action, path, referer):
    patterns = statement.get("Condition", {}).get("StringLike", {}).get("aws:Referer")
    return (
        (statement["Principal"] == "*" or is_owner)
        and any(fits(each.lower(), action.lower()) for each in statement["Action"])
        and any(fits(each, arn_of("b", path)) for each in statement["Resource"])
        and (patterns is None or (referer is not None and any(fits(each, referer) for each in patterns)))
    )


@given(
    st.lists(STATEMENTS, min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from(ACTIONS),
    PATHS,
    st.none() | st.text("ab/", max_size=3),
)
def test_decisions_are_those_of_the_model(statements, is_owner, action, path, referer):
    effects = {each["Effect"] for each in statements if applies(each, is_owner, action, path, referer)}
    expected = "deny" if "Deny" in effects else "allow" if effects else "none"
    policy = parse_policy(json.dumps({"Statement": statements}), "b")
    known = Known({} if referer is None else {"aws:referer": referer})
    who = Who.OWNER if is_owner else Who.ANYBODY
    decision = evaluate(policy, who=who, action=action, resource=arn_of("b", path), known=known)
    assert decision.value == expected


NAMES = st.sampled_from(
    [
        "Version",
        "Statement",
        "Effect",
        "Principal",
        "AWS",
        "Action",
        "NotAction",
        "Resource",
        "Condition",
        "Bool",
        "Null",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["*", "Allow", "s3:*", "2012-10-17"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(JSON | st.builds(lambda s: {"Statement": s}, JSON) | st.builds(lambda c: {"Statement": GOOD | c}, STATEMENTS))
def test_any_document_is_read_or_refused(document):
    with contextlib.suppress(Invalid):
        parse_policy(json.dumps(document), "b")


@given(
    st.dictionaries(st.sampled_from(["Bool", "StringLike", "IpAddress", "DateEquals", "NumericEquals", "Null"]), JSON)
)
def test_any_condition_is_read_or_refused(block):
    for each in (block, {name: {"aws:Referer": values} for name, values in block.items()}):
        with contextlib.suppress(Invalid):
            policy = parse_policy(json.dumps({"Statement": GOOD | {"Condition": each}}), "b")
            known = Known({"aws:referer": "1"})
            evaluate(policy, who=Who.ANYBODY, action=ACTIONS[0], resource=arn_of("b", "x"), known=known)
