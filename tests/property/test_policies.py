"""Policies against a model that is as plain as can be: expressions for patterns, two passes over the statements."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from cellsmono.data.policy.document import arn_of, parse_policy
from cellsmono.data.policy.evaluation import evaluate
from cellsmono.data.policy.wildcards import compile_pattern

ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
PATHS = st.text("ab/", min_size=1, max_size=4)
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
            {}, optional={"StringLike": st.builds(lambda v: {"s3:prefix": v}, st.lists(WILD, min_size=1, max_size=2))}
        )
    },
)


def applies(statement, is_owner, action, path, prefix):
    patterns = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix")
    return (
        (statement["Principal"] == "*" or is_owner)
        and any(fits(each.lower(), action.lower()) for each in statement["Action"])
        and any(fits(each, arn_of("b", path)) for each in statement["Resource"])
        and (patterns is None or (prefix is not None and any(fits(each, prefix) for each in patterns)))
    )


@given(
    st.lists(STATEMENTS, min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from(ACTIONS),
    PATHS,
    st.none() | st.text("ab/", max_size=3),
)
def test_decisions_are_those_of_the_model(statements, is_owner, action, path, prefix):
    effects = {each["Effect"] for each in statements if applies(each, is_owner, action, path, prefix)}
    expected = "deny" if "Deny" in effects else "allow" if effects else "none"
    policy = parse_policy(json.dumps({"Statement": statements}), "b")
    values = {} if prefix is None else {"s3:prefix": prefix}
    decision = evaluate(policy, is_owner=is_owner, action=action, resource=arn_of("b", path), values=values)
    assert decision.value == expected
