"""What multipart uploads are held to, wherever their bytes lie."""

import os

from cellsmono.datasource.objects.names import refuse_folder_key
from cellsmono.interfaces.objects import Part, Upload
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import Invalid

MAX_PARTS = 10_000
"""S3's highest part number."""


class UploadMaker:
    """Begins uploads: no two at the same time, so that their ids sort in the order in which they were begun."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ns = 0

    def make(self, bucket: str, key: str, context: bytes) -> Upload:
        """A new upload. Raises Invalid for a key that ends in ``/``; whether others can be stored is not asked here."""
        refuse_folder_key(key)
        self._last_ns = max(self._clock.time_ns(), self._last_ns + 1)
        return Upload(bucket, key, _new_id(self._last_ns), self._last_ns, context)


def check_part_number(number: int) -> None:
    """Part numbers run from 1 to 10,000. Raises Invalid (reason ``part_number``)."""
    if not 1 <= number <= MAX_PARTS:
        raise Invalid(f"The part number {number} is not between 1 and {MAX_PARTS}.", reason="part_number")


def check_part(wanted: Part, stored: Part | None) -> None:
    """Raise Invalid (reason ``part``) when a part that is to be joined is not stored as the caller thinks."""
    if stored is None or stored.etag != wanted.etag or stored.size != wanted.size:
        raise Invalid(f"Part {wanted.number} was not uploaded, or was replaced meanwhile.", reason="part")


def _new_id(initiated_ns: int) -> str:
    """An id that can not be guessed (96 random bits) and sorts by the time of initiation."""
    return f"{initiated_ns:016x}{os.urandom(12).hex()}"
