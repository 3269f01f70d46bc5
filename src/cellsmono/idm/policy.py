"""``idm.policy``: groups of policies. All are in memory, so that a request is judged at once."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import PurePosixPath
from typing import Self

import msgspec

from cellsmono.idm.role import RoleService
from cellsmono.interfaces.permissions import Right
from cellsmono.interfaces.policies import Policy, PolicyGroup, ResourceGroup, Verdict, check_group, judge
from cellsmono.interfaces.policy_defaults import DEFAULT_GROUPS
from cellsmono.interfaces.router import Circumstances
from cellsmono.interfaces.users import Profile, User
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import Corrupt, Invalid, NotFound
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.service import ServiceStatus
from cellsmono.store.database import Database
from cellsmono.store.units import Tx

log = get_logger("idm.policy")

MOST_GROUPS = 200
_DEFAULTS = {group.uuid: group for group in DEFAULT_GROUPS}
_KNOWN = {"RemoteAddress": "aws:sourceip", "UserAgent": "aws:useragent"}
"""Keys of conditions, and where the circumstances of a request have them."""


class PolicyService:
    """Implements ``interfaces.policies.Policies``. Changes are asked for one at a time."""

    name = "idm.policy"
    tag = "idm"

    def __init__(self, database: Database, roles: RoleService, clock: Clock) -> None:
        self._database = database
        self._roles = roles
        self._clock = clock
        self._changed: dict[str, PolicyGroup | None] = {}
        self._groups: dict[str, PolicyGroup] = {}
        self._rest: list[Policy] = []

    @classmethod
    async def open(cls, database: Database, roles: RoleService, clock: Clock) -> Self:
        """Read all groups. Raises Corrupt."""
        service = cls(database, roles, clock)
        rows = await database.read(lambda reader: reader.execute("SELECT uuid, body FROM policy_group").fetchall())
        for uuid, body in rows:
            try:
                service._changed[uuid] = msgspec.json.decode(body, type=PolicyGroup | None)
                if (group := service._changed[uuid]) is not None:
                    check_group(group)
            except (ValueError, Invalid) as error:
                raise Corrupt(f"the stored policy group {uuid!r} can not be read: {error}") from None
        service._compile()
        return service

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Nothing runs: it answers when it is asked."""
        yield

    def status(self) -> ServiceStatus:
        """How many there are."""
        return ServiceStatus(detail=f"{len(self._groups)} policy groups")

    def list_groups(self) -> list[PolicyGroup]:
        """All groups, by resource group and name."""
        return sorted(self._groups.values(), key=lambda group: (group.resource_group, group.name, group.uuid))

    async def put(self, group: PolicyGroup) -> PolicyGroup:
        """Make a group, or put it in the place of the one with its UUID. Raises Invalid."""
        check_group(group)
        if group.uuid not in self._groups and len(self._groups) >= MOST_GROUPS:
            raise Invalid(f"there are {MOST_GROUPS} policy groups already; delete one", reason="policy")
        new = msgspec.structs.replace(group, updated=self._clock.time())
        await self._store(group.uuid, new)
        log.info("policy group changed", group=group.uuid)
        return new

    async def delete(self, uuid: str) -> PolicyGroup:
        """Remove a group; a default one comes back with ``restore``. Raises NotFound."""
        group = self._groups.get(uuid)
        if group is None:
            raise NotFound(f"There is no policy group {uuid!r}; `cellsmono policy list` shows all", reason="policy")
        await self._store(uuid, None)
        log.info("policy group deleted", group=uuid)
        return group

    async def restore(self) -> None:
        """Bring the default groups back as they come with the program. Others stay."""

        def forget(tx: Tx) -> None:
            tx.executemany("DELETE FROM policy_group WHERE uuid = ?", [(uuid,) for uuid in _DEFAULTS])

        await self._database.write(forget)
        self._changed = {uuid: group for uuid, group in self._changed.items() if uuid not in _DEFAULTS}
        self._compile()
        log.info("default policy groups restored")

    async def _store(self, uuid: str, group: PolicyGroup | None) -> None:
        is_gone = group is None and uuid not in _DEFAULTS
        body = msgspec.json.encode(group).decode()

        def write(tx: Tx) -> None:
            if is_gone:
                tx.execute("DELETE FROM policy_group WHERE uuid = ?", (uuid,))
            else:
                tx.execute("INSERT OR REPLACE INTO policy_group VALUES (?, ?)", (uuid, body))

        await self._database.write(write)
        if is_gone:
            self._changed.pop(uuid, None)
        else:
            self._changed[uuid] = group
        self._compile()

    def _compile(self) -> None:
        every: dict[str, PolicyGroup | None] = {**_DEFAULTS, **self._changed}
        self._groups = {uuid: group for uuid, group in every.items() if group is not None}
        self._rest = [
            policy
            for group in self._groups.values()
            if group.resource_group is ResourceGroup.REST
            for policy in group.policies
        ]

    # judging

    def judge_request(self, user: User | None, method: str, path: str, context: Mapping[str, str]) -> Verdict:
        """See ``Policies``."""
        about = {**context, "ServerTime": str(self._clock.time())}
        return judge(self._rest, self._name_subjects(user), f"rest:{path}", method, about)

    def judge_node(self, user: User, policy: str, path: str, circumstances: Circumstances) -> Right:
        """See ``Policies``."""
        place = PurePosixPath(path)
        about = {
            "ServerTime": str(self._clock.time()),
            "NodeMetaPath": path,
            "NodeMetaName": place.name,
            "NodeMetaExtension": place.suffix.removeprefix("."),
        }
        known = circumstances.values
        about |= {key: known[name] for key, name in _KNOWN.items() if name in known}
        policies, subjects = self._find(policy), self._name_subjects(user)
        rights = Right.NONE
        for right, action in ((Right.READ, "read"), (Right.WRITE, "write")):
            if judge(policies, subjects, "acl", action, about).allowed:
                rights |= right
        return rights

    def _find(self, id_: str) -> Sequence[Policy]:
        """The policies about nodes that an ACL means: those of a group, or one."""
        groups = [group for group in self._groups.values() if group.resource_group is ResourceGroup.ACL]
        for group in groups:
            if group.uuid == id_:
                return group.policies
        return [policy for group in groups for policy in group.policies if policy.id == id_]

    def _name_subjects(self, user: User | None) -> list[str]:
        if user is None:
            return [f"profile:{Profile.ANON}"]
        roles = [f"role:{role.uuid}" for role in self._roles.order_roles(user)]
        return [f"profile:{user.profile}", f"user:{user.login}", *roles]
