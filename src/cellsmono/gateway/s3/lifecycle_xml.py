"""Lifecycle rules as XML. Source: "PutBucketLifecycleConfiguration" in the Amazon S3 API reference."""

import secrets
from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element

import msgspec

from cellsmono.gateway.s3.dates import NS_PER_SECOND, format_iso, parse_iso
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.xml_read import check_tags, child_text, only_children, parse_xml, read_bool
from cellsmono.gateway.s3.xml_write import document, element
from cellsmono.interfaces.lifecycle import LifecycleRule

MAX_RULES: Final = 1000
_MAX_ID: Final = 255
_MAX_PREFIX: Final = 1024
_MAX_INT: Final = 2**31 - 1
_MAX_SIZE: Final = 2**63 - 1
_MAX_NEWER: Final = 100
_MIDNIGHT: Final = 86_400

_REFUSED: Final = {
    "Transition": "Transitions are not implemented: there is one storage for all classes.",
    "NoncurrentVersionTransition": "Transitions are not implemented: there is one storage for all classes.",
}
_FILTERS: Final = ("Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan")


def read_lifecycle(body: bytes) -> tuple[LifecycleRule, ...]:
    """Parse a ``LifecycleConfiguration``: 1 to 1,000 rules.

    Raises S3Error MalformedXML, InvalidArgument, InvalidRequest; NotImplemented for what means nothing here.
    """
    root = parse_xml(body, ("LifecycleConfiguration", "BucketLifecycleConfiguration"))
    rules = tuple(_read_rule(rule) for rule in only_children(root, "Rule"))
    if not 1 <= len(rules) <= MAX_RULES:
        raise S3Error("MalformedXML")
    if len({rule.id for rule in rules}) != len(rules):
        raise S3Error("InvalidArgument", "Rule ID must be unique. Found same ID for one or more rules")
    return rules


def _read_rule(rule: Element) -> LifecycleRule:
    known = ("ID", "Status", "Prefix", "Filter", *_ACTIONS, *_REFUSED)
    children = {child.tag: child for child in only_children(rule, *known)}
    for name, why in _REFUSED.items():
        if name in children:
            raise S3Error("NotImplemented", why)
    if len(children) != len(rule):
        raise S3Error("MalformedXML")
    identity = child_text(rule, "ID", "").strip() or secrets.token_urlsafe(24)
    if len(identity) > _MAX_ID:
        raise S3Error("InvalidArgument", f"ID length should not exceed allowed limit of {_MAX_ID}")
    status = child_text(rule, "Status").strip()
    if status not in {"Enabled", "Disabled"} or ("Filter" in children) == ("Prefix" in children):
        raise S3Error("MalformedXML")
    found = LifecycleRule(identity, status == "Enabled", has_filter="Filter" in children)
    if "Filter" in children:
        found = _read_filter(found, children["Filter"])
    else:
        found = msgspec.structs.replace(found, prefix=_check_prefix(child_text(rule, "Prefix")))
    for name, read in _ACTIONS.items():
        if name in children:
            found = read(found, children[name])
    if not any(name in children for name in _ACTIONS):
        raise S3Error("InvalidRequest", "At least one action needs to be specified in a rule")
    return found


def _read_filter(rule: LifecycleRule, filter_: Element) -> LifecycleRule:
    """One condition, or several below ``And``."""
    children = list(only_children(filter_, "And", *_FILTERS))
    if len(children) > 1:
        raise S3Error("MalformedXML")
    if children and children[0].tag == "And":
        filter_ = children[0]
        children = list(only_children(filter_, *_FILTERS))
        if len(children) < 2:  # noqa: PLR2004 - "and" needs two
            raise S3Error("MalformedXML")
    pairs = [(child_text(tag, "Key"), child_text(tag, "Value")) for tag in children if tag.tag == "Tag"]
    larger, smaller = _read_size(filter_, "ObjectSizeGreaterThan"), _read_size(filter_, "ObjectSizeLessThan")
    if larger is not None and smaller is not None and larger >= smaller:
        raise S3Error("InvalidRequest", "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
    return msgspec.structs.replace(
        rule,
        prefix=_check_prefix(child_text(filter_, "Prefix", "")),
        tags=check_tags(pairs, _MAX_INT),
        larger_than=larger,
        smaller_than=smaller,
    )


def _check_prefix(prefix: str) -> str:
    if len(prefix.encode("utf-8", "replace")) > _MAX_PREFIX:
        raise S3Error("InvalidRequest", f"The maximum size of a prefix is {_MAX_PREFIX}.")
    return prefix


def _read_size(filter_: Element, name: str) -> int | None:
    text = child_text(filter_, name, "").strip()
    return _read_number(text, _MAX_SIZE) if text else None


def _read_number(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= most):  # noqa: PLR2004 - digits
        raise S3Error("MalformedXML")
    return int(text)


def _read_days(text: str, name: str, action: str) -> int:
    digits = text.removeprefix("-")
    days = _read_number(digits, _MAX_INT)
    if digits != text or not days:
        raise S3Error("InvalidArgument", f"'{name}' for {action} action must be a positive integer")
    return days


def _read_expiration(rule: LifecycleRule, expiration: Element) -> LifecycleRule:
    children = list(only_children(expiration, "Days", "Date", "ExpiredObjectDeleteMarker"))
    if len(children) != 1:
        raise S3Error("MalformedXML")
    text = child_text(expiration, children[0].tag).strip()
    if children[0].tag == "Days":
        return msgspec.structs.replace(rule, days=_read_days(text, "Days", "Expiration"))
    if children[0].tag == "Date":
        return msgspec.structs.replace(rule, date=_read_date(text))
    if not read_bool(text):
        raise S3Error("MalformedXML")
    if rule.tags:
        raise S3Error("InvalidRequest", "ExpiredObjectDeleteMarker cannot be specified with Tags.")
    return msgspec.structs.replace(rule, expires_markers=True)


def _read_date(text: str) -> int:
    date = parse_iso(text if "T" in text else text + "T00:00:00Z")
    if date is None:
        raise S3Error("MalformedXML")
    if date % _MIDNIGHT:
        raise S3Error("InvalidArgument", "'Date' must be at midnight GMT")
    return int(date)


def _read_abort(rule: LifecycleRule, abort: Element) -> LifecycleRule:
    list(only_children(abort, "DaysAfterInitiation"))
    days = _read_days(
        child_text(abort, "DaysAfterInitiation").strip(), "DaysAfterInitiation", "AbortIncompleteMultipartUpload"
    )
    if rule.tags:
        raise S3Error("InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with Tags.")
    if rule.larger_than is not None or rule.smaller_than is not None:
        raise S3Error("InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with object sizes.")
    return msgspec.structs.replace(rule, abort_days=days)


def _read_noncurrent(rule: LifecycleRule, expiration: Element) -> LifecycleRule:
    action = "NoncurrentVersionExpiration"
    list(only_children(expiration, "NoncurrentDays", "NewerNoncurrentVersions"))
    days = _read_days(child_text(expiration, "NoncurrentDays").strip(), "NoncurrentDays", action)
    text = child_text(expiration, "NewerNoncurrentVersions", "").strip()
    newer = _read_days(text, "NewerNoncurrentVersions", action) if text else 0
    if newer > _MAX_NEWER:
        raise S3Error("InvalidArgument", f"'NewerNoncurrentVersions' must be between 1 and {_MAX_NEWER}")
    return msgspec.structs.replace(rule, noncurrent_days=days, keeps_newer=newer)


_ACTIONS: Final = {
    "Expiration": _read_expiration,
    "NoncurrentVersionExpiration": _read_noncurrent,
    "AbortIncompleteMultipartUpload": _read_abort,
}


def write_lifecycle(rules: Sequence[LifecycleRule]) -> bytes:
    """GetBucketLifecycleConfiguration."""
    return document("LifecycleConfiguration", "".join(_write_rule(rule) for rule in rules))


def _write_rule(rule: LifecycleRule) -> str:
    parts = [element("ID", rule.id)]
    parts.append(_write_filter(rule) if rule.has_filter else element("Prefix", rule.prefix))
    parts.append(element("Status", "Enabled" if rule.is_enabled else "Disabled"))
    if rule.days:
        parts.append(f"<Expiration>{element('Days', rule.days)}</Expiration>")
    if rule.date is not None:
        parts.append(f"<Expiration>{element('Date', format_iso(rule.date * NS_PER_SECOND))}</Expiration>")
    if rule.expires_markers:
        parts.append("<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>")
    if rule.noncurrent_days:
        newer = element("NewerNoncurrentVersions", rule.keeps_newer) if rule.keeps_newer else ""
        days = element("NoncurrentDays", rule.noncurrent_days)
        parts.append(f"<NoncurrentVersionExpiration>{newer}{days}</NoncurrentVersionExpiration>")
    if rule.abort_days:
        days = element("DaysAfterInitiation", rule.abort_days)
        parts.append(f"<AbortIncompleteMultipartUpload>{days}</AbortIncompleteMultipartUpload>")
    return f"<Rule>{''.join(parts)}</Rule>"


def _write_filter(rule: LifecycleRule) -> str:
    parts = [element("Prefix", rule.prefix)] if rule.prefix else []
    parts += [f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in rule.tags.items()]
    if rule.larger_than is not None:
        parts.append(element("ObjectSizeGreaterThan", rule.larger_than))
    if rule.smaller_than is not None:
        parts.append(element("ObjectSizeLessThan", rule.smaller_than))
    if not parts:
        parts = [element("Prefix", "")]
    inner = "".join(parts)
    return f"<Filter><And>{inner}</And></Filter>" if len(parts) > 1 else f"<Filter>{inner}</Filter>"
