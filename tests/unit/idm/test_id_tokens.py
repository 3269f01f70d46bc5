import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from cellsmono.idm.id_tokens import FILE_NAME, KEY_SECONDS, SHOWN_SECONDS, KeyRing
from cellsmono.kernel.errors import Corrupt, Unavailable


def read(text, keys):
    return jwt.decode(text, KeySet.import_key_set({"keys": keys}), algorithms=["RS256"]).claims


async def test_keys_are_replaced_and_told_on_for_a_while(tmp_path, clock):
    ring = KeyRing(tmp_path, clock)
    assert not (tmp_path / FILE_NAME).exists(), "made when one is needed"
    old = await ring.sign({"a": 1})
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert read(old, await KeyRing(tmp_path, clock).list_public_keys()) == {"a": 1}, "a restart keeps it"
    clock.advance(KEY_SECONDS)
    ring = KeyRing(tmp_path, clock)
    new = await ring.sign({"b": 2})
    keys = await ring.list_public_keys()
    assert len(keys) == 2
    assert (read(old, keys), read(new, keys)) == ({"a": 1}, {"b": 2})
    assert [sorted(key) for key in keys] == [["alg", "e", "kid", "kty", "n", "use"]] * 2
    clock.advance(SHOWN_SECONDS)
    assert len(await ring.list_public_keys()) == 1
    assert len(await KeyRing(tmp_path, clock).list_public_keys()) == 1


@pytest.mark.parametrize(
    "content", ["", "{}", "[1]", '[{"jwk": {}, "created": 0}]', '[{"jwk": {"kty": "oct"}, "created": 0}]']
)
async def test_a_file_that_is_none(tmp_path, clock, content):
    (tmp_path / FILE_NAME).write_text(content)
    (tmp_path / FILE_NAME).chmod(0o600)
    with pytest.raises(Corrupt, match="restore the file, or remove it"):
        await KeyRing(tmp_path, clock).sign({})


async def test_a_file_that_others_can_read_is_closed(tmp_path, clock):
    await KeyRing(tmp_path, clock).list_public_keys()
    (tmp_path / FILE_NAME).chmod(0o644)
    await KeyRing(tmp_path, clock).list_public_keys()
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


async def test_a_folder_that_can_not_be_written(tmp_path, clock):
    with pytest.raises(Unavailable):
        await KeyRing(tmp_path / "missing", clock).sign({})
