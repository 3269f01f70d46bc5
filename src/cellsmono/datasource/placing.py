"""Where a datasource may lie: one object service per parent folder, and no tree inside another one."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from cellsmono.interfaces.datasource import DatasourceConfig, Storage
from cellsmono.kernel.errors import AlreadyExists, Conflict, Invalid


def check_place(config: DatasourceConfig, others: Iterable[DatasourceConfig], reserved: Mapping[str, Path]) -> Path:
    """The resolved folder of a datasource, once it is known to disturb no other one.

    ``reserved`` names folders of the program itself (its data folder). Raises Invalid for a folder that can not be a
    bucket, Conflict (reason ``nested``) when one tree would lie inside another: both would index the same files.
    """
    others = list(others)
    _check_name(config, others)
    folder = Path(config.folder)
    if not folder.is_absolute():
        raise Invalid(f"The folder of datasource {config.name!r} must be an absolute path, not {config.folder!r}")
    folder = folder.resolve()
    if folder == folder.parent:
        raise Invalid(
            f"Datasource {config.name!r} can not be the root of the file system: its object service serves the parent "
            "folder, and there is none. Choose a folder inside it."
        )
    for other in others:
        if other.storage is Storage.LOCAL:
            _check_apart(config.name, folder, f"the datasource {other.name!r}", Path(other.folder).resolve())
    for what, place in reserved.items():
        if _lies_in(place.resolve(), folder):
            raise Conflict(
                f"{what} ({place}) lies inside the folder of datasource {config.name!r} ({folder}); it would serve its "
                "own databases. Choose another folder for one of them.",
                reason="nested",
            )
    return folder


def check_bucket(config: DatasourceConfig, others: Iterable[DatasourceConfig]) -> None:
    """Raise Conflict (reason ``nested``) when a datasource in a bucket and another one would hold the same objects."""
    others = list(others)
    _check_name(config, others)
    for other in others:
        if (other.storage, other.endpoint, other.bucket) != (Storage.S3, config.endpoint, config.bucket):
            continue
        mine, theirs = bare_prefix(config.prefix), bare_prefix(other.prefix)
        if mine.startswith(theirs) or theirs.startswith(mine):
            raise Conflict(
                f"Datasource {config.name!r} ({config.place}) and the datasource {other.name!r} ({other.place}) would "
                "hold the same objects. Give each a prefix of its own.",
                reason="nested",
            )


def bare_prefix(prefix: str) -> str:
    """A prefix as keys begin with it: without a ``/`` in front, and with one at its end unless it is empty."""
    bare = prefix.strip("/")
    return bare + "/" if bare else ""


def _check_name(config: DatasourceConfig, others: Iterable[DatasourceConfig]) -> None:
    if any(other.name == config.name for other in others):
        raise AlreadyExists(f"There is a datasource named {config.name!r} already", reason="root", path=config.name)


def _check_apart(name: str, folder: Path, what: str, other: Path) -> None:
    if folder == other:
        raise Conflict(f"{folder} is served by {what} already", reason="nested")
    if _lies_in(folder, other):
        raise Conflict(
            f"The folder of datasource {name!r} ({folder}) lies inside that of {what} ({other}). Serve it through that "
            "one, or choose a folder outside it.",
            reason="nested",
        )
    if _lies_in(other, folder):
        raise Conflict(
            f"The folder of datasource {name!r} ({folder}) contains that of {what} ({other}). Remove that one first, "
            "or choose a folder beside it.",
            reason="nested",
        )


def _lies_in(inner: Path, outer: Path) -> bool:
    return inner == outer or outer in inner.parents
