"""The text arithmetic of S3 listings: what follows a prefix, and which common prefix a key is rolled up into.

Python compares ``str`` by code point, which is the byte order of the UTF-8 form, so no key is ever encoded here.
"""

LAST_CODE_POINT = 0x10FFFF
FIRST_SURROGATE = 0xD800
LAST_SURROGATE = 0xDFFF


def end_of_prefix(prefix: str) -> str | None:
    """The smallest text greater than every text that starts with ``prefix``; None when there is no such text."""
    for at in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[at])
        if code == LAST_CODE_POINT:
            continue
        code += 1
        if FIRST_SURROGATE <= code <= LAST_SURROGATE:
            code = LAST_SURROGATE + 1
        return prefix[:at] + chr(code)
    return None


def just_after(text: str) -> str:
    """The smallest text greater than ``text``."""
    return text + "\0"


def common_prefix(key: str, prefix: str, delimiter: str) -> str:
    """What ``key`` is rolled up into; empty when it stands for itself."""
    if not delimiter or not key.startswith(prefix):
        return ""
    at = key.find(delimiter, len(prefix))
    return "" if at < 0 else key[: at + len(delimiter)]


def first_candidate(prefix: str, delimiter: str, after: str) -> str | None:
    """The smallest text that a key of the listing may equal; None when nothing can follow ``after``."""
    if after < prefix:
        return prefix
    if not after:
        return ""
    rolled = common_prefix(after, prefix, delimiter)
    start = end_of_prefix(rolled) if rolled else just_after(after)
    end = end_of_prefix(prefix)
    if start is None or (end is not None and start >= end):
        return None
    return start
