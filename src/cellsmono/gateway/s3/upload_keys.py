"""The keys that clients brought for uploads in parts (SSE-C)."""


class UploadKeys:
    """The keys of uploads in parts until they are completed, which is asked without them. In memory alone."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._keys: dict[str, bytes] = {}

    def keep(self, upload_id: str, key: bytes) -> None:
        """Remember the key of an upload; the oldest is forgotten when there are too many."""
        self._keys[upload_id] = key
        while len(self._keys) > self._most:
            del self._keys[next(iter(self._keys))]

    def find(self, upload_id: str) -> bytes | None:
        """The key of an upload, None when it was never told to this process."""
        return self._keys.get(upload_id)

    def forget(self, upload_id: str) -> None:
        """An upload has ended."""
        self._keys.pop(upload_id, None)
