"""Folders given on the command line, made into datasources."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from cellsmono.interfaces.datasource import DatasourceConfig, Storage
from cellsmono.kernel.errors import AlreadyExists, Invalid, NotFound

DEFAULT_NAME = "files"
LEAST = 3
MOST = 63

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def make_bucket_name(folder: str, taken: Iterable[str] = ()) -> str:
    """A folder's own name made safe for a bucket: lower case, unsafe characters as ``-``, 3 to 63 characters, unique.

    What is left of a name in another script may be nothing; it is then called ``files``.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-") or DEFAULT_NAME
    if len(plain) < LEAST:
        plain = f"{plain}-{DEFAULT_NAME}"
    plain = plain[:MOST].strip("-")
    used = set(taken)
    name, number = plain, 2
    while name in used:
        ending = f"-{number}"
        name = plain[: MOST - len(ending)].strip("-") + ending
        number += 1
    return name


def read_folder_arguments(
    arguments: Sequence[str], known: Sequence[DatasourceConfig] = (), *, base: Path | None = None
) -> list[DatasourceConfig]:
    """Datasources for ``FOLDER`` and ``NAME=FOLDER`` arguments.

    A folder that is configured already is not added again. Raises NotFound for a folder that is missing, Invalid for a
    name that no bucket can have, AlreadyExists for one that is taken by another folder.
    """
    found: list[DatasourceConfig] = []
    for argument in arguments:
        name, folder = _split_argument(argument, base or Path.cwd())
        everything = [*known, *found]
        local = [each for each in everything if each.storage is Storage.LOCAL]
        same = next((each for each in local if Path(each.folder).resolve() == folder.resolve()), None)
        if same is not None and name in ("", same.name):
            continue
        if not name:
            name = make_bucket_name(folder.resolve().name, [each.name for each in everything])
        elif any(each.name == name for each in everything):
            raise AlreadyExists(f"there is a datasource named {name!r} already; choose another name for {folder}")
        found.append(DatasourceConfig(name=name, folder=str(folder)))
    return found


def make_default_datasource(data_dir: Path) -> DatasourceConfig:
    """The datasource of somebody who configured none: ``files`` in the data folder, made when it is missing."""
    folder = data_dir / DEFAULT_NAME
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return DatasourceConfig(name=DEFAULT_NAME, folder=str(folder))


def _split_argument(argument: str, base: Path) -> tuple[str, Path]:
    name, equals, rest = argument.partition("=")
    # An existing folder whose own name holds "=" is meant as it stands.
    if not equals or "/" in name or (base / Path(argument).expanduser()).is_dir():
        name, rest = "", argument
    elif not _NAME.fullmatch(name):
        raise Invalid(
            f"{name!r} in {argument!r} can not be a bucket's name: it has 3 to 63 lower-case letters, digits, '-' and "
            "'.', and a letter or digit at both ends"
        )
    if not rest:
        # An empty path would be the folder that the command is in: nobody means that who left a variable unset.
        raise Invalid(f"{argument!r} names no folder; the one that you are in is written .")
    folder = (base / Path(rest).expanduser()).absolute()
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise Invalid(
            f"the path {os.fsencode(folder)!r} is not valid UTF-8 and can not be written into a configuration; give "
            "the folder another name, or mount it elsewhere"
        ) from None
    if not folder.exists():
        raise NotFound(f"the folder {folder} does not exist; make it first, or mind the spelling")
    if not folder.is_dir():
        raise Invalid(f"{folder} is not a folder")
    return name, folder
