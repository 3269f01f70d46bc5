"""Hashing content that lies on the storage already: to learn its hashes, or to see whether it is still what it was."""

import enum

import msgspec


class HashAlgorithm(enum.StrEnum):
    """Which hashes are meant: the MD5 of the content, the block hash (``Node.cells_hash``), or both."""

    ALL = "all"
    MD5 = "md5"
    CELLS = "cells"


class RehashOptions(msgspec.Struct, frozen=True):
    """What to hash.

    Content that lacks a hash; with ``verify`` all content, to compare it with the hashes that are known; with ``force``
    all content, and what is found replaces what was known. Such a walk begins behind the path ``after``.
    """

    verify: bool = False
    force: bool = False
    algorithm: HashAlgorithm = HashAlgorithm.ALL
    after: str = ""

    @property
    def reads_all(self) -> bool:
        """Whether content whose hashes are known is read, too."""
        return self.verify or self.force


class HashProblem(enum.StrEnum):
    """What is wrong with content.

    ROT: it has another hash than is recorded, and nothing says that anybody changed it. UNREADABLE: it can not be read
    as it was written: missing, cut short, or the disk fails.
    """

    ROT = "rot"
    UNREADABLE = "unreadable"


class HashFinding(msgspec.Struct, frozen=True):
    """One leaf with a problem. ``detail`` is a sentence, for ROT with the hashes that are recorded and found."""

    problem: HashProblem
    path: str
    detail: str


class RehashProgress(msgspec.Struct, frozen=True):
    """How far it is: files and bytes of those that are to be read. ``rate`` is bytes per second, ``eta`` in seconds.

    ``path`` is the last one that was done; a walk over all content can go on behind it.
    """

    files: int
    files_total: int
    bytes: int
    bytes_total: int
    rate: float
    eta: float | None
    path: str = ""


class RehashReport(msgspec.Struct):
    """What came of it.

    ``files`` and ``bytes`` were read. ``hashed`` files got a hash that they lacked, ``verified`` ones had no other than
    the known ones, ``replaced`` ones contradicted them and were taken over (``force``). ``changed`` ones got other
    content meanwhile and were left alone. ``counts`` holds the numbers by problem, ``findings`` the first 1,000 of all.
    """

    path: str
    files: int = 0
    bytes: int = 0
    hashed: int = 0
    verified: int = 0
    replaced: int = 0
    changed: int = 0
    counts: dict[HashProblem, int] = {}
    findings: list[HashFinding] = []
    seconds: float = 0.0

    @property
    def open_problems(self) -> int:
        """How many problems there are, without those that were taken over."""
        return sum(self.counts.values()) - self.replaced
