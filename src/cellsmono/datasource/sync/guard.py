"""The mass-deletion guard: how much may vanish before somebody has to say that it is meant. Pure."""

from collections import deque

WINDOW_SECONDS = 60.0


class DeletionGuard:
    """Counts what is deleted within a sliding window and refuses what would pass both limits.

    A refused deletion is not counted. ``share`` is a part (0..1) of the nodes that were there when the window began;
    ``nodes`` a number of them.
    """

    def __init__(self, share: float, nodes: int, window: float = WINDOW_SECONDS) -> None:
        self._share = share
        self._nodes = nodes
        self._window = window
        self._recent: deque[tuple[float, int]] = deque()

    def recent(self, now: float) -> int:
        """Nodes deleted within the window."""
        while self._recent and self._recent[0][0] <= now - self._window:
            self._recent.popleft()
        return sum(count for _, count in self._recent)

    def would_pass(self, count: int, total: int, now: float) -> bool:
        """Whether ``count`` more nodes may go while the index holds ``total``."""
        recent = self.recent(now)
        gone = recent + count
        return gone <= self._nodes or gone <= self._share * (total + recent)

    def note(self, count: int, now: float) -> None:
        """Count a deletion that was done."""
        if count:
            self._recent.append((now, count))

    def forget(self) -> None:
        """Begin a new window: what was deleted so far was accepted by somebody."""
        self._recent.clear()


def explain_refusal(name: str, count: int, total: int) -> str:
    """Why deletions are held, and how to accept them."""
    return (
        f"{count} of {total} nodes are gone from the storage, which is more than the mass-deletion guard allows; "
        f"nothing was deleted from the index. If that is meant, run `cellsmono ds resync {name} --accept-deletes`; "
        "if a disk is not mounted, mount it and everything goes on by itself."
    )


def explain_empty_root(name: str, folder: str) -> str:
    """Why an empty root deletes nothing, and how to accept that it is empty."""
    return (
        f"{folder} is empty and is not the folder that was indexed (a disk that is not mounted?); nothing was deleted "
        f"from the index. If the emptiness is meant, run `cellsmono ds resync {name} --accept-deletes`."
    )
