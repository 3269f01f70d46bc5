"""A policy document: JSON from a stranger, read into a ``Policy`` or refused."""

import json
from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final

from cellsmono.data.policy.actions import BUCKET_ACTIONS, OBJECT_ACTIONS
from cellsmono.data.policy.conditions import Condition, malformed, read_conditions, refuse_variables
from cellsmono.data.policy.evaluation import EVERYBODY, Policy, Statement, Who
from cellsmono.data.policy.wildcards import compile_pattern, is_wild

MAX_BYTES: Final = 20 * 1024
"""AWS's limit on a bucket policy."""
VERSIONS: Final = frozenset({"2008-10-17", "2012-10-17"})
ACCOUNT: Final = "000000000000"
"""The account that the owner's ARN names: there is only one."""
_PRINCIPALS: Final = frozenset({"*", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"})
_ARN: Final = "arn:aws:s3:::"
_ELEMENTS: Final = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_ACCOUNT: Final = frozenset({Who.OWNER, Who.USER})
"""Whom the owner's ARN names: as of any account, it is the people of it as well."""


def arn_of(bucket: str, path: str = "") -> str:
    """The name of a bucket, or of an object in it, in policies."""
    return f"{_ARN}{bucket}/{path}" if path else _ARN + bucket


@lru_cache(maxsize=256)
def parse_policy(text: str, bucket: str) -> Policy:
    """Read the policy of a bucket. Raises Invalid (reason ``policy``) that says what is wrong.

    Kept in memory by its text, since every request to the bucket asks for it.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise malformed(f"Policy is too large: the limit is {MAX_BYTES} bytes")
    try:
        document = json.loads(text, object_pairs_hook=_read_pairs)
    except (ValueError, RecursionError):
        raise malformed("Policies must be valid JSON and the first byte must be '{'") from None
    if not isinstance(document, dict):
        raise malformed("Policies must be valid JSON and the first byte must be '{'")
    if unknown := document.keys() - {"Version", "Id", "Statement"}:
        raise malformed(f"Unknown field {min(unknown)!r}")
    if document.get("Version", "2008-10-17") not in list(VERSIONS):
        raise malformed("The policy must contain a valid version string")
    if not isinstance(document.get("Id", ""), str):
        raise malformed("Invalid policy Id")
    statements = document.get("Statement")
    if not statements or not isinstance(statements, dict | list):
        raise malformed("Missing required field Statement")
    found = statements if isinstance(statements, list) else [statements]
    return Policy(tuple(_read_statement(statement, bucket) for statement in found))


def _read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise malformed("A name stands twice in one object of the policy")
    return found


def _read_statement(statement: Any, bucket: str) -> Statement:
    if not isinstance(statement, dict):
        raise malformed("Invalid policy syntax: a statement must be an object")
    if unknown := statement.keys() - _ELEMENTS:
        raise malformed(f"Unknown field {min(unknown)!r}; this server knows {', '.join(sorted(_ELEMENTS))}")
    if not isinstance(statement.get("Sid", ""), str):
        raise malformed("Invalid Sid")
    effect = statement.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise malformed(f"Invalid effect: {effect!r}")
    actions, excludes_actions = _read_list(statement, "Action")
    resources, excludes_resources = _read_list(statement, "Resource")
    names = [_check_action(action) for action in actions]
    if not excludes_resources:
        for resource in resources:
            _check_resource(resource, bucket)
        if not excludes_actions:
            _check_fit(names, resources, bucket)
    conditions = read_conditions(statement["Condition"]) if "Condition" in statement else ()
    if not excludes_actions:
        _check_conditions(names, conditions)
    return Statement(
        is_allow=effect == "Allow",
        who=_read_who(statement, is_allow=effect == "Allow"),
        actions=tuple(compile_pattern(name) for name in names),
        resources=tuple(compile_pattern(resource) for resource in resources),
        conditions=conditions,
        excludes_actions=excludes_actions,
        excludes_resources=excludes_resources,
    )


def _read_list(statement: dict[str, Any], name: str) -> tuple[list[str], bool]:
    """The texts of ``Action`` or ``NotAction`` (and the like), and whether it was the negative one."""
    if (name in statement) == ("Not" + name in statement):
        raise malformed(f"A statement needs either {name} or Not{name}")
    is_negative = name not in statement
    value = statement["Not" + name if is_negative else name]
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise malformed(f"Invalid {name}: it must be a text or a list of texts")
    return [refuse_variables(text) for text in texts], is_negative


def _read_who(statement: dict[str, Any], *, is_allow: bool) -> frozenset[Who]:
    """Whom a statement is about.

    ``NotPrincipal`` with the owner's ARN spares the owner alone: a user of the account would have to be named, too.
    """
    if "NotPrincipal" not in statement:
        return EVERYBODY if _is_everybody(statement.get("Principal")) else _ACCOUNT
    if "Principal" in statement:
        raise malformed("A statement needs either Principal or NotPrincipal")
    if is_allow:
        raise malformed("NotPrincipal must be used with the effect Deny: with Allow it would let in everybody else")
    return frozenset[Who]() if _is_everybody(statement["NotPrincipal"]) else EVERYBODY - {Who.OWNER}


def _is_everybody(principal: Any) -> bool:
    """Whether everybody is named; else it is the owner."""
    if principal is None:
        raise malformed("Missing required field Principal")
    values = principal
    if isinstance(principal, dict):
        if principal.keys() != {"AWS"}:
            raise malformed('Invalid principal in policy: this server knows "*" and {"AWS": ...}')
        values = principal["AWS"]
    elif principal != "*":
        raise malformed("Invalid principal in policy")
    values = values if isinstance(values, list) else [values]
    if not values or not all(isinstance(value, str) and value in _PRINCIPALS for value in values):
        raise malformed(f"Invalid principal in policy: there is nobody but '*' and 'arn:aws:iam::{ACCOUNT}:root'")
    return "*" in values


def _check_action(action: str) -> str:
    name = action.lower()
    if name != "*" and not name.startswith("s3:"):
        raise malformed(f"Policy has invalid action: {action!r}")
    if not _is_any(name, OBJECT_ACTIONS) and not _is_any(name, BUCKET_ACTIONS):
        raise malformed(f"Policy has invalid action: {action!r}")
    return name


def _check_resource(resource: str, bucket: str) -> None:
    """A resource must lie in the bucket itself, as it is written: a pattern for the bucket's name is none of it."""
    arn = arn_of(bucket)
    if resource not in ("*", arn, arn + "*") and not resource.startswith(arn + "/"):
        raise malformed(f"Policy has invalid resource: {resource!r}; it must be {arn} or begin with {arn}/")


def _check_fit(actions: Collection[str], resources: Collection[str], bucket: str) -> None:
    """Every action needs a resource of its kind: else the statement does nothing, and its author believes it does."""
    arn = arn_of(bucket)
    has_bucket = any(resource in ("*", arn, arn + "*") for resource in resources)
    has_object = any(resource != arn for resource in resources)
    for action in actions:
        is_met = (has_bucket and _is_any(action, BUCKET_ACTIONS)) or (has_object and _is_any(action, OBJECT_ACTIONS))
        if not is_met:
            raise malformed("Action does not apply to any resource(s) in statement")


def _check_conditions(actions: Collection[str], conditions: Collection[Condition]) -> None:
    """Every key needs an action that it is about: for others it is always missing."""
    for condition in conditions:
        about = condition.key.actions
        if about is not None and not any(_is_any(action, about) for action in actions):
            raise malformed("Conditions do not apply to combination of actions and resources in statement")


def _is_any(action: str, names: frozenset[str]) -> bool:
    """Whether the name or pattern of an action means any of these."""
    if not is_wild(action):
        return action in names
    pattern = compile_pattern(action)
    return any(pattern.matches(name) for name in names)
