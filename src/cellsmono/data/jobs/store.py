"""``jobs.db`` in the data folder: jobs survive whatever ends the server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from cellsmono.interfaces.jobs import Job, JobState
from cellsmono.store.database import Database
from cellsmono.store.migrations import load_migrations
from cellsmono.store.units import Tx

FILE_NAME = "jobs.db"
APPLICATION_ID = 0x43656C4A
"""``CelJ``: which kind of database this is."""
MOST_KEPT = 1_000
"""Jobs that are over and remembered."""
OPEN = (JobState.QUEUED.value, JobState.RUNNING.value, JobState.PAUSED.value)

_MARKS = ", ".join("?" * len(OPEN))
_decode = msgspec.json.Decoder(Job).decode


class JobPlan(msgspec.Struct, frozen=True):
    """What a job was asked for, beside its nodes."""

    target: str = ""
    into: bool = True
    permanently: bool = False
    scopes: tuple[str, ...] = ()


class Item(msgspec.Struct):
    """One node of a job: the path that the user sees, and what is known of its way. ``cursor`` is a path below."""

    position: int
    source: str
    target: str = ""
    uuid: str = ""
    cursor: str = ""
    is_done: bool = False


class JobStore:
    """Make it with ``open``."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    async def open(cls, data_dir: Path) -> Self:
        """Open or make the database. Raises as ``Database.open``."""
        migrations = load_migrations("cellsmono.data.jobs", APPLICATION_ID)
        return cls(await Database.open(data_dir / FILE_NAME, migrations, readers=1, name="jobs"))

    async def close(self) -> None:
        """Close the file."""
        await self.database.close()

    async def add(self, job: Job, plan: JobPlan, nodes: Sequence[str]) -> None:
        """A new job; durable when this returns."""

        def insert(tx: Tx) -> None:
            tx.execute("INSERT INTO job_job (id, job, state, user, plan) VALUES (?, ?, ?, ?, ?)",
                       (job.id, _text(job), job.state.value, job.user, _text(plan)))  # fmt: skip
            tx.executemany(
                "INSERT INTO job_item (job, position, source, target, uuid, cursor, is_done)"
                " VALUES (?, ?, ?, '', '', '', 0)",
                [(job.id, position, node) for position, node in enumerate(nodes)],
            )

        await self.database.write(insert)

    async def save(self, job: Job, item: Item | None = None) -> None:
        """How a job stands, and one of its nodes."""

        def update(tx: Tx) -> None:
            tx.execute("UPDATE job_job SET job = ?, state = ? WHERE id = ?", (_text(job), job.state.value, job.id))
            if item is not None:
                tx.execute(
                    "UPDATE job_item SET target = ?, uuid = ?, cursor = ?, is_done = ? WHERE job = ? AND position = ?",
                    (item.target, item.uuid, item.cursor, item.is_done, job.id, item.position),
                )
            if job.state.is_over:
                _prune(tx)

        await self.database.write(update)

    async def read(self, job_id: str) -> tuple[Job, JobPlan] | None:
        """One job, None when there is none."""
        row = await self.database.read(
            lambda reader: reader.execute("SELECT job, plan FROM job_job WHERE id = ?", (job_id,)).fetchone()
        )
        return None if row is None else (_decode(row[0]), msgspec.json.decode(row[1], type=JobPlan))

    async def list_items(self, job_id: str) -> list[Item]:
        """The nodes of a job that are not done, in their order."""
        rows = await self.database.read(
            lambda reader: reader.execute(
                "SELECT position, source, target, uuid, cursor FROM job_item WHERE job = ? AND NOT is_done"
                " ORDER BY position",
                (job_id,),
            ).fetchall()
        )
        return [Item(*row) for row in rows]

    async def list_jobs(self, user: str, ids: Sequence[str], limit: int, offset: int) -> list[Job]:
        """Jobs, the newest first; of a user (UUID) or of all, of these ids or all."""
        marks = ", ".join("?" * len(ids))
        chosen = f" AND id IN ({marks})" if ids else ""
        statement = (
            f"SELECT job FROM job_job WHERE (? = '' OR user = ?){chosen}"  # noqa: S608
            " ORDER BY id DESC LIMIT ? OFFSET ?"
        )
        rows = await self.database.read(
            lambda reader: reader.execute(statement, (user, user, *ids, limit, offset)).fetchall()
        )
        return [_decode(text) for (text,) in rows]

    async def list_open(self) -> list[Job]:
        """Jobs that are not over, the oldest first."""
        rows = await self.database.read(
            lambda reader: reader.execute(
                f"SELECT job FROM job_job WHERE state IN ({_MARKS}) ORDER BY id",  # noqa: S608
                OPEN,
            ).fetchall()
        )
        return [_decode(text) for (text,) in rows]

    async def delete(self, job_id: str) -> None:
        """Forget a job."""
        await self.database.write(lambda tx: _delete(tx, [job_id]))


def _prune(tx: Tx) -> None:
    """Forget the oldest of the jobs that are over when there are too many."""
    rows = tx.execute(
        f"SELECT id FROM job_job WHERE state NOT IN ({_MARKS}) ORDER BY id DESC LIMIT -1 OFFSET ?",  # noqa: S608
        (*OPEN, MOST_KEPT),
    ).fetchall()
    _delete(tx, [job_id for (job_id,) in rows])


def _delete(tx: Tx, ids: Sequence[str]) -> None:
    for table, column in (("job_job", "id"), ("job_item", "job")):
        tx.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(job_id,) for job_id in ids])  # noqa: S608


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
