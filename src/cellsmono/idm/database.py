"""``idm.db`` in the data folder: everything about people. Each service has tables of its own, named after it."""

from pathlib import Path

from cellsmono.store.database import Database
from cellsmono.store.migrations import load_migrations

FILE_NAME = "idm.db"
APPLICATION_ID = 0x43656C49
"""``CelI``: which kind of database this is."""


async def open_database(data_dir: Path) -> Database:
    """Open or make the database, readable by its owner alone. Raises as ``Database.open``."""
    return await Database.open(data_dir / FILE_NAME, load_migrations("cellsmono.idm", APPLICATION_ID), name="idm")
