"""Which names users and groups may have: each must be good as a folder's name, and no two may look alike by case."""

import re
import unicodedata

from cellsmono.interfaces.users import ROOT_PATH
from cellsmono.kernel.errors import Invalid

LONGEST_NAME = 64
LONGEST_PATH = 512
LONGEST_ATTRIBUTE = 1_000
MOST_ATTRIBUTES = 50

_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*")
_ATTRIBUTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_login(login: str) -> str:
    """A login that a new user may have. Raises Invalid.

    It becomes the name of a folder and part of paths, so it is ASCII: letters of other scripts that look the same make
    no second user.
    """
    if len(login) > LONGEST_NAME or not _LOGIN.fullmatch(login):
        raise Invalid(
            f"{login!r} can not be a login: up to {LONGEST_NAME} letters (a to z), digits and the signs . _ - @ +, "
            "beginning with a letter or digit",
            reason="login",
        )
    return login


def key_of(name: str) -> str:
    """What is compared: names that differ in case or Unicode form alone are one."""
    return unicodedata.normalize("NFC", name).casefold()


def check_group_path(path: str) -> str:
    """The path of a group in its usual form. Raises Invalid."""
    if not path.startswith("/"):
        raise Invalid(f"{path!r} is no group: a group is written /NAME/NAME, and / is the one of everybody")
    names = [check_group_name(name) for name in path.strip("/").split("/")] if path.strip("/") else []
    clean = ROOT_PATH + "/".join(names)
    if len(clean) > LONGEST_PATH:
        raise Invalid(f"the path of a group has at most {LONGEST_PATH} characters")
    return clean


def check_group_name(name: str) -> str:
    """One name in the path of a group, in its usual Unicode form. Raises Invalid."""
    name = unicodedata.normalize("NFC", name)
    is_good = 0 < len(name) <= LONGEST_NAME and name == name.strip() and name[0] != "." and name.isprintable()
    if not is_good or "/" in name:
        raise Invalid(
            f"{name!r} can not be the name of a group: 1 to {LONGEST_NAME} printable characters, no dot at the start "
            "and no space at either end"
        )
    return name


def check_label(label: str) -> str:
    """The label of a role in its usual Unicode form. Raises Invalid."""
    label = unicodedata.normalize("NFC", label)
    if not (0 < len(label) <= LONGEST_NAME and label == label.strip() and label.isprintable()):
        raise Invalid(f"{label!r} can not be a label: 1 to {LONGEST_NAME} printable characters, no space at either end")
    return label


def check_attributes(attributes: dict[str, str]) -> None:
    """Raise Invalid for attributes that can not be kept."""
    if len(attributes) > MOST_ATTRIBUTES:
        raise Invalid(f"a user has at most {MOST_ATTRIBUTES} attributes")
    for name, value in attributes.items():
        if len(name) > LONGEST_NAME or not _ATTRIBUTE.fullmatch(name):
            raise Invalid(f"{name!r} can not be an attribute: letters (a to z), digits and the signs . _ -")
        if len(value) > LONGEST_ATTRIBUTE:
            raise Invalid(f"the attribute {name!r} is too long: at most {LONGEST_ATTRIBUTE} characters")
