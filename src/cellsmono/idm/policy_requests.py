"""Answers to requests about policies."""

from collections.abc import Awaitable, Callable
from typing import Any

from cellsmono.idm.policy import PolicyService
from cellsmono.idm.turn import Turn
from cellsmono.interfaces import people as asked
from cellsmono.interfaces.policies import PolicyGroup


class PolicyRequests:
    """The handlers; whatever changes something holds ``turn``."""

    def __init__(self, policies: PolicyService, turn: Turn) -> None:
        self._policies = policies
        self._turn = turn

    def handlers(self) -> dict[type, Callable[[Any], Awaitable[Any]]]:
        """Which method answers which request."""
        return {
            asked.ListPolicyGroups: self._list,
            asked.PutPolicyGroup: self._put,
            asked.DeletePolicyGroup: self._delete,
            asked.RestorePolicies: self._restore,
        }

    async def _list(self, request: asked.ListPolicyGroups) -> list[PolicyGroup]:
        return self._policies.list_groups()

    async def _put(self, request: asked.PutPolicyGroup) -> PolicyGroup:
        async with self._turn:
            return await self._policies.put(request.group)

    async def _delete(self, request: asked.DeletePolicyGroup) -> PolicyGroup:
        async with self._turn:
            return await self._policies.delete(request.uuid)

    async def _restore(self, request: asked.RestorePolicies) -> None:
        async with self._turn:
            await self._policies.restore()
