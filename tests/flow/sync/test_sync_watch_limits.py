"""Where watching is not possible: the limits of inotify, and file systems that tell nothing."""

import asyncio
import shutil
import subprocess

import pytest
import structlog

from cellsmono.datasource.sync import filesystems, notify
from cellsmono.datasource.sync.watcher import WatchFailed, WatchfilesWatcher, explain_exhausted
from cellsmono.interfaces.datasource import Watch
from cellsmono.interfaces.sync import SyncState

PATIENCE = 20.0


@pytest.fixture
def limit_prefix():
    """A command that starts another one in a user namespace in which a limit of inotify is low."""

    def prefix(name, value):
        command = ["unshare", "--user", "--map-root-user", "sh", "-c"]
        script = f'echo {value} > /proc/sys/user/{name} && exec "$@"'
        if shutil.which("unshare") is None or subprocess.run([*command, script, "sh", "true"], check=False).returncode:
            pytest.skip("user namespaces are not available here")
        return [*command, script, "sh"]

    return prefix


def assert_explained(text, limit="max_user_watches", value=1048576):
    assert f"sysctl -w fs.inotify.{limit}={value}" in text


def files_of(info):
    return info.stats.files


async def test_w3_the_limit_is_reached_before_the_start(root, serve_folder, limit_prefix):
    for number in range(50):
        (root / f"d{number}").mkdir()
    (root / "d7" / "kept").write_bytes(b"1")
    served = serve_folder(prefix=limit_prefix("max_inotify_watches", 20))
    await served.wait(lambda info: info.sync.state == "degraded")
    info = await served.show()
    assert_explained(info.sync.detail)
    assert info.sync.watcher == "polling"
    (root / "d1" / "new").write_bytes(b"1")
    (root / "d2" / "deep" / "er").mkdir(parents=True)
    (root / "d2" / "deep" / "er" / "new").write_bytes(b"1")
    await served.wait(lambda info: (info.stats.files, info.stats.folders) == (3, 52))
    assert served.server.read_log().count("max_user_watches=") == 1
    assert served.server.stop() == 0


async def test_w3_the_limit_is_reached_after_the_start(root, serve_folder, limit_prefix):
    served = serve_folder(prefix=limit_prefix("max_inotify_watches", 20))
    await served.wait_until_followed()
    for number in range(50):
        (root / f"d{number}" / "deep").mkdir(parents=True)
    await served.wait(lambda info: info.sync.state == "degraded")
    assert_explained((await served.show()).sync.detail)
    for number in range(50):
        (root / f"d{number}" / "deep" / "new").write_bytes(b"1")
    await served.wait(lambda info: (info.stats.files, info.stats.folders) == (50, 100))
    assert served.server.stop() == 0


async def test_w3_no_more_watchers_for_this_user(root, serve_folder, limit_prefix):
    served = serve_folder(prefix=limit_prefix("max_inotify_instances", 0))
    await served.wait(lambda info: info.sync.state == "degraded")
    assert_explained((await served.show()).sync.detail, "max_user_instances", 1024)
    (root / "new").write_bytes(b"1")
    await served.wait(lambda info: info.stats.files == 1)
    assert served.server.stop() == 0


async def test_w3_polling_begins_at_once_when_watching_ends(root, open_followed, monkeypatch):
    with structlog.testing.capture_logs() as logs:
        async with open_followed(reconcile_seconds=30.0) as site:

            def refuse(folders):
                raise WatchFailed(explain_exhausted("max_user_watches"), can_retry=False)

            monkeypatch.setattr(notify, "open_notify", refuse)
            (root / "a" / "b").mkdir(parents=True)
            async with asyncio.timeout(PATIENCE):
                await site.sync.wait_for_state(SyncState.DEGRADED)
            (root / "a" / "b" / "new").write_bytes(b"1")
            await site.wait_for("a/b/new")
    warnings = [line["reason"] for line in logs if line["event"] == "changes are found by polling"]
    assert len(warnings) == 1
    assert_explained(warnings[0])


async def test_a_fault_in_the_watcher_is_told_and_it_is_started_anew(root, open_followed):
    class Faulty(WatchfilesWatcher):
        lives = 0

        async def follow(self, root, sink, ready):
            self.lives += 1
            if self.lives == 1:
                raise UnboundLocalError("a fault of ours")
            await super().follow(root, sink, ready)

    with structlog.testing.capture_logs() as logs:
        async with open_followed(watcher=Faulty()) as site:
            (root / "new").write_bytes(b"1")
            await site.wait_for("new")
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["the watcher failed"]


@pytest.mark.parametrize(("magic", "kind"), [(0x6969, "nfs"), (0xFF534D42, "cifs"), (0x65735546, "fuse")])
async def test_a_file_system_that_tells_nothing_is_polled(root, open_any, monkeypatch, magic, kind):
    monkeypatch.setattr(filesystems, "read_type", lambda folder: magic)
    async with open_any(hash_content=False, reconcile_seconds=0.3) as site:
        async with asyncio.timeout(PATIENCE):
            await site.sync.wait_for_state(SyncState.DEGRADED)
        assert f"({kind})" in site.sync.status().detail
        (root / "new").write_bytes(b"1")
        await site.wait_for("new")


async def test_polling_finds_what_was_rewritten_in_place(root, open_any):
    (root / "x").write_bytes(b"old")
    async with open_any(watch=Watch.POLL, hash_content=False, reconcile_seconds=0.3) as site:
        await site.wait_for("x")
        assert site.sync.status().watcher == "polling"
        (root / "x").write_bytes(b"rewritten")
        await site.converge()
        assert site.sync.status().state is SyncState.WATCHING
