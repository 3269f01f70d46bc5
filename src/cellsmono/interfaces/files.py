"""Files and folders as a user sees them, by paths that begin with the slug of a workspace."""

import msgspec

from cellsmono.interfaces.people import Request


class ShownFile(msgspec.Struct, frozen=True):
    """One file or folder. ``path`` begins with the slug; that of a folder ends in ``/``.

    ``mtime`` is seconds since the epoch, UTC. Of a folder ``size`` is 0 in listings, and all that it holds where it was
    asked for alone (``files`` then counts them), unless some of it is kept from the user. ``meta`` is user metadata.
    """

    path: str
    uuid: str
    size: int
    mtime: float
    etag: str = ""
    content_type: str = ""
    content_hash: str = ""
    meta: dict[str, str] = {}
    files: int = 0

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.path.endswith("/")


class ListFiles(Request[list[ShownFile]], frozen=True):
    """What is in a folder, by name, from the first name after ``after`` on; the workspaces without a path.

    Raises NotFound for what is no folder.
    """

    login: str
    path: str = ""
    after: str = ""
    limit: int = 1000
    scopes: tuple[str, ...] = ()


class StatFile(Request[ShownFile], frozen=True):
    """One file or folder. Raises NotFound."""

    login: str
    path: str
    scopes: tuple[str, ...] = ()


class MakeFolder(Request[ShownFile], frozen=True):
    """Make a folder; with ``with_parents`` missing folders above it too, and one that is there is good as it is.

    Raises AlreadyExists for a name that is taken, NotFound where the folder above is missing, Conflict below a file.
    """

    login: str
    path: str
    with_parents: bool = False
    scopes: tuple[str, ...] = ()


class SetFileMeta(Request[ShownFile], frozen=True):
    """Set user metadata of a file; an empty value removes one. Raises Conflict for folders, which have none."""

    login: str
    path: str
    meta: dict[str, str]
    scopes: tuple[str, ...] = ()
