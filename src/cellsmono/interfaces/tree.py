"""The tree of all datasources: what administrators see, and what rights are given on.

A *tree path* is the name of a datasource, ``/``, and a node path in it: ``documents/reports/2024.pdf``. The root of a
datasource is ``documents/``, that of the tree the empty string; both have UUIDs of their own here, which do not change
when the datasource moves to another place.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from cellsmono.interfaces.index import Usage

ROOT_UUID = "ROOT"
"""UUID of the root of the whole tree."""
DATASOURCE_PREFIX = "DATASOURCE:"
"""With the name of a datasource after it: UUID of its root."""


class TreeNode(msgspec.Struct, frozen=True):
    """One node of the tree."""

    uuid: str
    path: str


class Meter(Protocol):
    """How much lies in folders."""

    async def measure(self, path: str) -> Usage:
        """What the folder at a tree path holds; nothing when there is no such folder, which costs no visit to it.

        Raises Unavailable for a datasource that can not be read now.
        """


class NodeLocator(Meter, Protocol):
    """From paths to identities and back."""

    async def identify(self, path: str) -> TreeNode:
        """The node at a tree path; a folder may be written with or without its ``/`` at the end.

        Raises NotFound; Unavailable for a datasource that can not be read now.
        """

    def sources(self) -> tuple[str, ...]:
        """The datasources that can be looked into now. Never blocks."""

    async def locate(self, uuids: Sequence[str]) -> Mapping[str, str]:
        """Where nodes are now, by UUID. One that is nowhere, or in a datasource that can not be read, is left out."""
