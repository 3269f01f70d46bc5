"""Everything about people in one place: reads what is stored, and hands each request to who knows its answer."""

from collections.abc import Awaitable, Callable
from typing import Any, Self, cast

import msgspec

from cellsmono.idm.access import Access
from cellsmono.idm.acl import AclService
from cellsmono.idm.attempts import Attempts
from cellsmono.idm.auth import AuthService
from cellsmono.idm.auth_requests import AuthRequests
from cellsmono.idm.node_locks import LockRequests, NodeLocks
from cellsmono.idm.passwords import Passwords
from cellsmono.idm.policy import PolicyService
from cellsmono.idm.policy_requests import PolicyRequests
from cellsmono.idm.resets import Resets
from cellsmono.idm.role import RoleService
from cellsmono.idm.role_requests import RoleRequests
from cellsmono.idm.second_factor import SecondFactors
from cellsmono.idm.sessions import Sessions
from cellsmono.idm.sign_in import SignIn
from cellsmono.idm.sign_in_requests import SignInRequests
from cellsmono.idm.signing import UserSigners
from cellsmono.idm.turn import Turn
from cellsmono.idm.user import UserService
from cellsmono.idm.user_requests import UserRequests
from cellsmono.idm.views import ViewService
from cellsmono.idm.workspace import WorkspaceService
from cellsmono.idm.workspace_requests import WorkspaceRequests
from cellsmono.interfaces.people import R, Request
from cellsmono.interfaces.tree import NodeLocator
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.service import Service
from cellsmono.store.database import Database


class IdmServices(msgspec.Struct, frozen=True):
    """The services of the room."""

    user: UserService
    auth: AuthService
    sessions: Sessions
    factors: SecondFactors
    resets: Resets
    role: RoleService
    acl: AclService
    policy: PolicyService
    workspace: WorkspaceService

    def in_order(self) -> tuple[Service, ...]:
        """All of them, for the listing."""
        return (self.user, self.auth, self.role, self.acl, self.policy, self.workspace)


class PeopleStore:
    """Implements ``interfaces.people.People``. Make it with ``open``."""

    def __init__(
        self, database: Database, services: IdmServices, locator: NodeLocator, clock: Clock, passwords: Passwords
    ) -> None:
        self.services = services
        users, auth, roles, acls = services.user, services.auth, services.role, services.acl
        workspaces = services.workspace
        access = Access(roles, acls, workspaces, services.policy, locator)
        turn = Turn()
        self.signers = UserSigners(users, auth, services.sessions)
        locks = NodeLocks(users, acls, access)
        self.views = ViewService(users, workspaces, access, services.policy, locks, locator, turn)
        factors, resets = services.factors, services.resets
        sign_in = SignIn(users, factors, passwords, Attempts(clock), turn.lock)
        self._handlers: dict[type, Callable[[Any], Awaitable[Any]]] = {
            **UserRequests(
                database,
                users,
                auth,
                services.sessions,
                factors,
                resets,
                roles,
                acls,
                sign_in,
                passwords,
                turn,
            ).handlers(),
            **AuthRequests(users, auth, services.sessions, sign_in, turn).handlers(),
            **SignInRequests(users, auth, services.sessions, sign_in, turn, clock).handlers(),
            **PolicyRequests(services.policy, turn).handlers(),
            **LockRequests(users, acls, locks, locator, turn).handlers(),
            **RoleRequests(database, users, roles, acls, workspaces, access, locator, turn).handlers(),
            **WorkspaceRequests(database, users, roles, acls, workspaces, access, locator, turn).handlers(),
        }

    @classmethod
    async def open(
        cls, database: Database, clock: Clock, locator: NodeLocator, passwords: Passwords | None = None
    ) -> Self:
        """Read what the database holds; it stays the caller's to close. Raises Corrupt."""
        users = await UserService.open(database, clock)
        auth = await AuthService.open(database, clock)
        roles = await RoleService.open(database, users, clock)
        services = IdmServices(
            user=users,
            auth=auth,
            sessions=await Sessions.open(database, clock, auth),
            factors=await SecondFactors.open(database, clock),
            resets=await Resets.open(database, clock),
            role=roles,
            acl=AclService(database),
            policy=await PolicyService.open(database, roles, clock),
            workspace=await WorkspaceService.open(database, clock),
        )
        return cls(database, services, locator, clock, passwords or Passwords())

    async def perform(self, request: Request[R]) -> R:
        """See ``People``."""
        return cast("R", await self._handlers[type(request)](request))
