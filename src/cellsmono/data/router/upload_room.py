"""Room for uploads in parts: what was uploaded counts against quotas before it becomes a file.

It is known in memory alone. After a restart the parts of an upload that went on before count no more until it is
completed, which is looked at in any case.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from cellsmono.data.router.quotas import Hold, Limits, Quotas
from cellsmono.kernel.errors import QuotaExceeded


class _Upload:
    """One upload under way: what it holds, and the sizes of its parts by number. ``is_there`` asks the datasource."""

    def __init__(self, hold: Hold, is_there: Callable[[], Awaitable[bool]]) -> None:
        self.hold = hold
        self.is_there = is_there
        self.parts: dict[int, int] = {}


class UploadRoom:
    """The holds of all uploads."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        quotas.reclaim = self._forget_gone
        self._uploads: dict[str, _Upload] = {}

    def enter(
        self,
        upload_id: str,
        limits: Limits,
        path: str,
        replaced: Callable[[], Awaitable[int]],
        is_there: Callable[[], Awaitable[bool]],
    ) -> Hold:
        """What an upload holds, with the limits that count now."""
        known = self._uploads.get(upload_id)
        if known is None:
            known = self._uploads[upload_id] = _Upload(Hold(self._quotas, limits, path, replaced), is_there)
        known.hold.limits = limits
        return known.hold

    @asynccontextmanager
    async def part(self, upload_id: str, number: int, size: int) -> AsyncIterator[Hold]:
        """Room for one part while it comes in, and as long as it is there. Raises QuotaExceeded.

        The hold that comes is for more than was announced.
        """
        upload = self._uploads[upload_id]
        more = Hold(self._quotas, upload.hold.limits, "")
        await upload.hold.take(size)
        try:
            yield more
        except BaseException:
            more.release()
            await upload.hold.give_back(size)
            raise
        extra = more.size
        more.release()
        with suppress(QuotaExceeded):  # the part is stored by now: it is looked at once more when all are joined
            await upload.hold.take(extra)
            size += extra
        before = upload.parts.get(number, 0)
        upload.parts[number] = size
        if before:
            await upload.hold.give_back(before)

    @asynccontextmanager
    async def completion(self, upload_id: str, size: int) -> AsyncIterator[None]:
        """Room for the whole while it is put together; afterwards nothing is held. Raises QuotaExceeded."""
        hold = self._uploads[upload_id].hold
        more = max(size - hold.size, 0)
        await hold.take(more)
        try:
            yield
        except BaseException:
            if more and hold.limits:
                await hold.give_back(more)
            raise
        self.forget(upload_id)

    def forget(self, upload_id: str) -> None:
        """An upload has ended."""
        upload = self._uploads.pop(upload_id, None)
        if upload is not None:
            upload.hold.release()

    async def _forget_gone(self) -> bool:
        """Uploads end without this router as well: what they hold is looked at when it stands in the way."""
        gone = [upload_id for upload_id, each in list(self._uploads.items()) if not await each.is_there()]
        for upload_id in gone:
            self.forget(upload_id)
        return bool(gone)
