"""How the log names a client."""

import pytest

from cellsmono.gateway.http.connection import describe_peer


@pytest.mark.parametrize(
    ("name", "text"),
    [(("127.0.0.1", 9), "127.0.0.1:9"), (("::1", 9, 0, 0), "[::1]:9"), (None, "unknown"), ("", "unknown")],
)
def test_a_peer_is_an_address_and_a_port(name, text):
    assert describe_peer(name) == text
