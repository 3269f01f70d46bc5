"""What a policy says about a request, and whether it opens a bucket to everybody."""

import enum
from collections.abc import Mapping

import msgspec

from cellsmono.data.policy.conditions import SOURCE_IP, AddressCondition, Condition
from cellsmono.data.policy.wildcards import Pattern

_WIDEST_V4 = 8
_WIDEST_V6 = 32
"""Bits of a network's prefix; a wider network is half the world, and as good as no condition."""


class Decision(enum.Enum):
    """What a policy says. NONE: nothing, so that other rules decide."""

    ALLOW = "allow"
    DENY = "deny"
    NONE = "none"


class Statement(msgspec.Struct, frozen=True):
    """One statement. ``is_everybody`` is the principal ``*``; else it is about the owner alone.

    ``actions`` are patterns in lower case. ``excludes_actions`` and ``excludes_resources`` turn the lists into what the
    statement is *not* about.
    """

    is_allow: bool
    is_everybody: bool
    actions: tuple[Pattern, ...]
    resources: tuple[Pattern, ...]
    conditions: tuple[Condition, ...] = ()
    excludes_actions: bool = False
    excludes_resources: bool = False

    def applies(self, action: str, resource: str, values: Mapping[str, str]) -> bool:
        """Whether it is about this action on this resource under these circumstances."""
        return (
            any(pattern.matches(action) for pattern in self.actions) is not self.excludes_actions
            and any(pattern.matches(resource) for pattern in self.resources) is not self.excludes_resources
            and all(condition.is_met(values) for condition in self.conditions)
        )

    @property
    def is_public(self) -> bool:
        """Whether it lets in everybody, from wherever they come."""
        return self.is_allow and self.is_everybody and not any(_is_narrow(each) for each in self.conditions)


class Policy(msgspec.Struct, frozen=True):
    """A policy that was read and found good."""

    statements: tuple[Statement, ...]

    @property
    def is_public(self) -> bool:
        """Whether any statement lets in everybody."""
        return any(statement.is_public for statement in self.statements)


def evaluate(policy: Policy, *, is_owner: bool, action: str, resource: str, values: Mapping[str, str]) -> Decision:
    """What the policy says about ``action`` (``s3:GetObject``) on ``resource`` (an ARN). A Deny wins.

    ``values`` are what is known about the request, by condition key in lower case.
    """
    name = action.lower()
    decision = Decision.NONE
    for statement in policy.statements:
        if not (statement.is_everybody or is_owner):
            continue
        if statement.is_allow and decision is Decision.ALLOW:
            continue
        if statement.applies(name, resource, values):
            if not statement.is_allow:
                return Decision.DENY
            decision = Decision.ALLOW
    return decision


def _is_narrow(condition: Condition) -> bool:
    """Whether a condition admits only networks that are small enough to know who is in them."""
    if not isinstance(condition, AddressCondition) or condition.key != SOURCE_IP or condition.is_negated:
        return False
    return not condition.when_missing and all(
        network.prefixlen >= (_WIDEST_V4 if network.version == 4 else _WIDEST_V6)  # noqa: PLR2004 - IPv4
        for network in condition.networks
    )
