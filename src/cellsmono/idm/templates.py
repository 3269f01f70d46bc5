"""Templates: a tree path with placeholders, which gives each user a folder. Nothing in it is ever executed.

``personal/{user}`` is the folder of the user's login in the datasource ``personal``. Placeholders: ``{user}`` (login),
``{uuid}``, ``{profile}``, ``{group}`` (the group's path), and ``{hash}`` (64 hex digits made from the login). With a
number, ``{user:2}``, only so many first characters are taken, in lower case: ``personal/{user:1}/{user}`` or
``personal/{hash:2}/{user}`` spread many users over many folders.
"""

import hashlib
import re
from collections.abc import Callable

from cellsmono.idm.names import LONGEST_PATH, key_of
from cellsmono.interfaces.users import User
from cellsmono.kernel.errors import Invalid

FILLER = "_"
"""What a part that is too short is filled up with."""

_PLACEHOLDER = re.compile(r"\{([a-z]+)(?::([1-9][0-9]?))?\}")
_VALUES: dict[str, Callable[[User], str]] = {
    "user": lambda user: user.login,
    "uuid": lambda user: user.uuid,
    "profile": lambda user: user.profile.value,
    "group": lambda user: user.group.strip("/") or FILLER,
    "hash": lambda user: hashlib.sha256(key_of(user.login).encode()).hexdigest(),
}


def check_pattern(pattern: str) -> str:
    """A pattern that can be filled for every user. Raises Invalid."""
    names = [match[1] for match in _PLACEHOLDER.finditer(pattern)]
    for name in names:
        if name not in _VALUES:
            raise Invalid(f"{{{name}}} is no placeholder: there are {', '.join(f'{{{each}}}' for each in _VALUES)}")
    if any(name == "group" and count for name, count in _PLACEHOLDER.findall(pattern)):
        raise Invalid("{group} is taken whole: it may have several levels")
    plain = _PLACEHOLDER.sub("x", pattern)
    segments = plain.split("/")
    if "{" in plain or "}" in plain:
        raise Invalid(f"{pattern!r} has a brace that is no placeholder: those are written {{user}} or {{user:2}}")
    if len(segments) < 2 or any(part in {"", ".", ".."} or not part.isprintable() for part in segments):  # noqa: PLR2004
        raise Invalid(f"{pattern!r} is no template: it is written DATASOURCE/FOLDER, as personal/{{user}}")
    if "{" in pattern.partition("/")[0]:
        raise Invalid(f"{pattern!r} begins with a placeholder: a template lies in one datasource")
    if not names:
        raise Invalid(f"{pattern!r} has no placeholder: it is the same for everybody; use the folder itself as root")
    if len(pattern) > LONGEST_PATH:
        raise Invalid(f"a template has at most {LONGEST_PATH} characters")
    return pattern


def fill_pattern(pattern: str, user: User) -> str:
    """The tree path of the folder that a pattern gives a user."""

    def replace(match: re.Match[str]) -> str:
        value = _VALUES[match[1]](user)
        if match[2] is None:
            return value
        return value[: int(match[2])].lower().ljust(int(match[2]), FILLER)

    return _PLACEHOLDER.sub(replace, pattern) + "/"
