"""Policies: who may do what under which conditions, and the rule that judges them. ``docs/policies.md`` tells it."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from cellsmono.interfaces.permissions import Right
from cellsmono.interfaces.policy_conditions import Condition, check_condition, is_fulfilled
from cellsmono.interfaces.policy_patterns import compile_pattern, matches
from cellsmono.interfaces.router import Circumstances
from cellsmono.interfaces.users import User
from cellsmono.kernel.errors import Invalid

MOST_POLICIES = 200
"""Policies in one group, and subjects, resources, actions and conditions in one policy."""


class ResourceGroup(enum.StrEnum):
    """What the policies of a group are about: requests to the REST gateway, nodes (by ACL), or signing in by OIDC."""

    REST = "rest"
    ACL = "acl"
    OIDC = "oidc"


class Effect(enum.StrEnum):
    """What a policy does where it applies."""

    ALLOW = "allow"
    DENY = "deny"


class Policy(msgspec.Struct, frozen=True):
    """Applies if a subject, a resource, an action and every condition fit.

    ``subjects``, ``resources`` and ``actions`` are patterns (see ``policy_patterns``). ``conditions`` are by the key of
    the context that they are about: ``RemoteAddress``, ``ServerTime`` and so on.
    """

    id: str
    description: str = ""
    subjects: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    effect: Effect = Effect.DENY
    conditions: Mapping[str, Condition] = {}


class PolicyGroup(msgspec.Struct, frozen=True):
    """Policies that belong together. ``updated`` is seconds since the epoch, UTC; 0 for one that nobody changed."""

    uuid: str
    name: str
    resource_group: ResourceGroup
    policies: tuple[Policy, ...] = ()
    description: str = ""
    updated: float = 0.0


class Verdict(msgspec.Struct, frozen=True):
    """Whether it is allowed, and the id of the policy that says so; empty where none says anything."""

    allowed: bool
    policy: str = ""


def judge(
    policies: Iterable[Policy], subjects: Sequence[str], resource: str, action: str, context: Mapping[str, str]
) -> Verdict:
    """Whether a subject (one of the names that somebody has) may do something.

    Any policy that denies it wins; otherwise one that allows it is needed. A condition about something that is not
    known, or makes no sense, counts as fulfilled for a policy that denies, and as not fulfilled for one that allows.
    """
    allowing: Policy | None = None
    for policy in policies:
        if policy.effect is Effect.ALLOW and allowing is not None:
            continue
        if not _fits(policy, subjects, resource, action) or not _applies(policy, context):
            continue
        if policy.effect is Effect.DENY:
            return Verdict(False, policy.id)
        allowing = policy
    return Verdict(allowing is not None, "" if allowing is None else allowing.id)


def _fits(policy: Policy, subjects: Sequence[str], resource: str, action: str) -> bool:
    return (
        any(matches(compile_pattern(each), action) for each in policy.actions)
        and any(matches(compile_pattern(each), name) for each in policy.subjects for name in subjects)
        and any(matches(compile_pattern(each), resource) for each in policy.resources)
    )


def _applies(policy: Policy, context: Mapping[str, str]) -> bool:
    unknown = policy.effect is Effect.DENY
    for key, condition in policy.conditions.items():
        known = is_fulfilled(condition, key, context)
        if not (unknown if known is None else known):
            return False
    return True


def check_group(group: PolicyGroup) -> None:
    """Raise Invalid for a group that can not be."""
    if not group.uuid or len(group.uuid) > 128 or not group.name or len(group.name) > 200:  # noqa: PLR2004
        raise Invalid("a policy group has a Uuid (up to 128 characters) and a Name (up to 200)", reason="policy")
    ids = [policy.id for policy in group.policies]
    if len(ids) > MOST_POLICIES or len(set(ids)) != len(ids) or not all(ids):
        raise Invalid(f"a group has up to {MOST_POLICIES} policies, each with an id of its own", reason="policy")
    for policy in group.policies:
        _check_policy(policy)


def _check_policy(policy: Policy) -> None:
    for name, patterns in (
        ("subjects", policy.subjects),
        ("resources", policy.resources),
        ("actions", policy.actions),
    ):
        if not patterns or len(patterns) > MOST_POLICIES:
            raise Invalid(f"the policy {policy.id!r} needs 1 to {MOST_POLICIES} {name}", reason="policy")
        for pattern in patterns:
            compile_pattern(pattern)
    if len(policy.conditions) > MOST_POLICIES:
        raise Invalid(f"the policy {policy.id!r} has more than {MOST_POLICIES} conditions", reason="policy")
    for condition in policy.conditions.values():
        check_condition(condition)


class Policies(Protocol):
    """Whom policies let in. Never blocks: asked for each request."""

    def judge_request(self, user: User | None, method: str, path: str, context: Mapping[str, str]) -> Verdict:
        """Whether somebody (None: nobody who signed in) may ask for a path of the REST gateway (``/tree/stats``).

        ``context`` is what the gateway knows of the request; the time is known here.
        """

    def judge_node(self, user: User, policy: str, path: str, circumstances: Circumstances) -> Right:
        """The rights that a policy or group, by id, leaves a user on a node at a tree path; none if there is none."""
