import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from cellsmono.app.config import OwnerConfig
from cellsmono.app.settings import FILE_NAME, Settings
from cellsmono.interfaces.datasource import DatasourceConfig, Watch
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import AlreadyExists, Corrupt, Invalid, NotFound

OWNER = OwnerConfig(access_key="PRESET", secret_key="preset-secret")
Opener = Callable[..., Awaitable[Settings]]


@pytest.fixture
async def open_settings(tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens the store; opening it again closes the one before, as a restart does."""
    opened: list[Settings] = []
    clock = ManualClock()

    async def open_them(owner: OwnerConfig | None = None) -> Settings:
        for each in opened:
            await each.close()
        clock.advance(10)
        opened.append(await Settings.open(tmp_path, clock, owner))
        return opened[-1]

    yield open_them
    for each in opened:
        await each.close()


async def test_the_first_start_makes_a_pair_and_shows_it_once(open_settings: Opener, tmp_path: Path) -> None:
    settings = await open_settings()
    key = await settings.credentials.make_first_key()
    assert key is not None
    assert len(key.access_key) == 20
    assert len(key.secret) == 40
    assert settings.credentials.find_secret(key.access_key) == key.secret
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    again = await open_settings()
    assert await again.credentials.make_first_key() is None
    assert again.credentials.find_secret(key.access_key) == key.secret


async def test_a_preset_pair_is_used_and_not_stored(open_settings: Opener) -> None:
    settings = await open_settings(OWNER)
    assert await settings.credentials.make_first_key() is None
    assert settings.credentials.find_secret("PRESET") == "preset-secret"
    with pytest.raises(Invalid, match="preset by the configuration"):
        await settings.credentials.revoke_key("PRESET")
    without = await open_settings()
    assert without.credentials.find_secret("PRESET") is None
    assert await without.credentials.make_first_key() is not None, "somebody must be able to sign"


async def test_keys_are_made_listed_and_revoked(open_settings: Opener) -> None:
    settings = await open_settings(OWNER)
    one = await settings.credentials.create_key("one")
    two = await settings.credentials.create_key("two")
    assert one.secret != two.secret
    assert [key.description for key in await settings.credentials.list_keys()][1:] == ["one", "two"]
    await settings.credentials.revoke_key(one.access_key)
    assert settings.credentials.find_secret(one.access_key) is None
    with pytest.raises(NotFound):
        await settings.credentials.revoke_key(one.access_key)
    again = await open_settings(OWNER)
    assert [key.access_key for key in await again.credentials.list_keys()] == ["PRESET", two.access_key]


async def test_a_description_has_an_end(open_settings: Opener) -> None:
    settings = await open_settings(OWNER)
    with pytest.raises(Invalid):
        await settings.credentials.create_key("x" * 201)


async def test_datasources_survive_a_restart(open_settings: Opener) -> None:
    settings = await open_settings(OWNER)
    source = DatasourceConfig(name="abc", folder="/x", watch=Watch.POLL, created=5.0)
    await settings.add_datasource(source)
    await settings.add_datasource(DatasourceConfig(name="aaa", folder="/y"))
    with pytest.raises(AlreadyExists):
        await settings.add_datasource(source)
    again = await open_settings(OWNER)
    assert [each.name for each in again.list_datasources()] == ["aaa", "abc"]
    assert again.list_datasources()[1] == source
    assert "abc" in [config.name for config in again.list_datasources()]
    await again.remove_datasource("abc")
    with pytest.raises(NotFound):
        await again.remove_datasource("abc")
    assert "abc" not in [config.name for config in (await open_settings(OWNER)).list_datasources()]


async def test_a_stored_datasource_that_can_not_be_read_is_named(open_settings: Opener) -> None:
    settings = await open_settings(OWNER)
    await settings._database.write(
        lambda tx: tx.execute("INSERT INTO setting_datasource VALUES ('abc', '{\"folder\": 3}')").rowcount
    )
    with pytest.raises(Corrupt, match="'abc'"):
        await open_settings(OWNER)


def test_commands_know_the_name_of_the_file() -> None:
    from cellsmono.cli import session

    assert session.FILE_NAME == FILE_NAME


def test_keys_do_not_show_their_secret() -> None:
    assert "preset-secret" not in repr(OWNER)
