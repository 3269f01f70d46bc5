"""Policies on the wire."""

import msgspec

from cellsmono.gateway.rest.proto_json import ProtoEnum
from cellsmono.interfaces.policies import Effect, Policy, PolicyGroup, ResourceGroup
from cellsmono.interfaces.policy_conditions import Condition


class PolicyEffect(ProtoEnum):
    """What a policy does where it applies; ``unknown`` is ``deny``."""

    UNKNOWN = "unknown"
    DENY = "deny"
    ALLOW = "allow"


class PolicyResourceGroup(ProtoEnum):
    """What the policies of a group are about."""

    REST = "rest"
    ACL = "acl"
    OIDC = "oidc"


class PolicyCondition(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A condition; its options are a JSON object as text."""

    type: str = ""
    json_options: str = ""


class IdmPolicy(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One policy; ``conditions`` are by what they are about."""

    id: str = ""
    description: str = ""
    subjects: list[str] = []
    resources: list[str] = []
    actions: list[str] = []
    effect: PolicyEffect = PolicyEffect.UNKNOWN
    conditions: dict[str, PolicyCondition] = {}


class IdmPolicyGroup(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Policies that belong together."""

    uuid: str = ""
    name: str = ""
    description: str = ""
    owner_uuid: str = ""
    resource_group: PolicyResourceGroup = PolicyResourceGroup.REST
    last_updated: int = 0
    policies: list[IdmPolicy] = []


class PolicySearch(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Groups whose name has this text."""

    filter: str = ""


class PolicyGroupsCollection(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Groups of policies."""

    policy_groups: list[IdmPolicyGroup] = []
    total: int = 0


class PolicyDeleted(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """What was deleted."""

    success: bool = False
    policy_group: IdmPolicyGroup = IdmPolicyGroup()


def show_group(group: PolicyGroup) -> IdmPolicyGroup:
    """A group as clients know it."""
    return IdmPolicyGroup(
        uuid=group.uuid,
        name=group.name,
        description=group.description,
        resource_group=PolicyResourceGroup(group.resource_group.value),
        last_updated=int(group.updated),
        policies=[_show_policy(policy) for policy in group.policies],
    )


def _show_policy(policy: Policy) -> IdmPolicy:
    return IdmPolicy(
        id=policy.id,
        description=policy.description,
        subjects=list(policy.subjects),
        resources=list(policy.resources),
        actions=list(policy.actions),
        effect=PolicyEffect(policy.effect.value),
        conditions={key: PolicyCondition(each.type, each.options) for key, each in policy.conditions.items()},
    )


def read_group(body: IdmPolicyGroup, uuid: str) -> PolicyGroup:
    """The group that a client means."""
    policies = tuple(_read_policy(policy) for policy in body.policies)
    return PolicyGroup(uuid, body.name, ResourceGroup(body.resource_group.value), policies, body.description)


def _read_policy(policy: IdmPolicy) -> Policy:
    return Policy(
        id=policy.id,
        description=policy.description,
        subjects=tuple(policy.subjects),
        resources=tuple(policy.resources),
        actions=tuple(policy.actions),
        effect=Effect.ALLOW if policy.effect is PolicyEffect.ALLOW else Effect.DENY,
        conditions={key: Condition(each.type, each.json_options or "{}") for key, each in policy.conditions.items()},
    )
