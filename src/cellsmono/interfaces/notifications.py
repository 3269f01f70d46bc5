"""What a storage tells of changes by itself: hints, which are never taken for facts."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class ObjectChange(msgspec.Struct, frozen=True):
    """Something happened to an object of a bucket elsewhere.

    ``key`` is as the server has it, prefix and all. ``size`` and ``etag`` tell the content it has since, an empty ETag
    says that they are not known or that it is gone.
    """

    bucket: str
    key: str
    size: int = 0
    etag: str = ""


class ChangeFeed(Protocol):
    """Takes notifications for datasources."""

    def admit(self, name: str, token: str) -> None:
        """Raise Forbidden unless the token is that of the datasource.

        A datasource that takes no notifications, or whose token can not be read, and one that is not there are
        refused in the same words: who has no token learns nothing of names.
        """

    def take(self, name: str, changes: Sequence[ObjectChange]) -> int:
        """Have a look taken soon at what these changes are about; how many of them lie in the datasource.

        What is told of other buckets and prefixes is left out. Raises Unavailable for one that does not work now.
        """
