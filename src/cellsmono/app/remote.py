"""What is to be served, as the command line says it: a folder, or a bucket on another S3 server."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cellsmono.app.config_sources import read_datasource
from cellsmono.app.folders import make_bucket_name, read_folder_arguments
from cellsmono.interfaces.datasource import DatasourceConfig, Storage
from cellsmono.kernel.errors import AlreadyExists, Invalid, NotFound

SCHEME = "s3://"
BARE_NAME = "export"
"""What a place is called that nobody gave a name."""


def read_place_argument(argument: str, known: Sequence[DatasourceConfig], given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a datasource for ``[NAME=]FOLDER`` or ``[NAME=]s3://BUCKET/PREFIX``.

    ``given`` are the values that only a bucket has. Raises Invalid when they are given for a folder, and what
    ``read_folder_arguments`` raises.
    """
    name, equals, place = argument.partition("=")
    if argument.startswith(SCHEME):
        name, place = "", argument
    elif not (equals and place.startswith(SCHEME)):
        _refuse_values(argument, given)
        found = read_folder_arguments([argument], known)
        if not found:
            raise AlreadyExists(f"this folder is served already: {argument}")
        return {"name": found[0].name, "folder": found[0].folder}
    bucket, _, prefix = place.removeprefix(SCHEME).partition("/")
    taken = [each.name for each in known]
    if name in taken:
        raise AlreadyExists(f"there is a datasource named {name!r} already; choose another name for {place}")
    chosen = name or make_bucket_name(prefix.strip("/").rpartition("/")[2] or bucket, taken)
    return {"name": chosen, "storage": Storage.S3, "bucket": bucket, "prefix": prefix, **given}


def read_bare_place(argument: str, given: Mapping[str, Any]) -> DatasourceConfig:
    """A place that has no name: ``FOLDER`` or ``s3://BUCKET/PREFIX``. Raises as ``read_place_argument``."""
    if argument.startswith(SCHEME):
        table = read_place_argument(f"{BARE_NAME}={argument}", (), given)
        return read_datasource(table, "the command line", Path.cwd())
    _refuse_values(argument, given)
    folder = Path(argument).expanduser().absolute()
    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder}. Check the path.", path=str(folder))
    return DatasourceConfig(name=BARE_NAME, folder=str(folder))


def _refuse_values(argument: str, given: Mapping[str, Any]) -> None:
    usual = {field.name: field.default for field in msgspec.structs.fields(DatasourceConfig)}
    for name, value in given.items():
        if value != usual[name]:
            flag = "--" + name.replace("_", "-")
            raise Invalid(f"{flag} is for buckets, written [NAME=]s3://BUCKET/PREFIX; {argument!r} is a folder")
