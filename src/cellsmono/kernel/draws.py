"""Random texts that nobody can guess."""

import secrets
import string

LETTERS_AND_DIGITS = string.ascii_letters + string.digits
CAPITALS_AND_DIGITS = string.ascii_uppercase + string.digits
SMALL_AND_DIGITS = string.ascii_lowercase + string.digits


def draw_text(signs: str, length: int) -> str:
    """A text of ``length`` signs, each drawn for itself from the system's source of randomness."""
    return "".join(secrets.choice(signs) for _ in range(length))
