"""CORS rules as XML."""

from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element

from cellsmono.gateway.s3.cors import METHODS
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.metadata import is_header_safe
from cellsmono.gateway.s3.xml_read import child_text, only_children, parse_xml
from cellsmono.gateway.s3.xml_write import document, element, optional
from cellsmono.interfaces.bucket_settings import CorsRule

MAX_BYTES: Final = 64 * 1024
MAX_RULES: Final = 100
_MAX_ID: Final = 255
_MAX_DIGITS: Final = 9


def read_cors(body: bytes) -> tuple[CorsRule, ...]:
    """Parse a ``CORSConfiguration``: 1 to 100 rules. Raises S3Error MalformedXML or InvalidRequest."""
    if len(body) > MAX_BYTES:
        raise S3Error("MalformedXML")
    root = parse_xml(body, "CORSConfiguration")
    rules = tuple(_read_rule(rule) for rule in only_children(root, "CORSRule"))
    if not 1 <= len(rules) <= MAX_RULES:
        raise S3Error("MalformedXML")
    return rules


def _read_rule(rule: Element) -> CorsRule:
    texts: dict[str, list[str]] = {}
    for child in only_children(
        rule, "AllowedMethod", "AllowedOrigin", "AllowedHeader", "ExposeHeader", "MaxAgeSeconds", "ID"
    ):
        text = (child.text or "").strip()
        if len(child) or not text or not is_header_safe(text):
            raise S3Error("MalformedXML")
        texts.setdefault(child.tag, []).append(text)
    methods, origins = texts.get("AllowedMethod", []), texts.get("AllowedOrigin", [])
    if not methods or not origins:
        raise S3Error("MalformedXML")
    for method in methods:
        if method not in METHODS:
            raise _invalid(f"Found unsupported HTTP method in CORS config. Unsupported method is {method}")
    for name in ("AllowedOrigin", "AllowedHeader"):
        for text in texts.get(name, []):
            if text.count("*") > 1:
                raise _invalid(f'{name} "{text}" can not have more than one wildcard.')
    for text in texts.get("ExposeHeader", []):
        if "*" in text:
            raise _invalid(f'ExposeHeader "{text}" contains wildcard. We currently do not support wildcard for it.')
    identity = child_text(rule, "ID", "").strip()
    if len(identity) > _MAX_ID:
        raise _invalid(f"ID length should not exceed allowed limit of {_MAX_ID}")
    return CorsRule(
        methods=tuple(dict.fromkeys(methods)),
        origins=tuple(origins),
        headers=tuple(text.lower() for text in texts.get("AllowedHeader", [])),
        exposed=tuple(texts.get("ExposeHeader", [])),
        max_age=_read_age(child_text(rule, "MaxAgeSeconds", "").strip()),
        id=identity,
    )


def _read_age(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise S3Error("MalformedXML")
    return int(text)


def _invalid(message: str) -> S3Error:
    return S3Error("InvalidRequest", message)


def write_cors(rules: Sequence[CorsRule]) -> bytes:
    """GetBucketCors."""
    return document("CORSConfiguration", "".join(_write_rule(rule) for rule in rules))


def _write_rule(rule: CorsRule) -> str:
    parts = [optional("ID", rule.id)]
    for name, texts in (
        ("AllowedHeader", rule.headers),
        ("AllowedMethod", rule.methods),
        ("AllowedOrigin", rule.origins),
        ("ExposeHeader", rule.exposed),
    ):
        parts += [element(name, text) for text in texts]
    if rule.max_age is not None:
        parts.append(element("MaxAgeSeconds", rule.max_age))
    return f"<CORSRule>{''.join(parts)}</CORSRule>"
