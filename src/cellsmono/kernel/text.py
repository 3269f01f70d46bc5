"""Text from outside made fit for a log or a terminal: no secrets in it, nothing that drives the terminal."""

import re

HIDDEN = "[hidden]"

_SECRET_IN_TEXT = re.compile(
    r"""
    (?P<name>
        X-Amz-(?:Signature|Credential|Security-Token)= | AWSAccessKeyId= | chunk-signature=
      | (?<![A-Za-z0-9])(?:Signature|Credential)= | x-amz-(?:security-token|trailer-signature):[ ]*
      | (?<![A-Za-z0-9])secret(?:_key|_access_key)?[=:][ ]*
      | (?:Bearer|Basic)[ ]+(?=[A-Za-z0-9+/=._~-]{12}) | AWS[ ](?=[^\s:]+:)
    )
    (?P<value>[^&,;\s"']+)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ud800-\udfff]"
)


def escape_text(text: str) -> str:
    """The text with everything escaped that could move a cursor, break a line or turn the writing direction."""
    return _UNPRINTABLE.sub(_escape_character, text)


def hide_secrets(text: str) -> str:
    """The text without the signatures, credentials and bearer tokens in it."""
    return _SECRET_IN_TEXT.sub(lambda found: found["name"] + HIDDEN, text)


def _escape_character(found: "re.Match[str]") -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - the end of Latin-1
