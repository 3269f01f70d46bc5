"""Workspaces as users see them, compiled once and kept until something changes that they were compiled from."""

from collections.abc import Sequence

from cellsmono.idm.access import Access
from cellsmono.idm.node_locks import NO_LOCKS, NodeLocks
from cellsmono.idm.policy import PolicyService
from cellsmono.idm.turn import Turn
from cellsmono.idm.user import UserService
from cellsmono.idm.workspace import WorkspaceService
from cellsmono.interfaces.events import EventKind, NodeEvent
from cellsmono.interfaces.node_locks import LockMap
from cellsmono.interfaces.permissions import Right
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.tree import NodeLocator
from cellsmono.interfaces.users import User
from cellsmono.interfaces.views import View

MOST_KEPT = 2_000
"""Views that are kept; all are dropped when there are more."""

_MOVES = frozenset({EventKind.CREATE, EventKind.DELETE, EventKind.UPDATE_PATH, EventKind.RELOAD})

Key = tuple[str, str, tuple[str, ...]]
"""User, workspace, and scopes of a token."""


class ViewService:
    """Implements ``interfaces.views.Views``. Told of every change of the tree by ``note_changes``."""

    def __init__(
        self,
        users: UserService,
        workspaces: WorkspaceService,
        access: Access,
        policies: PolicyService,
        locks: NodeLocks,
        locator: NodeLocator,
        turn: Turn,
    ) -> None:
        self._users = users
        self._workspaces = workspaces
        self._access = access
        self._policies = policies
        self._locator = locator
        self._turn = turn
        self._views: dict[tuple[Key, tuple[Right, ...]], View | None] = {}
        self._asked: dict[Key, tuple[tuple[str, str], ...]] = {}
        """The policies that were asked for a view, with the tree path of each."""
        self._state: tuple[object, ...] = ()
        self._moves = 0
        self._node_locks = locks
        self._locks: LockMap = NO_LOCKS
        self._lock_state: tuple[object, ...] = ()

    async def list_views(self, actor: Actor) -> list[View]:
        """See ``Views``."""
        slugs = [workspace.slug for workspace in self._workspaces.list_workspaces()]
        views = [await self.open_view(actor, slug) for slug in slugs]
        return [view for view in views if view is not None]

    async def open_view(self, actor: Actor, slug: str) -> View | None:
        """See ``Views``."""
        user = self._users.find_uuid(actor.user)
        if user is None or user.is_locked_out:
            return None
        state = self._read_state()
        if state != self._state or len(self._views) > MOST_KEPT:
            self._views, self._asked, self._state = {}, {}, state
        key = (user.uuid, slug, actor.scopes)
        known = (key, self._judge_all(user, actor, self._asked.get(key, ())))
        if known in self._views:
            return self._views[known]
        workspace = self._workspaces.find(slug)
        if workspace is None:
            return None
        verdicts: dict[tuple[str, str], Right] = {}

        def judge(policy: str, path: str) -> Right:
            right = self._policies.judge_node(user, policy, path, actor.circumstances)
            return verdicts.setdefault((policy, path), right)

        view = await self._access.view(user, workspace, actor.scopes, judge)
        if state == self._read_state() == self._state:
            self._asked[key] = tuple(sorted(verdicts))
            self._views[key, tuple(verdicts[each] for each in self._asked[key])] = view
        return view

    def _judge_all(self, user: User, actor: Actor, asked: Sequence[tuple[str, str]]) -> tuple[Right, ...]:
        """What the policies say for this request: as often as it differs, there is a view of its own."""
        return tuple(self._policies.judge_node(user, *each, actor.circumstances) for each in asked)

    async def read_locks(self) -> LockMap:
        """See ``Views``."""
        state = (*self._read_state(), self._node_locks.version)
        if state != self._lock_state:
            compiled = await self._node_locks.compile()
            if state != (*self._read_state(), self._node_locks.version):
                return compiled  # something changed meanwhile: the next one looks again
            self._locks, self._lock_state = compiled, state
        return self._locks

    def _read_state(self) -> tuple[object, ...]:
        """What views are compiled from, told by numbers: changes about people, moves of nodes, and datasources."""
        return self._turn.changes, self._moves, self._locator.sources()

    def note_changes(self, events: Sequence[NodeEvent]) -> None:
        """Nodes came, went or moved. What concerns a node that rights or roots are about makes views stale at once."""
        for event in events:
            if event.kind in _MOVES and self._is_about_rights(event):
                self._moves += 1
                return

    def _is_about_rights(self, event: NodeEvent) -> bool:
        if event.kind is EventKind.RELOAD or event.uuid in self._access.nodes:
            return True
        places = [f"{event.datasource}/{path}" for path in {event.path, event.source} if path]
        if any(place in self._access.places for place in places):
            return True
        folders = tuple(place for place in places if place.endswith("/") and event.kind is not EventKind.CREATE)
        return bool(folders) and any(path.startswith(folders) for path in self._access.places)
