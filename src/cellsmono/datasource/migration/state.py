"""Which migration of a datasource was begun: a small file beside its index, written before anything else happens.

Until the configuration store names the new place the source is what counts, afterwards the target. That one row is the
switch; the new index waits beside the old one and takes its place when the datasource is opened (``settle``).
"""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from cellsmono.datasource.index.files import IndexFiles
from cellsmono.datasource.snapshots.load import put_in_place
from cellsmono.interfaces.datasource import DatasourceConfig, Format
from cellsmono.interfaces.migration import MigrationPhase, MigrationState
from cellsmono.kernel.errors import Corrupt, Invalid
from cellsmono.store.migrations import create_private, sync_folder

STATE = "migration.json"
JOURNAL = "migration.db"
PREPARED = ".migrated"
"""What is added to the name of the index for the one that belongs to the target."""

VERSION = 1


class MigrationFiles:
    """The files of a datasource's migration, in the folder of its index."""

    def __init__(self, index_path: Path) -> None:
        self.index = index_path
        self.journal = index_path.with_name(JOURNAL)
        self.prepared = index_path.with_name(index_path.name + PREPARED)
        self._state = index_path.with_name(STATE)

    def read(self) -> MigrationState | None:
        """The migration that was begun, None when there is none. Raises Corrupt, Invalid (a newer program's)."""
        try:
            text = self._state.read_bytes()
        except FileNotFoundError:
            return None
        try:
            state = msgspec.json.decode(text, type=MigrationState)
        except msgspec.DecodeError as error:
            raise Corrupt(
                f"{self._state} can not be read ({error}). It says how far the migration of this datasource is; put it "
                "back from a backup.",
                reason="migration",
            ) from error
        if state.version > VERSION:
            raise Invalid(f"{self._state} was written by a newer cellsmono; use that one, or a newer one.")
        return state

    def write(self, state: MigrationState) -> None:
        """Remember a migration; durable when this returns."""
        scratch = self._state.with_name(STATE + ".new")
        scratch.unlink(missing_ok=True)
        create_private(scratch)
        with scratch.open("wb") as file:
            file.write(msgspec.json.encode(state))
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, self._state)
        sync_folder(self._state.parent)

    def forget(self) -> None:
        """There is no migration any more. The state goes last: until then the rest is found again."""
        for path in (self.prepared, self.journal):
            backups = path.parent.glob(f"{path.name}.backup-v*")  # of a journal that an earlier version began
            for each in (*(path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")), *backups):
                each.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            sync_folder(self._state.parent)
            self._state.unlink()
            sync_folder(self._state.parent)

    def settle(self, config: DatasourceConfig, files: IndexFiles) -> MigrationState | None:
        """Bring a datasource that is about to open with this configuration to one side of the switch.

        Returns the migration that is under way, None when there is none that is about this place.
        """
        state = self.read()
        if state is None:
            return None
        if is_same_place(config, state.target):
            if self.prepared.exists():
                put_in_place(self.prepared, self.index)
            if state.target.format is Format.STRUCTURED:
                files.unmark(config.name)
            if state.phase is not MigrationPhase.SWITCHED:
                state = msgspec.structs.replace(state, phase=MigrationPhase.SWITCHED)
                self.write(state)
            return state
        if not is_same_place(config, state.source):
            return None
        self.prepared.unlink(missing_ok=True)
        return state


def is_same_place(one: DatasourceConfig, other: DatasourceConfig) -> bool:
    """Whether two configurations speak of the same bytes in the same format."""
    return (one.format, one.storage, one.place) == (other.format, other.storage, other.place)


def is_withheld(state: MigrationState | None) -> bool:
    """Whether a datasource is not whole at its source any more, so that nothing of it can be served."""
    return state is not None and state.move and state.phase is not MigrationPhase.SWITCHED


def describe_hold(state: MigrationState) -> str:
    """Why a datasource that is being migrated does not take writes, or is not served."""
    name, what = state.source.name, "not served" if is_withheld(state) else "read-only"
    return (
        f"The datasource '{name}' is {what} while it is migrated to {state.target.place}. If that was cut short, "
        f"`cellsmono ds migrate {name}` goes on."
    )
