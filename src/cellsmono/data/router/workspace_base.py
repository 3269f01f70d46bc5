"""What every part of the router of users needs: workspaces, and whether a user may do something in one."""

from contextlib import AbstractAsyncContextManager

import msgspec

from cellsmono.data.router.places import Place, find_place
from cellsmono.data.router.quotas import Hold, Limits, Quotas
from cellsmono.data.router.upload_room import UploadRoom
from cellsmono.interfaces.datasource import NO_CONDITIONS, Conditions
from cellsmono.interfaces.node import NO_META, NodeMeta
from cellsmono.interfaces.permissions import Right
from cellsmono.interfaces.router import Actor, NodeRouter
from cellsmono.interfaces.tree import Meter
from cellsmono.interfaces.views import View, Views
from cellsmono.kernel.errors import CellsError, Forbidden, Invalid, NotFound

READ = Right.READ
WRITE = Right.WRITE


class Entry(msgspec.Struct, frozen=True):
    """A user who was let in: where to, and on whose behalf the router below is asked."""

    view: View
    place: Place
    actor: Actor

    @property
    def rights(self) -> Right:
        """What the user may do with the node."""
        return self.view.rights(self.place.tree)


class WorkspaceBase:
    """The router of users over the one of datasources. Whoever is no user is handed on."""

    def __init__(self, below: NodeRouter, views: Views, meter: Meter) -> None:
        self._below = below
        self._views = views
        self._meter = meter
        self._quotas = Quotas(meter)
        self._upload_room = UploadRoom(self._quotas)

    async def _open(self, actor: Actor, root: str) -> View:
        """A workspace of the user. Raises NotFound (reason ``root``) for any other, existing or not."""
        view = await self._views.open_view(actor, root)
        if view is None:
            raise NotFound(f"There is no bucket {root!r}", reason="root", path=root)
        return view

    async def _enter(self, actor: Actor, root: str, path: str, right: Right) -> Entry:
        """Where a path leads, if the user has this right there. Raises Forbidden, also where nothing is."""
        view = await self._open(actor, root)
        place = find_place(view, path)
        if place is None:
            if right is READ:
                raise NotFound(f"There is no {path!r}", path=path)
            raise refuse(path)
        entry = Entry(view, place, admit(actor))
        if not entry.rights & right:
            raise refuse(path)
        return entry

    async def _enter_to_write(
        self,
        actor: Actor,
        root: str,
        path: str,
        meta: NodeMeta = NO_META,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Entry:
        """As ``_enter``, for what is written. Conditions tell what is there, so they are for those who may read it."""
        entry = await self._enter(actor, root, path, WRITE)
        if conditions != NO_CONDITIONS and not entry.rights & READ:
            raise refuse(path)
        check_settings(meta)
        await self._check_locks(entry, actor, path)
        return entry

    async def _check_locks(self, entry: Entry, actor: Actor, path: str, *, whole: bool = False) -> None:
        """Raise Locked where another user's lock is in the way; ``whole``: also one on anything in the folder."""
        locks = await self._views.read_locks()
        locks.check(entry.place.tree, actor.user, path)
        if whole:
            locks.check_below(entry.place.tree, actor.user, path)

    def _room(self, entry: Entry, size: int, limits: Limits | None = None) -> AbstractAsyncContextManager[Hold]:
        """Room for new content at an entry, as far as quotas leave any. Raises QuotaExceeded when entered.

        ``limits`` are the quotas that count, all of those above by default.
        """
        place = entry.place
        limits = entry.view.quotas_above(place.tree) if limits is None else limits
        return self._quotas.holding(limits, place.path, size, lambda: self._size_of(entry))

    async def _size_of(self, entry: Entry) -> int:
        """How much lies at an entry now: bytes that go when others come."""
        try:
            return (await self._below.read_node(entry.actor, entry.place.root, entry.place.path)).size
        except CellsError:
            return 0


def admit(actor: Actor) -> Actor:
    """On whose behalf the router of datasources is asked: rights were looked at, but for its own policies."""
    return msgspec.structs.replace(actor, kind="system")


def admit_listing(actor: Actor, prefix: str) -> Actor:
    """As ``admit``, for a listing: policies are about the prefix in the datasource, not the one in the workspace."""
    circumstances = actor.circumstances
    values = {**circumstances.values, "s3:prefix": prefix}
    circumstances = msgspec.structs.replace(circumstances, values=values)
    return msgspec.structs.replace(actor, kind="system", circumstances=circumstances)


def refuse(path: str) -> Forbidden:
    """The refusal. It does not say which rule refuses."""
    return Forbidden("Access Denied", path=path)


def check_settings(meta: NodeMeta) -> None:
    """Raise Invalid (reason ``acl``) for an ACL: who may do what in a workspace is decided by rights alone.

    Raise Forbidden for a lock: whether something can be deleted is the owner's decision.
    """
    if meta.acl:
        raise Invalid("The bucket does not allow ACLs", reason="acl")
    if meta.lock is not None:
        raise refuse("")
