"""Object locks as XML. Source: PutObjectLockConfiguration, PutObjectRetention, PutObjectLegalHold of the S3 API."""

from datetime import UTC, datetime
from typing import Final, cast
from xml.etree.ElementTree import Element

from cellsmono.gateway.s3.dates import NS_PER_SECOND, format_iso
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.xml_read import child_text, only_children, parse_xml
from cellsmono.gateway.s3.xml_write import document, element
from cellsmono.interfaces.locks import COMPLIANCE, GOVERNANCE, MAX_DAYS, MAX_YEARS, Hold, LockRule, Mode, ObjectLock

_MODES: Final = frozenset({GOVERNANCE, COMPLIANCE})
_HOLDS: Final = frozenset({"ON", "OFF"})
_DIGITS: Final = 10


def as_mode(text: str) -> Mode | None:
    """A mode; None for what is none."""
    return cast(Mode, text) if text in _MODES else None


def as_hold(text: str) -> Hold | None:
    """The state of a legal hold; None for what is none."""
    return cast(Hold, text) if text in _HOLDS else None


def parse_until(text: str) -> int | None:
    """An ISO 8601 time with its zone, in seconds since the epoch, a fraction rounded up; None for anything else."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if at.tzinfo is None or "T" not in text:
        return None
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        return None
    return int(at.replace(microsecond=0).timestamp()) + (at.microsecond > 0)


def format_until(lock: ObjectLock) -> str:
    """When a retention ends, as answers tell it."""
    return format_iso(lock.until * NS_PER_SECOND)


def read_lock_rule(body: bytes) -> LockRule:
    """Parse an ``ObjectLockConfiguration``. Raises S3Error MalformedXML, InvalidArgument."""
    root = parse_xml(body, "ObjectLockConfiguration")
    rules = [child for child in only_children(root, "ObjectLockEnabled", "Rule") if child.tag == "Rule"]
    if child_text(root, "ObjectLockEnabled").strip() != "Enabled" or len(rules) > 1:
        raise S3Error("MalformedXML")
    if not rules:
        return LockRule()
    defaults = list(only_children(rules[0], "DefaultRetention"))
    if len(defaults) != 1:
        raise S3Error("MalformedXML")
    return _read_default(defaults[0])


def _read_default(default: Element) -> LockRule:
    names = [child.tag for child in only_children(default, "Mode", "Days", "Years")]
    mode = as_mode(child_text(default, "Mode").strip())
    if mode is None or ("Days" in names) == ("Years" in names):
        raise S3Error("MalformedXML")
    if "Days" in names:
        return LockRule(mode, days=_read_period(child_text(default, "Days"), MAX_DAYS))
    return LockRule(mode, years=_read_period(child_text(default, "Years"), MAX_YEARS))


def _read_period(text: str, most: int) -> int:
    text = text.strip()
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS):
        raise S3Error("MalformedXML")
    if int(text) <= 0:
        raise S3Error("InvalidArgument", "Default retention period must be a positive integer value")
    if int(text) > most:
        raise S3Error("InvalidArgument", f"Default retention period too large: the maximum is {most}")
    return int(text)


def write_lock_rule(rule: LockRule) -> bytes:
    """GetObjectLockConfiguration."""
    inner = element("ObjectLockEnabled", "Enabled")
    if rule.mode:
        period = element("Days", rule.days) if rule.days else element("Years", rule.years)
        inner += f"<Rule><DefaultRetention>{element('Mode', rule.mode)}{period}</DefaultRetention></Rule>"
    return document("ObjectLockConfiguration", inner)


def read_retention(body: bytes) -> tuple[Mode, int]:
    """Parse a ``Retention``: mode and end, or neither, which takes it away. Raises S3Error MalformedXML."""
    root = parse_xml(body, "Retention")
    if not list(only_children(root, "Mode", "RetainUntilDate")):
        return "", 0
    mode = as_mode(child_text(root, "Mode").strip())
    until = parse_until(child_text(root, "RetainUntilDate"))
    if mode is None or until is None:
        raise S3Error("MalformedXML")
    return mode, until


def write_retention(lock: ObjectLock) -> bytes:
    """GetObjectRetention."""
    return document("Retention", element("Mode", lock.mode) + element("RetainUntilDate", format_until(lock)))


def read_hold(body: bytes) -> Hold:
    """Parse a ``LegalHold``. Raises S3Error MalformedXML."""
    root = parse_xml(body, "LegalHold")
    list(only_children(root, "Status"))
    hold = as_hold(child_text(root, "Status").strip())
    if hold is None:
        raise S3Error("MalformedXML")
    return hold


def write_hold(lock: ObjectLock) -> bytes:
    """GetObjectLegalHold."""
    return document("LegalHold", element("Status", lock.hold))
