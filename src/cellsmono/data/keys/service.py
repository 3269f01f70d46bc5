"""``data.user_key`` and ``data.data_key``: the keys as services, so that `cellsmono ps` tells of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from cellsmono.data.keys.vault import Vault
from cellsmono.kernel.errors import CellsError
from cellsmono.kernel.service import ServiceState, ServiceStatus


class KeysService:
    """One kind of keys, which ``describe`` counts in words."""

    tag = "data"

    def __init__(self, name: str, describe: Callable[[], str]) -> None:
        self.name = name
        self._describe = describe

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Nothing is held open: keys are read when they are needed."""
        yield

    def status(self) -> ServiceStatus:
        """How many keys there are; degraded when their file can not be read."""
        try:
            return ServiceStatus(detail=self._describe())
        except CellsError as error:
            return ServiceStatus(ServiceState.DEGRADED, error.message)


def make_services(vault: Vault) -> tuple[KeysService, KeysService]:
    """Both services over a vault."""

    def count_masters() -> str:
        return f"{len(vault.masters.list_keys())} master keys"

    def count_data_keys() -> str:
        stores = vault.list_stores()
        return f"{sum(len(each.keys) for each in stores)} data keys of {len(stores)} stores"

    return KeysService("data.user_key", count_masters), KeysService("data.data_key", count_data_keys)
