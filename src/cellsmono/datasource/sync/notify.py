"""inotify through watchfiles: one feed for many folders, each of them watched by itself.

A feed can not take further folders once it runs, so folders that appear get a young feed; young feeds are joined when
there are several of them, and when they have grown large everything is laid out anew. What watchfiles reports is
handed on as it is, but for one thing: a folder that appeared is announced after what is in it is watched, so that
whoever lists it then misses nothing.
"""

import functools
import os
import queue
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable, Sequence

import structlog
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from cellsmono.datasource.sync.polling import choose_pause
from cellsmono.datasource.sync.quiet import open_quietly
from cellsmono.datasource.sync.survey import Survey, find_latecomers, is_folder, is_utf8, list_folder, survey_folders
from cellsmono.datasource.sync.watcher import Change, WatchFailed, explain_exhausted
from cellsmono.interfaces.node import facts_of

ADDED, MODIFIED, DELETED = 1, 2, 3
Found = tuple[int, str]

STEP_MS = 50
"""How often a feed is asked for news: a compromise between the delay of a change and the cost of an idle server."""

DEBOUNCE_MS = 100

FOLDERS_A_FEED = 2500
MOST_OLD_FEEDS = 8
"""Registering holds the interpreter for some 15 µs a folder: a feed of 2,500 delays others by 40 ms."""

MOST_YOUNG_FEEDS = 3
MOST_ROUNDS = 10
RECHECK_SECONDS = 60.0
"""How often at least the folders that can not be watched are looked at again; more often where that costs little."""

log = structlog.get_logger("cellsmono.sync")


class Feed:
    """Some watched folders, read by a thread that puts what it hears into an inbox, at last the error it died of."""

    def __init__(self, folders: Iterable[str], inbox: "Inbox", step_ms: int, debounce_ms: int) -> None:
        self.folders = frozenset(folders)
        self._inbox = inbox
        self._step_ms = step_ms
        self._debounce_ms = debounce_ms
        self._stop = threading.Event()
        self._notify = open_notify(self.folders)
        self._thread = threading.Thread(target=self._read, name="cellsmono-feed", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while True:
                # Without a time limit: watchfiles may drop a change at the moment in which the time is up.
                found = self._notify.watch(self._debounce_ms, self._step_ms, 0, self._stop)
                if not isinstance(found, set):
                    return
                self._inbox.put((self, found))
        except (WatchfilesRustInternalError, RuntimeError) as error:
            self._inbox.put((self, error))
        finally:
            self._notify.close()

    def stop(self) -> None:
        """End soon; what is not read yet is lost."""
        self._stop.set()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()


Inbox = queue.SimpleQueue[tuple[Feed, set[Found] | Exception] | None]


def open_notify(folders: Iterable[str]) -> RustNotify:
    """Begin to watch these folders as far as they are there and can be read. Raises WatchFailed."""
    wanted = list(folders)
    error: Exception | None = None
    for _ in range(MOST_ROUNDS):
        try:
            # A denied permission must not be ignored by watchfiles: it would ignore every other error, too.
            return open_quietly(wanted, functools.partial(RustNotify, wanted, False, False, 0, False, False))
        except (FileNotFoundError, PermissionError) as vanished:
            error = vanished
            wanted = [folder for folder in wanted if is_folder(folder)]
        except OSError as refused:
            raise WatchFailed(f"{explain_exhausted('max_user_watches')} ({refused})", can_retry=False) from refused
        except WatchfilesRustInternalError as refused:
            if "os error 24" in str(refused):
                message = f"{explain_exhausted('max_user_instances')} ({refused})"
                raise WatchFailed(message, can_retry=False) from refused
            raise WatchFailed(f"Watching failed: {refused}", can_retry=True) from refused
    raise WatchFailed(f"Folders vanish faster than they can be watched ({error}).", can_retry=True)


class TreeFeeds:
    """Watches a tree from one thread: see the module. ``blind`` are folders that can not be watched."""

    def __init__(
        self,
        root: str,
        sink: Callable[[Sequence[Change]], None],
        ready: Callable[[], None],
        step_ms: int = STEP_MS,
        debounce_ms: int = DEBOUNCE_MS,
    ) -> None:
        self._root = root
        self._sink = sink
        self._ready = ready
        self._times = (step_ms, debounce_ms)
        self._inbox: Inbox = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._old: list[Feed] = []
        self._young: list[Feed] = []
        self._most_young = MOST_YOUNG_FEEDS
        self._checked = time.monotonic()
        self._pause = choose_pause(0.0, RECHECK_SECONDS)
        self.blind: dict[str, None] = {}

    def covers(self, folder: str) -> bool:
        """Whether changes in this folder are heard of. From any thread."""
        return folder not in self.blind and any(folder in feed.folders for feed in (*self._old, *self._young))

    def stop(self) -> None:
        """End ``run`` soon. From any thread."""
        self._stopped.set()
        self._inbox.put(None)

    def run(self) -> None:
        """Watch until stopped. Raises WatchFailed."""
        try:
            self._begin()
            self._ready()
            while not self._stopped.is_set():
                self._take(self._receive())
        finally:
            feeds = [*self._old, *self._young]
            for feed in feeds:
                feed.stop()
            for feed in feeds:
                feed.join()

    # --- laying out

    def _begin(self) -> None:
        if not is_folder(self._root):
            raise WatchFailed(f"The folder {self._root} is not there, or can not be read.", can_retry=True)
        began = time.time_ns()
        survey = survey_folders([self._root], self._stopped.is_set)
        self._note_blind(survey.unwatchable)
        self._old = self._open_old(survey.folders)
        self._watch_latecomers(survey, began)

    def _open(self, folders: Iterable[str]) -> Feed:
        return Feed(folders, self._inbox, *self._times)

    def _open_old(self, folders: Sequence[str]) -> list[Feed]:
        size = max(FOLDERS_A_FEED, -(-len(folders) // MOST_OLD_FEEDS))
        feeds: list[Feed] = []
        try:
            for start in range(0, len(folders), size):
                feed = self._open(folders[start : start + size])
                feeds.append(feed)
        except WatchFailed:
            for feed in feeds:
                feed.stop()
            raise
        return feeds

    def _grow(self, tops: Sequence[str]) -> list[str]:
        """Watch these new folders and all below them; returns those that nothing told of."""
        began = time.time_ns()
        survey = survey_folders(tops, self._stopped.is_set)
        self._note_blind(survey.unwatchable)
        if survey.folders:
            self._young.append(self._open(survey.folders))
        late = self._watch_latecomers(survey, began)
        self._tidy()
        return late

    def _watch_latecomers(self, survey: Survey, began: int) -> list[str]:
        """Watch what came while the survey ran, until nothing came any more: no event tells of it."""
        late: list[str] = []
        for _ in range(MOST_ROUNDS):
            tops = find_latecomers(survey, began)
            if not tops or self._stopped.is_set():
                return late
            late += tops
            began = time.time_ns()
            survey = survey_folders(tops, self._stopped.is_set)
            self._note_blind(survey.unwatchable)
            if survey.folders:
                self._young.append(self._open(survey.folders))
        raise WatchFailed("Folders appear faster than they can be watched.", can_retry=True)

    def _tidy(self) -> None:
        """Join young feeds when there are several; lay everything out anew when they have grown large."""
        if len(self._young) <= self._most_young:
            return
        young = frozenset().union(*(feed.folders for feed in self._young))
        try:
            if len(young) <= max(FOLDERS_A_FEED, sum(len(feed.folders) for feed in self._old) // 2):
                gone, self._young = self._young, [self._open(filter(is_folder, young))]
            else:
                everything = young.union(*(feed.folders for feed in self._old))
                fresh = self._open_old([path for path in everything if is_folder(path)])
                gone, self._old, self._young = [*self._old, *self._young], fresh, []
        except WatchFailed:
            # For a moment everything is watched twice; where the system does not allow that, it stays as it is.
            self._most_young *= 2
            return
        for feed in gone:
            self._retire(feed)

    def _retire(self, feed: Feed) -> None:
        """End a feed later: what it heard and did not tell yet, nobody else did."""
        timer = threading.Timer(4 * sum(self._times) / 1000, feed.stop)
        timer.daemon = True
        timer.start()

    # --- at work

    def _receive(self) -> list[tuple[Feed, set[Found] | Exception]]:
        """What came; empty after a while in which nothing came."""
        items = []
        try:
            items.append(self._inbox.get(timeout=self._pause if self.blind else None))
            while True:
                items.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        return [item for item in items if item is not None]

    def _take(self, items: Sequence[tuple[Feed, set[Found] | Exception]]) -> None:
        found: set[Found] = set()
        for feed, told in items:
            if isinstance(told, Exception):
                self._replace(feed, told)
            else:
                found |= told
        unheard = self._look_again() if self.blind and time.monotonic() - self._checked >= self._pause else set()
        found |= unheard
        changes, tops = [], []
        for kind, path in found:
            status = None if kind == DELETED else _look_at(path)
            is_file = status is not None and stat.S_ISREG(status.st_mode)
            if not is_file and status is not None and self._is_unwatched(kind, path):
                tops.append(path)
            changes.append(Change(os.fsencode(path), kind == ADDED, facts_of(status) if is_file and status else None))
        late = self._grow(outermost(tops)) if tops else []
        if changes or late:
            self._sink([*changes, *(Change(os.fsencode(path), True) for path in late)])
        if any(self.covers(path) for _, path in unheard):
            # The comparison may have found them before they were watched, and nobody heard of what came between.
            self._ready()

    def _is_unwatched(self, kind: int, path: str) -> bool:
        """Whether a folder stands there that appeared, or may be read since its mode was changed."""
        if kind == MODIFIED and (path in self.blind or self.covers(path)):
            return False
        return is_folder(path)

    def _replace(self, feed: Feed, error: Exception) -> None:
        """A feed broke off, as it does when it hears of a name that is not UTF-8: go on without that folder."""
        feeds = next((feeds for feeds in (self._old, self._young) if feed in feeds), None)
        if feeds is None:
            return
        folder = find_culprit(str(error))
        if folder not in feed.folders:
            raise WatchFailed(f"The watcher broke off: {error}", can_retry=True) from error
        self._note_blind([folder])
        feeds[feeds.index(feed)] = self._open(feed.folders - {folder})
        self._ready()

    def _look_again(self) -> set[Found]:
        """Folders that could not be watched and can be now, and those that came into one that can not: nobody told."""
        began = time.monotonic()
        unheard = set()
        for folder in list(self.blind):
            listed = list_folder(folder)
            if listed is None or (listed[1] and is_utf8(folder)):
                del self.blind[folder]
                unheard.add(folder)
            else:
                unheard.update(path for path in listed[0] if path not in self.blind and not self.covers(path))
        self._checked = time.monotonic()
        self._pause = choose_pause(self._checked - began, RECHECK_SECONDS)
        return {(ADDED, folder) for folder in unheard if is_folder(folder)}

    def _note_blind(self, folders: Iterable[str]) -> None:
        fresh = [folder for folder in folders if folder not in self.blind]
        if not fresh:
            return
        self.blind |= dict.fromkeys(fresh)
        log.warning(
            "some folders can not be watched because of names that are not UTF-8; changes directly in them are found "
            "by the periodic comparison, until those names are changed",
            folder=fresh[0].encode("utf-8", "backslashreplace").decode(),
            folders=len(fresh),
        )


def _look_at(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (OSError, ValueError):
        return None


def outermost(folders: Iterable[str]) -> list[str]:
    """Of these folders, those that are not below another one of them."""
    found: list[str] = []
    for folder in sorted(folders, key=lambda path: path.split("/")):
        if not (found and (folder == found[-1] or folder.startswith(found[-1] + "/"))):
            found.append(folder)
    return found


_PIECE = re.compile(r"\\x[0-9A-F]{2}|\\u\{([0-9a-f]+)\}|\\(.)|([^\\])")
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


def find_culprit(message: str) -> str:
    """The folder that holds the name of which watchfiles complains; empty when its message can not be understood.

    The path stands there as Rust's ``Debug`` writes it: in double quotes, a byte that is not UTF-8 as ``\\xFF``.
    """
    start, end = message.find('"'), message.rfind('"')
    path = []
    for match in _PIECE.finditer(message, start + 1, max(end, 0)):
        point, escaped, plain = match.groups()
        if plain is not None:
            path.append(plain)
        elif escaped is not None:
            path.append(_PLAIN.get(escaped, escaped))
        elif point is not None:
            path.append(chr(int(point, 16)))
        else:
            return "".join(path).rpartition("/")[0]
    return ""
