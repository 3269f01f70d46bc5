"""From a path in a workspace to a datasource, and back."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from cellsmono.interfaces.node import Node
from cellsmono.interfaces.version import Version
from cellsmono.interfaces.views import View, ViewRoot
from cellsmono.kernel.errors import CellsError


class Place(msgspec.Struct, frozen=True):
    """Where a path in a workspace leads: the node ``path`` of the datasource ``root``.

    ``above`` is the folder in the datasource that the workspace shows, under the name ``shown`` (empty, or one that
    ends in ``/``).
    """

    root: str
    path: str
    above: str
    shown: str

    @property
    def tree(self) -> str:
        """The tree path."""
        return f"{self.root}/{self.path}"

    @property
    def is_top(self) -> bool:
        """Whether it is a root of the workspace, or leads out of it."""
        return self.path == self.above

    def show(self, path: str) -> str:
        """A path of the datasource as one in the workspace."""
        return self.shown + path[len(self.above) :]

    def show_node(self, node: Node) -> Node:
        """A node of the datasource as one in the workspace."""
        return msgspec.structs.replace(node, path=self.show(node.path))

    def show_version(self, version: Version) -> Version:
        """A version in the datasource as one in the workspace."""
        node = None if version.node is None else self.show_node(version.node)
        return msgspec.structs.replace(version, key=self.show(version.key), node=node)

    def inside(self, path: str) -> str:
        """The path in the datasource of a path in the workspace that begins with ``shown``."""
        return self.above + path[len(self.shown) :]

    def prefix_inside(self, prefix: str) -> str:
        """What of the datasource is below a prefix of the workspace that begins with ``shown``, or that it does."""
        return self.above if len(prefix) <= len(self.shown) else self.inside(prefix)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Let errors speak of paths in the workspace: where its roots are is nobody's business."""
        try:
            yield
        except CellsError as error:
            if self.above:
                error.message = error.message.replace(self.above, self.shown)
                error.args = (error.message,)
            if error.path.startswith(self.above):
                error.path = self.show(error.path)
            raise


def top_of(view: View, root: ViewRoot) -> Place:
    """The place of a root of a workspace."""
    datasource, _, above = root.path.partition("/")
    return Place(datasource, above, above, f"{root.name}/" if view.has_levels else "")


def find_place(view: View, path: str) -> Place | None:
    """Where a path leads; None for one that is in none of the roots."""
    for root in view.roots:
        top = top_of(view, root)
        if path.startswith(top.shown):
            return msgspec.structs.replace(top, path=top.inside(path))
    return None
