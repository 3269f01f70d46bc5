"""Policies: patterns, conditions, and the rule."""

import re
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsmono.gateway.rest.routes import Access
from cellsmono.gateway.rest.table import ROUTES
from cellsmono.interfaces.policies import Effect, Policy, PolicyGroup, ResourceGroup, check_group, judge
from cellsmono.interfaces.policy_conditions import Condition, is_fulfilled
from cellsmono.interfaces.policy_defaults import DEFAULT_GROUPS
from cellsmono.interfaces.policy_patterns import compile_expression, compile_pattern, matches
from cellsmono.kernel.errors import Invalid

MONDAY_NOON = "1700481600"  # 2023-11-20T12:00:00Z
SUNDAY = "1700395200"


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("rest:/user", "rest:/user", True),
        ("rest:/user", "rest:/users", False),
        ("rest:/tree/<.+>", "rest:/tree/stat/a", True),
        ("rest:/tree/<.+>", "rest:/tree/", False),
        ("rest:/user<.*>", "rest:/user", True),
        ("<GET|POST>", "POST", True),
        ("<GET|POST>", "PUT", False),
        ("a<.>c", "abc", True),
        ("a<.>c", "ac", False),
        ("<.*>b<.+>d", "bbbd", True),
        ("<(a|ab)>b", "abb", True),
        ("rest:/a.b", "rest:/axb", False),
        ("<.+>", "x" * 20_000, True),
        ("<.+>y", "x" * 20_000 + "y", False),
    ],
)
def test_patterns(pattern, text, fits):
    assert matches(compile_pattern(pattern), text) is fits


@pytest.mark.parametrize(
    "pattern", ["", "<", "a<.+", "<(a+)+>", "<[a-z]>", "<a{9}>", "<>", "<^a>", "<(a*|b)>", "x" * 501]
)
def test_patterns_that_can_not_be(pattern):
    with pytest.raises(Invalid):
        compile_pattern(pattern)


def test_expressions_match_anywhere_but_for_anchors():
    assert matches(compile_expression("Mozilla"), "x Mozilla/5.0")
    assert not matches(compile_expression("^Mozilla"), "x Mozilla/5.0")
    assert not matches(compile_expression("Mozilla$"), "Mozilla/5.0")


_PARTS = st.lists(st.sampled_from(["a", "b", ".", ".*", ".+", "(a|ab)"]), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(_PARTS, st.text("ab", max_size=8))
def test_patterns_are_what_regular_expressions_say(parts, text):
    expression = "".join(parts)
    assert matches(compile_pattern(f"<{expression}>"), text) is (re.fullmatch(expression, text) is not None)


@pytest.mark.parametrize(
    ("kind", "options", "value", "fulfilled"),
    [
        ("CIDRCondition", '{"cidr": "10.0.0.0/8"}', "10.1.2.3", True),
        ("CIDRCondition", '{"cidr": "10.0.0.0/8"}', "::ffff:10.1.2.3", True),
        ("CIDRCondition", '{"cidr": "10.0.0.0/8"}', "11.1.2.3", False),
        ("CIDRCondition", '{"cidr": "fe80::/10"}', "fe80::1%eth0", True),
        ("CIDRCondition", '{"cidr": "10.0.0.0/8"}', "nonsense", None),
        ("StringEqualCondition", '{"equals": "pdf"}', "pdf", True),
        ("StringMatchCondition", '{"matches": "curl"}', "curl/8", True),
        ("StringNotMatchCondition", '{"matches": "curl"}', "curl/8", False),
        ("BooleanCondition", '{"value": true}', "true", True),
        ("DateAfterCondition", '{"matches": "2023-11-20T12:00:00Z"}', MONDAY_NOON, True),
        ("DateAfterCondition", '{"matches": "2023-11-20T12:00:01"}', MONDAY_NOON, False),
        ("DateWithinPeriodCondition", '{"matches": "2023-11-20/2023-11-21"}', MONDAY_NOON, True),
        ("DateWithinPeriodCondition", '{"matches": "2023-11-20/2023-11-21"}', SUNDAY, False),
        ("OfficeHoursCondition", '{"matches": "Monday-Friday/09:00/18:30"}', MONDAY_NOON, True),
        ("OfficeHoursCondition", '{"matches": "Monday-Friday/09:00/18:30"}', SUNDAY, False),
        ("OfficeHoursCondition", '{"matches": "Monday/12:30/13:30/Europe/Paris"}', MONDAY_NOON, True),
        ("OfficeHoursCondition", '{"matches": "Friday-Monday/22:00/12:30"}', MONDAY_NOON, True),
        ("OfficeHoursCondition", '{"matches": "Monday/22:00/12:30"}', MONDAY_NOON, False),
    ],
)
def test_conditions(kind, options, value, fulfilled):
    assert is_fulfilled(Condition(kind, options), "key", {"key": value}) is fulfilled
    assert is_fulfilled(Condition(kind, options), "key", {}) is None


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("Unknown", "{}"),
        ("CIDRCondition", "{}"),
        ("CIDRCondition", '{"cidr": "300.0.0.0/8"}'),
        ("StringMatchCondition", '{"matches": "(a+)+"}'),
        ("OfficeHoursCondition", '{"matches": "Someday/09:00/10:00"}'),
        ("OfficeHoursCondition", '{"matches": "Monday/09:00/10:00/Nowhere"}'),
        ("DateWithinPeriodCondition", '{"matches": "2023-01-01"}'),
    ],
)
def test_conditions_that_can_not_be(kind, options):
    policy = Policy("p", "", ("<.+>",), ("<.+>",), ("<.+>",), Effect.ALLOW, {"RemoteAddress": Condition(kind, options)})
    with pytest.raises(Invalid):
        check_group(PolicyGroup("g", "g", ResourceGroup.REST, (policy,)))


HOME = {"RemoteAddress": Condition("CIDRCondition", '{"cidr": "10.0.0.0/8"}')}


def _policy(effect, subject="user:alice", resource="rest:/user", action="GET", conditions=None):
    return Policy(f"{effect}-{subject}", "", (subject,), (resource,), (action,), effect, conditions or {})


ALLOW, DENY = Effect.ALLOW, Effect.DENY


@pytest.mark.parametrize(
    ("policies", "context", "allowed"),
    [
        ([], {}, False),
        ([_policy(ALLOW)], {}, True),
        ([_policy(DENY)], {}, False),
        ([_policy(ALLOW), _policy(DENY)], {}, False),
        ([_policy(ALLOW, "user:bob")], {}, False),
        ([_policy(ALLOW), _policy(DENY, "user:bob")], {}, True),
        ([_policy(ALLOW, "profile:standard")], {}, True),
        ([_policy(ALLOW, action="POST")], {}, False),
        ([_policy(ALLOW, resource="rest:/role")], {}, False),
        ([_policy(ALLOW, conditions=HOME)], {"RemoteAddress": "10.0.0.1"}, True),
        ([_policy(ALLOW, conditions=HOME)], {"RemoteAddress": "1.0.0.1"}, False),
        ([_policy(ALLOW, conditions=HOME)], {}, False),
        ([_policy(ALLOW), _policy(DENY, conditions=HOME)], {"RemoteAddress": "1.0.0.1"}, True),
        ([_policy(ALLOW), _policy(DENY, conditions=HOME)], {"RemoteAddress": "10.0.0.1"}, False),
        ([_policy(ALLOW), _policy(DENY, conditions=HOME)], {}, False),
    ],
)
def test_the_rule(policies, context, allowed):
    for order in permutations(policies):
        assert judge(order, ["profile:standard", "user:alice"], "rest:/user", "GET", context).allowed is allowed


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_defaults_leave_to_every_route_whom_it_lets_in(route):
    everybody = ["anon", "shared", "standard", "admin"]
    may = {
        Access.OPEN: ["anon"],  # a token is not looked at
        Access.ANYBODY: everybody,
        Access.USERS: everybody[1:],
        Access.STANDARD: everybody[2:],
        Access.ADMINS: everybody[3:],
    }[route.access]
    policies = [each for group in DEFAULT_GROUPS if group.resource_group == "rest" for each in group.policies]
    path = route.path.partition("{")[0] + ("x" if route.parameter else "")
    for profile in may:
        assert judge(policies, [f"profile:{profile}"], f"rest:{path}", route.method, {}).allowed, profile


def test_the_defaults_are_right():
    for group in DEFAULT_GROUPS:
        check_group(group)
