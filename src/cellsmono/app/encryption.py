"""The keys of encrypted content: what there are, new ones, and those that an import brings."""

import asyncio
from collections.abc import Callable

from cellsmono.data.keys.vault import Vault
from cellsmono.datasource.build import Datasources
from cellsmono.datasource.flat.store import FlatStore
from cellsmono.datasource.sealing.keys import StoreKeys
from cellsmono.datasource.sealing.rewriting import Rewriting
from cellsmono.datasource.sealing.store import SealedStore
from cellsmono.interfaces.encryption import (
    EncryptionInfo,
    ImportReport,
    KeyBundle,
    MasterKeyInfo,
    RotationReport,
    StoreInfo,
)
from cellsmono.interfaces.sync import Progress
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, Conflict, Invalid
from cellsmono.kernel.log import get_logger

log = get_logger("keys")


class EncryptionKeys:
    """What ``Operations`` says about keys."""

    def __init__(self, datasources: Datasources, vault: Vault, clock: Clock) -> None:
        self._datasources = datasources
        self._vault = vault
        self._clock = clock
        self._rotating: set[str] = set()

    async def read(self) -> EncryptionInfo:
        """See ``Operations.read_encryption``."""
        masters = await asyncio.to_thread(self._vault.masters.list_keys)
        stored = await asyncio.to_thread(self._vault.list_stores)
        open_now = {keys.store: keys.bucket for keys in self._list_open()}
        shown = [MasterKeyInfo(key.id, key.created, key is masters[-1]) for key in masters]
        stores = [
            StoreInfo(each.store, open_now.get(each.store, each.name), tuple(each.keys), each.store in open_now)
            for each in stored
        ]
        return EncryptionInfo(tuple(shown), tuple(sorted(stores, key=lambda each: each.datasource)))

    def _list_open(self) -> list[StoreKeys]:
        found = [self._datasources.inner(name).store for name in self._datasources.names()]
        sealed = [store.blobs.objects for store in found if isinstance(store, FlatStore)]
        return [each.keys for each in sealed if isinstance(each, SealedStore)]

    async def rotate(
        self, name: str, rewrite: bool, progress: Callable[[Progress], None] | None = None
    ) -> RotationReport:
        """See ``Operations.rotate_key``."""
        store = self._datasources.triple(name).store
        sealed = store.blobs.objects if isinstance(store, FlatStore) else None
        if not isinstance(store, FlatStore) or not isinstance(sealed, SealedStore):
            raise Invalid(
                f"{name!r} is a structured datasource: its files are plain files, which no key encrypts.",
                reason="format",
                path=name,
            )
        if not sealed.keys.wrapped:
            raise Invalid(
                f'Nothing in {name!r} is encrypted, so it has no key to renew. Set `encryption = "aes256"` first.',
                reason="encryption",
                path=name,
            )
        if name in self._rotating:
            raise Conflict(f"The content of {name!r} is just being sealed anew; wait for that.", reason="rotating")
        self._rotating.add(name)
        try:
            await store.check_root()
            if not rewrite:
                return RotationReport(name, await _renew(sealed.keys))
            # Content that an older key sealed is left where a run before this one was broken off.
            if not await Rewriting(store.blobs, sealed, self._clock).has_old():
                await _renew(sealed.keys)
            report = await Rewriting(store.blobs, sealed, self._clock, progress).run()
            log.info("content sealed anew", datasource=name, key=report.key, blobs=report.rewritten)
            return report
        finally:
            self._rotating.discard(name)

    async def take(self, bundle: KeyBundle) -> ImportReport:
        """See ``Operations.import_keys``."""
        report = await asyncio.to_thread(self._vault.take, bundle)
        log.info("keys imported", masters=report.masters, keys=report.keys)
        opened = []
        for config in self._datasources.configs():
            if config.name in self._datasources.names():
                continue
            try:
                await self._datasources.release(config.name)
            except CellsError as error:
                log.info("a datasource can still not be opened", datasource=config.name, error=error.message)
            else:
                opened.append(config.name)
        return ImportReport(report.masters, report.keys, tuple(opened))


async def _renew(keys: StoreKeys) -> str:
    key = await keys.renew()
    log.info("data key renewed", datasource=keys.bucket, key=key.id)
    return key.id
