"""Patterns with ``*`` (any text) and ``?`` (one character), matched without going back."""

import re
from functools import lru_cache
from typing import Final

import msgspec

_WILD: Final = re.compile(r"[*?]")


class Pattern(msgspec.Struct, frozen=True):
    """A pattern, cut at its ``*``. Pieces with a ``?`` are expressions of fixed length, the others plain text.

    Each piece is looked for after the end of the one before, at the first place where it stands: a later place could
    only leave less for the rest. So the time is at most in proportion to pattern times text.
    """

    pieces: tuple[str, ...]

    def matches(self, text: str) -> bool:
        """Whether the whole text is of this form."""
        first, last = self.pieces[0], self.pieces[-1]
        if len(self.pieces) == 1:
            return len(text) == len(first) and _stands_at(first, text, 0)
        end = len(text) - len(last)
        if end < len(first) or not _stands_at(first, text, 0) or not _stands_at(last, text, end):
            return False
        at = len(first)
        for piece in self.pieces[1:-1]:
            found = _find(piece, text, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True


def compile_pattern(text: str) -> Pattern:
    """The pattern that a text stands for."""
    first, *others = text.split("*")
    # ``**`` is ``*``: empty pieces say nothing, but at the ends.
    middle = [piece for piece in others[:-1] if piece]
    return Pattern((first, *middle, *others[-1:]))


def is_wild(text: str) -> bool:
    """Whether a text has any ``*`` or ``?``."""
    return _WILD.search(text) is not None


def _stands_at(piece: str, text: str, at: int) -> bool:
    if "?" not in piece:
        return text.startswith(piece, at)
    return _expression(piece).match(text, at) is not None


def _find(piece: str, text: str, start: int, end: int) -> int:
    if "?" not in piece:
        return text.find(piece, start, end)
    found = _expression(piece).search(text, start, end)
    return -1 if found is None else found.start()


@lru_cache(maxsize=512)
def _expression(piece: str) -> re.Pattern[str]:
    return re.compile("".join("." if sign == "?" else re.escape(sign) for sign in piece), re.DOTALL)
