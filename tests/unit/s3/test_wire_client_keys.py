"""Over which connections a client's key is taken."""

import base64
import hashlib
from types import SimpleNamespace

import pytest
from multidict import CIMultiDict

from cellsmono.gateway.s3.client_keys import PREFIX, ClientKey, read_client_key
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.settings import S3Settings
from cellsmono.gateway.s3.upload_keys import UploadKeys

KEY = b"k" * 32
HEADERS = CIMultiDict(
    {
        PREFIX + "algorithm": "AES256",
        PREFIX + "key": base64.b64encode(KEY).decode(),
        PREFIX + "key-MD5": base64.b64encode(hashlib.md5(KEY).digest()).decode(),
    }
)


def read(remote, *, secure=False, allowed=False, headers=HEADERS):
    context = SimpleNamespace(settings=S3Settings(insecure_client_keys=allowed))
    return read_client_key(context, SimpleNamespace(secure=secure, remote=remote), headers)


@pytest.mark.parametrize("remote", ["127.0.0.1", "127.9.9.9", "::1", ""])
def test_a_key_comes_from_this_machine_in_any_way(remote):
    assert read(remote).secret == KEY


@pytest.mark.parametrize("remote", ["192.0.2.7", "10.0.0.1", "2001:db8::1", "fe80::1%eth0", "nonsense"])
def test_a_key_from_elsewhere_needs_tls_unless_the_configuration_says_otherwise(remote):
    with pytest.raises(S3Error, match="secure connection") as caught:
        read(remote)
    assert caught.value.code == "InvalidRequest"
    assert read(remote, secure=True).secret == KEY
    assert read(remote, allowed=True).secret == KEY
    assert read(remote, headers=CIMultiDict()) is None


def test_a_key_is_known_again_by_what_tells_nothing_about_it():
    key = ClientKey(KEY)
    check = key.make_check()
    assert key.fits(check)
    assert not ClientKey(b"o" * 32).fits(check)
    assert check != key.make_check()
    assert KEY not in check
    assert "k" * 8 not in repr(key)


def test_keys_of_uploads_are_forgotten_when_there_are_too_many():
    keys = UploadKeys(most=2)
    for number in range(3):
        keys.keep(str(number), bytes([number]))
    assert [keys.find(str(number)) for number in range(3)] == [None, b"\x01", b"\x02"]
    keys.forget("1")
    assert keys.find("1") is None
