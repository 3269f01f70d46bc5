"""The files of all indexes in the data folder, and which of them must not be lost.

The index of a structured datasource only follows a folder: it may be deleted, and is made anew. That of a flat one
alone knows a tree, which a mark beside it says. It is never opened by a datasource of the other kind, and set aside
instead of deleted when its datasource is removed.
"""

import itertools
import shutil
from contextlib import suppress
from pathlib import Path

from cellsmono.kernel.errors import Conflict

_MARK = "flat"
_KEPT = "kept-{}.db"
"""Name of an index that was set aside, by the UUID of its root."""


class IndexFiles:
    """One folder for each datasource, by its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        """Where the index of a datasource lies."""
        return self._folder / name / "index.db"

    def names(self) -> list[str]:
        """Of which datasources there is an index."""
        return [path.parent.name for path in self._folder.glob("*/index.db")]

    def make_folder(self, name: str) -> None:
        """Make the folder of a datasource, readable for the owner alone."""
        for folder in (self._folder, self._folder / name):  # the mode is not that of parents made along
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def mark(self, name: str) -> None:
        """Note that this index is the only one to know its tree."""
        self._mark(name).touch()

    def unmark(self, name: str) -> None:
        """Note that this index follows a folder from now on."""
        self._mark(name).unlink(missing_ok=True)

    def is_only_tree(self, name: str) -> bool:
        """Whether the index of this name is the only one to know a tree."""
        return self._mark(name).exists() and self.path(name).exists()

    def refuse_only_tree(self, name: str) -> None:
        """Raise Conflict (reason ``flat``) where an index that follows a folder would take the place of such a one."""
        if self.is_only_tree(name):
            raise Conflict(
                f"{self.path(name)} is the index of a flat datasource, and the only one to know its tree; it would be "
                "lost. Add that datasource as flat, without --from-snapshot, to go on with it. Else choose another "
                "name for the new one, or move that file away.",
                reason="flat",
            )
        self.unmark(name)

    def set_aside(self, name: str, tree: str) -> None:
        """Keep a closed index until ``take_back``, by the UUID of its root. An older one of it stays, numbered."""
        kept = self._kept(name, tree)
        if kept.exists():
            kept.rename(self._numbered(name, tree))
        self.path(name).rename(kept)
        self.unmark(name)

    def take_back(self, name: str, tree: str) -> None:
        """Use an index that was set aside, if there is one of this root.

        What is in its place without a mark follows a folder, or was left by a datasource that could not be added: it
        gives way.
        """
        kept = self._kept(name, tree)
        if self.is_only_tree(name) or not kept.exists():
            return
        for end in ("", "-wal", "-shm"):
            Path(f"{self.path(name)}{end}").unlink(missing_ok=True)
        kept.rename(self.path(name))

    def forget(self, name: str) -> None:
        """Delete everything about a closed datasource but what was set aside."""
        folder = self.path(name).parent
        for file in folder.glob("*"):
            if file.is_dir():
                shutil.rmtree(file, ignore_errors=True)
            elif not file.match(_KEPT.format("*")):
                file.unlink()
        with suppress(OSError):  # something that was set aside is still in it
            folder.rmdir()

    def exists(self, name: str) -> bool:
        """Whether there is anything of a datasource of this name."""
        return self.path(name).parent.exists()

    def _numbered(self, name: str, tree: str) -> Path:
        return next(path for n in itertools.count(1) if not (path := self._kept(name, f"{tree}-{n}")).exists())

    def _mark(self, name: str) -> Path:
        return self.path(name).with_name(_MARK)

    def _kept(self, name: str, tree: str) -> Path:
        return self.path(name).with_name(_KEPT.format(tree))
