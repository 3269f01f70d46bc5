"""Patterns of policies: the part of regular expressions that can be matched in a time that grows with the text alone.

Cells writes subjects and resources as ``rest:/tree/<.+>``: what stands in angle brackets is an expression. An
administrator's expression must not be able to stop the server, so that there is no backtracking here: ``.``, ``.+``,
``.*``, ``(one|two)`` or ``one|two`` as a whole, and ``\\`` before a character that is meant itself; nothing else.
"""

import re
from functools import lru_cache

import msgspec

from cellsmono.kernel.errors import Invalid

LONGEST_PATTERN = 500
LONGEST_TEXT = 16_384
"""Characters that are looked at, more than the line of a request has; what is longer fits only what ends in a gap."""

_TOKEN = re.compile(r"\.[*+]?|\(([^()]*)\)|\\(.)|([^\\.*+?(){}\[\]|^$])")


class Gap(msgspec.Struct, frozen=True):
    """Any characters, at least so many; exactly one if ``is_single``."""

    least: int
    is_single: bool = False


Token = Gap | tuple[str, ...]
"""A gap, or one of several texts."""


@lru_cache(maxsize=4_096)
def compile_pattern(pattern: str) -> tuple[Token, ...]:
    """A pattern with expressions in angle brackets. Raises Invalid."""
    _check_length(pattern)
    tokens: list[Token] = []
    rest = pattern
    while rest:
        text, bracket, rest = rest.partition("<")
        if text:
            tokens.append((text,))
        if bracket:
            expression, end, rest = rest.partition(">")
            if not end:
                raise Invalid(f"{pattern!r} has < without >", reason="policy")
            tokens += _compile(expression, pattern)
    return _check_tokens(tuple(tokens), pattern)


@lru_cache(maxsize=1_024)
def compile_expression(expression: str) -> tuple[Token, ...]:
    """An expression that may match anywhere in a text, unless it begins with ``^`` or ends in ``$``. Raises Invalid."""
    _check_length(expression)
    before: list[Token] = [] if expression.startswith("^") else [Gap(0)]
    after: list[Token] = [] if expression.endswith("$") else [Gap(0)]
    inside = _compile(expression.removeprefix("^").removesuffix("$"), expression)
    return _check_tokens((*before, *inside, *after), expression)


def matches(tokens: tuple[Token, ...], text: str) -> bool:
    """Whether a text as a whole is what the tokens say."""
    if len(tokens) == 1 and isinstance(tokens[0], tuple):
        return text in tokens[0]
    if len(text) > LONGEST_TEXT and tokens and tokens[-1] in {Gap(0), Gap(1)}:
        text = text[:LONGEST_TEXT]
    end = len(text)
    if end > LONGEST_TEXT:
        return False
    places = {0}
    for token in tokens[:-1]:
        places = _go_on(places, token, text)
        if not places:
            return False
    last = tokens[-1]
    if isinstance(last, Gap) and not last.is_single:
        return min(places) + last.least <= end
    return end in _go_on(places, last, text)


def _go_on(places: set[int], token: Token, text: str) -> set[int]:
    """Where a token may end that begins at one of these places."""
    end = len(text)
    if isinstance(token, tuple):
        return {place + len(each) for place in places for each in token if text.startswith(each, place)}
    if token.is_single:
        return {place + 1 for place in places if place < end}
    return set(range(min(places) + token.least, end + 1))


def _check_length(pattern: str) -> None:
    if not pattern or len(pattern) > LONGEST_PATTERN:
        raise Invalid(f"a pattern has 1 to {LONGEST_PATTERN} characters", reason="policy")


def _check_tokens(tokens: tuple[Token, ...], whole: str) -> tuple[Token, ...]:
    if not tokens:
        raise Invalid(f"{whole!r} can not be a pattern: it says nothing", reason="policy")
    return tokens


def _compile(expression: str, whole: str) -> list[Token]:
    if "|" in expression and "(" not in expression:
        expression = f"({expression})"
    tokens: list[Token] = []
    at = 0
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        if found is None:
            raise Invalid(
                f"{whole!r} can not be a pattern, because of {expression[at]!r}: there are ., .+, .*, (one|two), and "
                "\\ "
                "before a character that is meant itself",
                reason="policy",
            )
        tokens.append(_read_token(found, whole))
        at = found.end()
    return tokens


def _read_token(found: re.Match[str], whole: str) -> Token:
    choices, escaped, plain = found.groups()
    if choices is not None:
        texts = tuple(_read_choice(each, whole) for each in choices.split("|"))
        return texts
    if escaped is not None or plain is not None:
        return (escaped or plain,)
    return {".": Gap(1, is_single=True), ".+": Gap(1), ".*": Gap(0)}[found[0]]


def _read_choice(text: str, whole: str) -> str:
    plain = re.sub(r"\\(.)", r"\1", text)
    if re.search(r"(?<!\\)[.*+?{}\[\]^$]", text):
        raise Invalid(f"{whole!r} can not be a pattern: between ( and ) stand plain texts", reason="policy")
    return plain
