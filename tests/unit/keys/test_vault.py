"""Master keys and data keys: where they lie, who may read them, and what is told when they are not right."""

import msgspec
import pytest

from cellsmono.data.keys.master import MasterKey, MasterKeys
from cellsmono.data.keys.vault import Vault
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import Corrupt, Unavailable


@pytest.fixture
def vault(tmp_path):
    return Vault(tmp_path, ManualClock())


def test_nothing_is_made_before_it_is_needed(vault, tmp_path):
    assert vault.masters.list_keys() == []
    assert vault.recall("store") == []
    assert list(tmp_path.iterdir()) == []


def test_a_data_key_comes_back_with_its_master_key_only(vault, tmp_path):
    key, secret = vault.make_key("store")
    assert len(secret) == 32
    assert vault.unwrap("store", key) == Vault(tmp_path, ManualClock()).unwrap("store", key) == secret
    path = tmp_path / "master.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret.hex() not in path.read_text()
    with pytest.raises(Corrupt, match="altered"):
        vault.unwrap("other", key)
    with pytest.raises(Corrupt, match="altered"):
        vault.unwrap("store", msgspec.structs.replace(key, id="00" * 8))
    path.rename(tmp_path / "aside")
    with pytest.raises(Unavailable, match="encryption import"):
        Vault(tmp_path, ManualClock()).unwrap("store", key)


def test_there_is_one_master_key_until_another_is_brought_in(vault, tmp_path):
    first = vault.make_key("a")[0]
    assert vault.make_key("b")[0].master == first.master
    older = MasterKey(-5.0, b"o" * 32)
    assert vault.masters.add(older)
    assert not vault.masters.add(older)
    assert [key.id for key in vault.masters.list_keys()] == [older.id, first.master]
    assert vault.make_key("c")[0].master == first.master, "an older one never becomes the one that is used"
    assert "o" * 8 not in repr(vault.masters.list_keys())


def test_wrapped_keys_are_remembered_once_in_order(vault, tmp_path):
    clock = ManualClock()
    one = vault.make_key("s")[0]
    two = msgspec.structs.replace(vault.make_key("s")[0], created=one.created + clock.time() + 1)
    vault.remember("s", "docs", [two])
    vault.remember("s", "renamed", [one, two])
    vault.remember("other", "docs", [one])
    fresh = Vault(tmp_path, clock)
    assert fresh.recall("s") == [one, two]
    assert [(each.store, each.name) for each in fresh.list_stores()] == [("s", "renamed"), ("other", "docs")]
    assert vault.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 1, "keys": [{"created": 1, "secret": "AAAA"}]}', '{"version": 9, "keys": []}']
)
def test_files_that_can_not_be_read_are_told(tmp_path, text):
    (tmp_path / "master.key").write_text(text)
    with pytest.raises(Corrupt, match=r"master\.key"):
        MasterKeys(tmp_path, ManualClock()).current()
    (tmp_path / "data_keys.json").write_text(text[:3])
    with pytest.raises(Corrupt, match=r"data_keys\.json"):
        Vault(tmp_path, ManualClock()).recall("s")
