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
        lambda tx: tx.execute("INSERT INTO setting_bucket (name, settings) VALUES ('abc', '{\"policy\": 3}')").rowcount
    )
    await settings.close()
    with pytest.raises(Corrupt, match="'abc'"):
        await Settings.open(tmp_path, ManualClock())


async def test_another_datasource_of_the_same_name_does_not_inherit(tmp_path: Path) -> None:
    async def find_after(places: dict[str, str]) -> BucketSettings | None:
        settings = await Settings.open(tmp_path, ManualClock())
        try:
            await settings.buckets.settle(places)
            return settings.buckets.find("abc")
        finally:
            await settings.close()

    settings = await Settings.open(tmp_path, ManualClock())
    await settings.buckets.change("abc", lambda _: FULL)
    await settings.close()
    assert await find_after({"abc": "/here"}) == FULL, "a row of before gets its place"
    assert await find_after({"other": "/there"}) == FULL, "kept while it is away"
    assert await find_after({"abc": "/here"}) == FULL
    assert await find_after({"abc": "/there"}) is None
    assert await find_after({"abc": "/here"}) is None


async def test_a_datasource_that_is_removed_and_added_elsewhere_keeps_what_is_set_then(tmp_path: Path) -> None:
    settings = await Settings.open(tmp_path, ManualClock())
    await settings.add_datasource(DatasourceConfig(name="abc", folder="/here"))
    await settings.remove_datasource("abc")
    await settings.add_datasource(DatasourceConfig(name="abc", folder="/there"))
    await settings.buckets.change("abc", lambda _: FULL)
    await settings.buckets.settle({"abc": "/there"})
    assert settings.buckets.find("abc") == FULL
    await settings.close()


async def test_what_is_set_is_noted_with_its_place_at_once(tmp_path: Path) -> None:
    settings = await Settings.open(tmp_path, ManualClock())
    await settings.buckets.settle({"abc": "/here"})
    await settings.buckets.change("abc", lambda _: FULL)
    await settings.buckets.settle({"abc": "/there"})
    assert settings.buckets.find("abc") is None
    await settings.close()
