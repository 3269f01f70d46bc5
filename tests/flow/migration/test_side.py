"""How a migration looks at a place."""

import pytest

from cellsmono.datasource.migration.side import Side, list_all
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.kernel.errors import Unavailable


class Vanishing:
    """A place whose second folder goes right after the first look."""

    def __init__(self, inner, lose):
        self._inner, self._lose = inner, lose

    async def scan(self, bucket, folders):
        found = await self._inner.scan(bucket, folders)
        self._lose()
        return found


@pytest.fixture
def place(nodes, folder):
    for name in ("kept", "lost"):
        (folder / name).mkdir()
    config = DatasourceConfig(name="docs", folder=str(folder))

    def make(lose):
        return Side(config, Vanishing(nodes._objects, lose), None, has_attributes=True)

    return make


async def test_a_folder_that_goes_meanwhile_is_not_there(place, folder):
    def lose():
        if (folder / "lost").exists():
            (folder / "lost").rmdir()

    found = [listing.key async for listings in list_all(place(lose)) for listing in listings]
    assert found == ["", "kept/"]


async def test_a_place_that_is_gone_is_told(place, folder):
    folder.rename(folder.with_name("away"))
    with pytest.raises(Unavailable):
        [listings async for listings in list_all(place(lambda: None))]
