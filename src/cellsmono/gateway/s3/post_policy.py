"""The policy of a browser upload form: what its signer allows, compared with what the form says.

Source: "Browser-based uploads using POST (AWS Signature Version 4)" in the Amazon S3 API reference. Pure: whoever
receives the form has expanded ``${filename}`` and verified the signature (``Authenticator.check_post``) already.
"""

import base64
import binascii
import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any, Final, Literal

import msgspec

from cellsmono.gateway.s3 import dates
from cellsmono.gateway.s3.errors import S3Error

MAX_POLICY: Final = 64 * 1024
"""Bytes of a policy in base64; more than a form may have before its file anyway."""
_UNCOVERED: Final = frozenset({"awsaccesskeyid", "file", "policy", "signature", "x-amz-signature", "bucket"})
_LISTS: Final = frozenset({"content-type", "content-encoding", "content-language"})
"""Fields whose value may be a list, each item of which must begin as the policy says."""


class Condition(msgspec.Struct, frozen=True):
    """One condition on a field (lower-case name)."""

    kind: Literal["eq", "starts-with"]
    field: str
    value: str

    def __str__(self) -> str:
        return json.dumps([self.kind, "$" + self.field, self.value])

    def is_met(self, actual: str | None) -> bool:
        """Whether the field's value satisfies it; None: the form lacks the field.

        What may begin with anything may be left out: so signers say that a field is the client's choice.
        """
        if actual is None:
            return self.kind == "starts-with" and not self.value
        if self.kind == "eq":
            return actual == self.value
        if self.field in _LISTS and "," in actual:
            return all(item.strip().startswith(self.value) for item in actual.split(","))
        return actual.startswith(self.value)


class Policy(msgspec.Struct, frozen=True):
    """A parsed policy: when it ends (seconds since the epoch), its conditions, and the allowed bytes of the file."""

    expiration: float
    conditions: tuple[Condition, ...]
    smallest: int = 0
    largest: int | None = None


def parse_policy(encoded: str) -> Policy:
    """Parse a policy in base64. Raises S3Error InvalidPolicyDocument."""
    if len(encoded) > MAX_POLICY:
        raise _invalid("it is too long")
    try:
        document = json.loads(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid("Invalid JSON.") from None
    if not isinstance(document, dict) or document.keys() - {"expiration", "conditions"}:
        raise _invalid("it must have expiration and conditions, and nothing else.")
    expiration = document.get("expiration")
    ends = dates.parse_iso(expiration) if isinstance(expiration, str) else None
    if ends is None:
        raise _invalid("Invalid 'expiration' value.")
    if not isinstance(document.get("conditions"), list):
        raise _invalid("Policy missing conditions.")
    conditions: list[Condition] = []
    smallest, largest = 0, None
    for item in document["conditions"]:
        if isinstance(item, list) and item and item[0] == "content-length-range":
            low, high = _parse_range(item)
            smallest = max(smallest, low)
            largest = high if largest is None else min(largest, high)
        else:
            conditions.extend(_parse_condition(item))
    return Policy(ends, tuple(conditions), smallest, largest)


def _parse_condition(item: Any) -> list[Condition]:
    if isinstance(item, dict) and item:
        if all(isinstance(value, str) for value in item.values()):
            return [Condition("eq", name.lower(), value) for name, value in item.items()]
    elif isinstance(item, list) and len(item) == 3 and all(isinstance(piece, str) for piece in item):  # noqa: PLR2004
        kind, field, value = item
        if kind.lower() in {"eq", "starts-with"} and field.startswith("$") and len(field) > 1:
            return [Condition("eq" if kind.lower() == "eq" else "starts-with", field[1:].lower(), value)]
    raise _invalid("Invalid Simple-Condition: conditions must be objects of texts or lists of three texts.")


def _parse_range(item: list[Any]) -> tuple[int, int]:
    bounds = item[1:]
    if len(bounds) == 2 and all(_is_count(bound) for bound in bounds):  # noqa: PLR2004 - lower and upper
        return int(bounds[0]), int(bounds[1])
    raise _invalid("Invalid content-length-range: it needs two numbers of bytes.")


def _is_count(bound: Any) -> bool:
    if isinstance(bound, str):
        return bound.isascii() and bound.isdigit() and len(bound) <= 19  # noqa: PLR2004 - digits of 2**63
    return isinstance(bound, int) and not isinstance(bound, bool) and bound >= 0


def check_policy(policy: Policy, fields: Mapping[str, str], bucket: str, now: float) -> None:
    """Raise S3Error AccessDenied unless the form is what its signer allowed.

    ``fields`` has lower-case names, in it everything that came before the file. Every condition must be met and every
    field be named by one (but for signatures, the policy itself and ``x-ignore-`` fields); the bucket is the addressed
    one, whatever the form says.
    """
    if now >= policy.expiration:
        raise S3Error("AccessDenied", "Invalid according to Policy: Policy expired.")
    actual = {**fields, "bucket": bucket}
    for condition in policy.conditions:
        if not condition.is_met(actual.get(condition.field)):
            raise S3Error("AccessDenied", f"Invalid according to Policy: Policy Condition failed: {condition}")
    covered = {condition.field for condition in policy.conditions}
    extra = [
        name for name in fields if name not in covered and name not in _UNCOVERED and not name.startswith("x-ignore-")
    ]
    if extra:
        raise S3Error("AccessDenied", f"Invalid according to Policy: Extra input fields: {', '.join(sorted(extra))}")


async def limit_file(stream: AsyncIterable[bytes], policy: Policy) -> AsyncIterator[bytes]:
    """The file's bytes, with its size held to ``content-length-range``. Raises EntityTooLarge or EntityTooSmall."""
    size = 0
    async for data in stream:
        size += len(data)
        if policy.largest is not None and size > policy.largest:
            fields = {"ProposedSize": str(size), "MaxSizeAllowed": str(policy.largest)}
            raise S3Error("EntityTooLarge", fields=fields)
        yield data
    if size < policy.smallest:
        fields = {"ProposedSize": str(size), "MinSizeAllowed": str(policy.smallest)}
        raise S3Error("EntityTooSmall", fields=fields)


def _invalid(why: str) -> S3Error:
    return S3Error("InvalidPolicyDocument", f"Invalid Policy: {why}")
