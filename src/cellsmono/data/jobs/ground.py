"""What jobs stand on: paths of users, the nodes behind them, and the router that looks at rights at each step."""

import msgspec

from cellsmono.data.jobs.names import Names
from cellsmono.data.jobs.origins import Origins
from cellsmono.data.router.places import Place, find_place, top_of
from cellsmono.data.router.workspaces import WorkspaceRouter
from cellsmono.interfaces.jobs import BIN_NAME
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.permissions import Right
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.tree import Meter
from cellsmono.interfaces.views import View, Views
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, Conflict, Forbidden, NotFound


class Spot(msgspec.Struct, frozen=True):
    """A path of a user: the workspace ``slug``, the path in it, and where that leads."""

    slug: str
    path: str
    view: View
    place: Place

    @property
    def full(self) -> str:
        """The path as the user writes it."""
        return f"{self.slug}/{self.path}"

    @property
    def tree(self) -> str:
        """The tree path."""
        return self.place.tree

    def at(self, path: str) -> "Spot":
        """Another path in the same root of the workspace."""
        place = msgspec.structs.replace(self.place, path=self.place.inside(path))
        return msgspec.structs.replace(self, path=path, place=place)


class Ground:
    """Finds spots for users."""

    def __init__(self, router: WorkspaceRouter, views: Views, meter: Meter, origins: Origins, clock: Clock) -> None:
        self.router = router
        self.meter = meter
        self.origins = origins
        self.names = Names()
        self.clock = clock
        self._views = views

    async def spot(self, actor: Actor, full: str) -> Spot:
        """Where a path leads, whether anything is there or not. Raises NotFound for what is in no workspace."""
        slug, _, path = full.removeprefix("/").partition("/")
        view = await self._views.open_view(actor, slug)
        if view is None:
            raise NotFound(f"There is no workspace {slug!r}", reason="root", path=full)
        place = find_place(view, path) or find_place(view, path + "/")
        if place is None:
            raise NotFound(f"There is no {full!r}", path=full)
        return Spot(slug, place.show(place.path), view, place)

    async def find(self, actor: Actor, full: str) -> tuple[Spot, Node]:
        """The node at a path; a folder may be written without its ``/``. Raises NotFound, Forbidden."""
        spot = await self.spot(actor, full)
        try:
            return spot, await self.read(actor, spot)
        except NotFound:
            if is_folder(spot.path):
                raise
        spot = spot.at(spot.path + "/")
        try:
            return spot, await self.read(actor, spot)
        except NotFound as error:
            if error.reason == "root":
                raise
            raise NotFound(f"There is no {full!r}", path=full) from None

    async def read(self, actor: Actor, spot: Spot) -> Node:
        """The node at a spot, with the path that the user sees."""
        try:
            return await self.router.read_node(actor, spot.slug, spot.path)
        except CellsError as error:
            error.path = spot.full
            if isinstance(error, NotFound):
                error.message = f"There is no {spot.full!r}"
                error.args = (error.message,)
            raise

    async def is_taken(self, actor: Actor, spot: Spot) -> bool:
        """Whether there is a node at a spot, a file or a folder: on a real disk they can not share a name."""
        plain = spot.path.removesuffix("/")
        if not self.names.reserved.isdisjoint((spot.tree.removesuffix("/"), spot.tree.removesuffix("/") + "/")):
            return True
        for path in (plain, plain + "/"):
            try:
                await self.router.read_node(actor, spot.slug, path)
            except NotFound:
                continue
            except Forbidden:
                return True
            return True
        return False

    def find_bin(self, spot: Spot) -> Spot | None:
        """The recycle bin for a node, a folder that need not exist; None where there is none, and for what is in it."""
        top = f"{spot.place.root}/{spot.place.above}"
        roots = [
            root
            for root in spot.view.recycle_roots
            if root.startswith(top) and spot.tree.startswith(root) and spot.tree != root
        ]
        if not roots:
            return None
        tree = f"{max(roots, key=len)}{BIN_NAME}/"
        if spot.tree.startswith(tree):
            return None
        return spot.at(spot.place.show(tree.partition("/")[2]))

    def show(self, spot: Spot, tree: str) -> Spot:
        """A tree path as one in the workspace of a spot. Raises Conflict (reason ``origin``) where it is not in it."""
        for root in spot.view.roots:
            top = top_of(spot.view, root)
            above = f"{top.root}/{top.above}"
            if tree.startswith(above) and tree != above:
                place = msgspec.structs.replace(top, path=top.above + tree[len(above) :])
                return Spot(spot.slug, place.show(place.path), spot.view, place)
        raise Conflict("It came from somewhere else than this workspace; move it instead", reason="origin")

    async def require_movable(self, actor: Actor, spot: Spot) -> None:
        """Raise Forbidden or Locked where the user could not take away what is at a spot, or anything in the folder."""
        locks = await self._views.read_locks()
        locks.check(spot.tree, actor.user, spot.full)
        turns: list[str] = []
        if is_folder(spot.path):
            locks.check_below(spot.tree, actor.user, spot.full)
            turns = spot.view.turns_below(spot.tree)
        needed = Right.READ | Right.WRITE
        if any(needed not in spot.view.rights(tree) for tree in (spot.tree, *turns)):
            raise Forbidden("Access Denied", path=spot.full)

    def require_write(self, spot: Spot) -> None:
        """Raise Forbidden where the user may not change anything, and for a workspace or a root of one."""
        if spot.place.is_top:
            raise Forbidden("The root of a workspace can not be moved or deleted", path=spot.full)
        if not spot.view.rights(spot.tree) & Right.WRITE:
            raise Forbidden("Access Denied", path=spot.full)
