"""What a policy says about a request, and whether it opens a bucket to everybody."""

import enum
from typing import Final

import msgspec

from cellsmono.data.policy.conditions import AddressCondition, Condition
from cellsmono.data.policy.keys import SOURCE_IP
from cellsmono.data.policy.request import Known
from cellsmono.data.policy.wildcards import Pattern

_WIDEST_V4 = 8
_WIDEST_V6 = 32
"""Bits of a network's prefix; a wider network is half the world, and as good as no condition."""


class Decision(enum.Enum):
    """What a policy says. NONE: nothing, so that other rules decide."""

    ALLOW = "allow"
    DENY = "deny"
    NONE = "none"


class Who(enum.Enum):
    """Who asks, as far as policies can tell people apart."""

    ANYBODY = "anybody"
    """Somebody who did not sign."""
    USER = "user"
    """A user of this installation, who belongs to the owner's account and is not the owner."""
    OWNER = "owner"


EVERYBODY: Final = frozenset(Who)


class Statement(msgspec.Struct, frozen=True):
    """One statement, about the people ``who``.

    ``actions`` are patterns in lower case. ``excludes_actions`` and ``excludes_resources`` turn the lists into what the
    statement is *not* about.
    """

    is_allow: bool
    who: frozenset[Who]
    actions: tuple[Pattern, ...]
    resources: tuple[Pattern, ...]
    conditions: tuple[Condition, ...] = ()
    excludes_actions: bool = False
    excludes_resources: bool = False

    def is_about(self, who: Who, action: str, resource: str) -> bool:
        """Whether it is about somebody who does this action (in lower case) with this resource, on conditions."""
        return (
            who in self.who
            and any(pattern.matches(action) for pattern in self.actions) is not self.excludes_actions
            and any(pattern.matches(resource) for pattern in self.resources) is not self.excludes_resources
        )

    def applies(self, action: str, known: Known) -> bool:
        """Whether its conditions are met. Raises LookupError, see ``Known.find``."""
        return all(condition.is_met(known, action) for condition in self.conditions)

    def asks_for_tags(self, action: str) -> bool:
        """Whether it takes the tags that an object has to know whether it applies to this action (in lower case)."""
        return any(each.key.is_existing_tag and each.key.applies(action) for each in self.conditions)

    @property
    def is_public(self) -> bool:
        """Whether it lets in everybody, from wherever they come."""
        return self.is_allow and Who.ANYBODY in self.who and not any(_is_narrow(each) for each in self.conditions)


class Policy(msgspec.Struct, frozen=True):
    """A policy that was read and found good."""

    statements: tuple[Statement, ...]

    @property
    def is_public(self) -> bool:
        """Whether any statement lets in everybody."""
        return any(statement.is_public for statement in self.statements)


def evaluate(policy: Policy, *, who: Who, action: str, resource: str, known: Known) -> Decision:
    """What the policy says about ``action`` (``s3:GetObject``) on ``resource`` (an ARN). A Deny wins.

    Raises LookupError where that takes the tags of the object (``needs_tags``) and they are not known.
    """
    name = action.lower()
    decision = Decision.NONE
    for statement in policy.statements:
        if statement.is_allow and decision is Decision.ALLOW:
            continue
        if statement.is_about(who, name, resource) and statement.applies(name, known):
            if not statement.is_allow:
                return Decision.DENY
            decision = Decision.ALLOW
    return decision


def needs_tags(policy: Policy, *, who: Who, action: str, resource: str) -> bool:
    """Whether the tags that the object has must be known before the policy can be asked this."""
    name = action.lower()
    return any(each.asks_for_tags(name) and each.is_about(who, name, resource) for each in policy.statements)


def _is_narrow(condition: Condition) -> bool:
    """Whether a condition admits only networks that are small enough to know who is in them."""
    if not isinstance(condition, AddressCondition) or condition.key.name != SOURCE_IP or condition.is_negated:
        return False
    return not condition.when_missing and all(
        network.prefixlen >= (_WIDEST_V4 if network.version == 4 else _WIDEST_V6)  # noqa: PLR2004 - IPv4
        for network in condition.networks
    )
