"""The bus: facts, as data, from one service to whoever listens.

Requests are plain awaits on an interface; the bus only carries what has happened. Publishing never blocks and never
fails: a subscriber that does not keep up loses events and is told so (``missed``), and then reads what it lost from
where the facts are stored (``NodeIndex.changes``). Everything here lives on the event loop and needs no thread lock.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Generic, Self, TypeVar

E = TypeVar("E")


class Topic(Generic[E]):
    """A channel's name tied to the type of its events. Topics are equal when their names are."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Topic) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Topic({self.name})"


class Subscription(Generic[E]):
    """A bounded queue of one subscriber: an async iterator that ends when it is closed and read empty.

    When the queue is full the *newest* event is dropped, so that what is delivered has no gap before its end;
    ``missed`` turns true and ``missed_count`` says how many. ``take_missed`` reads and resets both.
    """

    def __init__(self, bus: "Bus", topic: Topic[E], name: str, size: int) -> None:
        if size < 1:
            raise ValueError("a subscription needs room for at least one event")
        self.topic = topic
        self.name = name
        self.size = size
        self.missed_count = 0
        self._bus = bus
        self._events: deque[E] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    @property
    def missed(self) -> bool:
        """Whether events were dropped since the last ``take_missed``."""
        return self.missed_count > 0

    @property
    def is_closed(self) -> bool:
        """Whether no further event will come."""
        return self._is_closed

    def __len__(self) -> int:
        return len(self._events)

    def take_missed(self) -> int:
        """How many events were dropped since the last call; resets the count."""
        count, self.missed_count = self.missed_count, 0
        return count

    def close(self) -> None:
        """Receive nothing more; what is queued can still be read. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        self._bus.forget(self)
        while self._waiters:
            _wake(self._waiters.popleft())

    def offer(self, event: E) -> None:
        """Queue an event, or count it as missed. Called by the bus."""
        if self._is_closed:
            return
        if len(self._events) >= self.size:
            self.missed_count += 1
            return
        self._events.append(event)
        while self._waiters:
            if _wake(self._waiters.popleft()):
                break

    def get_nowait(self) -> E | None:
        """The next queued event, None when there is none now."""
        return self._events.popleft() if self._events else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        while not self._events:
            if self._is_closed:
                raise StopAsyncIteration
            await self._wait()
        event = self._events.popleft()
        if self._events and self._waiters:
            _wake(self._waiters.popleft())
        return event

    async def _wait(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            # The wake-up of a cancelled reader belongs to the next one, or an event would lie there unseen.
            if waiter.done() and not waiter.cancelled() and self._events:
                while self._waiters and not _wake(self._waiters.popleft()):
                    pass
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Bus:
    """Topics and their subscribers, in one process."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, list[Subscription[object]]] = {}

    def publish(self, topic: Topic[E], event: E) -> None:
        """Hand an event to every subscriber of the topic, in order of subscription. Never blocks, never raises."""
        for subscription in tuple(self._subscriptions.get(topic.name, ())):
            subscription.offer(event)

    def subscribe(self, topic: Topic[E], name: str, size: int = 1000) -> Subscription[E]:
        """Receive every event that is published from now on. ``name`` is shown in status; ``size`` bounds the queue."""
        subscription = Subscription(self, topic, name, size)
        self._subscriptions.setdefault(topic.name, []).append(subscription)  # type: ignore[arg-type]
        return subscription

    def forget(self, subscription: Subscription[E]) -> None:
        """Take a subscription off its topic. Called by ``Subscription.close``."""
        known = self._subscriptions.get(subscription.topic.name, [])
        if subscription in known:
            known.remove(subscription)  # type: ignore[arg-type]
        if not known:
            self._subscriptions.pop(subscription.topic.name, None)

    def list_subscriptions(self) -> list[Subscription[object]]:
        """Every open subscription, by topic in order of first subscription."""
        return [each for group in self._subscriptions.values() for each in group]


def _wake(waiter: "asyncio.Future[None]") -> bool:
    if waiter.done():
        return False
    waiter.set_result(None)
    return True
