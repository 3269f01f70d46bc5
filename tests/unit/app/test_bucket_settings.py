from pathlib import Path

import pytest

from cellsmono.app.settings import Settings
from cellsmono.interfaces.bucket_settings import BucketSettings, CorsRule
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import Corrupt

FULL = BucketSettings(tags={"a": "b"}, cors=(CorsRule(("GET",), ("*",)),), policy="{}", ownership="", acl="public-read")


async def test_settings_survive_a_restart_and_go_with_their_datasource(tmp_path: Path) -> None:
    settings = await Settings.open(tmp_path, ManualClock())
    assert settings.buckets.find("abc") is None
    await settings.add_datasource(DatasourceConfig(name="abc", folder="/x"))
    await settings.buckets.change("abc", lambda _: FULL)
    await settings.close()
    settings = await Settings.open(tmp_path, ManualClock())
    assert settings.buckets.find("abc") == FULL
    await settings.remove_datasource("abc")
    assert settings.buckets.find("abc") is None
    await settings.close()
    settings = await Settings.open(tmp_path, ManualClock())
    assert settings.buckets.find("abc") is None
    await settings.close()


async def test_a_change_that_fails_changes_nothing_and_one_to_nothing_leaves_no_row(tmp_path: Path) -> None:
    settings = await Settings.open(tmp_path, ManualClock())
    await settings.buckets.change("abc", lambda _: FULL)

    def fail(old: BucketSettings) -> BucketSettings:
        raise ValueError(old.policy)

    with pytest.raises(ValueError, match=r"\{\}"):
        await settings.buckets.change("abc", fail)
    assert settings.buckets.find("abc") == FULL
    await settings.buckets.forget("abc")
    assert settings.buckets.find("abc") is None
    count = await settings._database.read(lambda r: r.execute("SELECT count(*) FROM setting_bucket").fetchone())
    assert count == (0,)
    await settings.close()


async def test_settings_that_can_not_be_read_are_named(tmp_path: Path) -> None:
    settings = await Settings.open(tmp_path, ManualClock())
    await settings._database.write(
        lambda tx: tx.execute("INSERT INTO setting_bucket VALUES ('abc', '{\"policy\": 3}')").rowcount
    )
    await settings.close()
    with pytest.raises(Corrupt, match="'abc'"):
        await Settings.open(tmp_path, ManualClock())
