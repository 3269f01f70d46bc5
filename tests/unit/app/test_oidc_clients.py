import pytest

from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.oidc import OidcClient
from cellsmono.kernel.errors import Invalid
from cellsmono.kernel.text import HIDDEN

GOOD = 'id = "wiki"\nredirect_uris = ["https://wiki.test/cb"]\n'


@pytest.fixture
def load(tmp_path):
    def load_it(text):
        file = tmp_path / "config.toml"
        file.write_text(text)
        return load_config(config_file=str(file), environ={"HOME": "/h"})

    return load_it


def test_clients_are_read_and_listed_without_their_secrets(load):
    loaded = load("[[oidc_client]]\n" + GOOD + 'secret = "0123456789abcdef"\n')
    [client] = loaded.config.oidc_client
    assert client == OidcClient(id="wiki", redirect_uris=("https://wiki.test/cb",), secret="0123456789abcdef")
    assert "0123456789abcdef" not in repr(client) + repr(loaded.list_values())
    [shown] = [row.value for row in loaded.list_values() if row.key == "oidc_client.wiki.secret"]
    assert shown == HIDDEN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("oidc_client = 3", "written as tables in double brackets"),
        ('[[oidc_client]]\nredirect_uris = ["https://a.test"]', "the key 'id' must be there"),
        ('[[oidc_client]]\nid = "a b"\nredirect_uris = ["https://a.test"]', "without spaces"),
        ('[[oidc_client]]\nid = "a"', "'redirect_uris' must name"),
        ('[[oidc_client]]\nid = "a"\nredirect_uris = "x"', "got `str`"),
        ("[[oidc_client]]\nidd = 1", "unknown field `idd`"),
        ("[[oidc_client]]\n" + GOOD + 'secret = "short"', "at least 16 characters"),
        ("[[oidc_client]]\n" + GOOD + "[[oidc_client]]\n" + GOOD, "have the id 'wiki'"),
        *(
            (f'[[oidc_client]]\nid = "a"\nredirect_uris = ["{uri}"]', "no address that people can be sent back to")
            for uri in (
                *("", "x", "/x", "https://", "javascript:alert(1)", "data:text/html,x", "https://a.test/#x"),
                *("https://*.a.test/", "https://u@a.test/", "http://[", "https://a.test/ b"),
            )
        ),
    ],
)
def test_clients_that_are_none(load, text, said):
    with pytest.raises(Invalid) as caught:
        load(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("uri", ["{site}/x", "app://x", "http://localhost:[1-9]/x", "http://[::1]:80/x", "app:/x"])
def test_addresses_that_people_can_be_sent_back_to(load, uri):
    assert load(f'[[oidc_client]]\nid = "a"\nredirect_uris = ["{uri}"]').config.oidc_client[0].redirect_uris == (uri,)


@pytest.mark.parametrize("url", ["https://a.test", "http://a.test:8080", "https://[::1]:8443"])
def test_external_urls(load, url):
    assert load(f'[server]\nexternal_url = "{url}"').config.server.external_url == url


@pytest.mark.parametrize(
    "url",
    ["a.test", "ftp://a.test", "https://a.test/", "https://a.test/x", "https://u@a.test", "https://", "https://["],
)
def test_external_urls_that_are_none(load, url):
    with pytest.raises(Invalid, match="external_url"):
        load(f'[server]\nexternal_url = "{url}"')
