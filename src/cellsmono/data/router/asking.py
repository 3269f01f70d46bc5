"""What the policy of a bucket is asked, and on whose behalf."""

import math
from datetime import UTC, datetime
from typing import Final

import msgspec

from cellsmono.data.policy.document import arn_of, parse_policy
from cellsmono.data.policy.evaluation import Decision, Who, evaluate, needs_tags
from cellsmono.data.policy.keys import LOCK_DAYS, LOCK_HOLD, LOCK_MODE, LOCK_UNTIL, VERSION_ID
from cellsmono.data.policy.request import Known
from cellsmono.interfaces.locks import ObjectLock
from cellsmono.interfaces.node import NodeMeta
from cellsmono.interfaces.router import Actor, Circumstances
from cellsmono.kernel.errors import Invalid
from cellsmono.kernel.log import get_logger

log = get_logger("rights")

_NOW: Final = "aws:epochtime"
_DAY: Final = 86_400
_NULL: Final = "null"
_WHO: Final = {"owner": Who.OWNER, "anonymous": Who.ANYBODY}
"""Whoever else comes here is the server itself, on behalf of a user."""


class Details(msgspec.Struct, frozen=True):
    """What is known of the node that is asked about.

    ``version`` is the id of the version of it, None for the current one. ``asked`` is the metadata that it is to get.
    ``found`` is the metadata that it has: none where nothing is, and None while nobody looked.
    """

    version: str | None = None
    asked: NodeMeta | None = None
    found: NodeMeta | None = None


NO_DETAILS: Final = Details()


def ask_policy(actor: Actor, bucket: str, text: str, action: str, path: str, details: Details) -> Decision | None:
    """What the policy ``text`` says; None where that takes the tags of the object, at which nobody looked."""
    try:
        policy = parse_policy(text, bucket)
    except Invalid as error:
        # It was good when it was put, by another version of this server: nothing is guessed.
        log.error("the policy of a bucket can not be read and denies everything", bucket=bucket, error=error.message)
        return Decision.DENY
    who, resource = _WHO.get(actor.kind, Who.USER), arn_of(bucket, path)
    if details.found is None and needs_tags(policy, who=who, action=action, resource=resource):
        return None
    known = describe(actor.circumstances, details)
    return evaluate(policy, who=who, action=action, resource=resource, known=known)


def describe(circumstances: Circumstances, details: Details) -> Known:
    """All that conditions may ask for."""
    values = dict(circumstances.values)
    if details.version is not None:
        values[VERSION_ID] = details.version or _NULL
    asked = details.asked
    tags, lock = (circumstances.tags, circumstances.lock) if asked is None else (asked.tags, asked.lock)
    if lock is not None:
        values |= _describe_lock(lock, values.get(_NOW))
    return Known(values, tags, None if details.found is None else details.found.tags)


def _describe_lock(lock: ObjectLock, now: str | None) -> dict[str, str]:
    """What a lock that is asked for is in a policy's words; of a day that has begun it keeps the whole."""
    values: dict[str, str] = {LOCK_HOLD: lock.hold} if lock.hold else {}
    if lock.mode:
        values[LOCK_MODE] = lock.mode
        values[LOCK_UNTIL] = datetime.fromtimestamp(lock.until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if now is not None:
            # Both ends are in whole seconds, which may add one to what was asked for.
            values[LOCK_DAYS] = str(math.ceil((lock.until - float(now) - 1) / _DAY))
    return values
