"""docs/s3.md against the code: what policies can ask for."""

from pathlib import Path

import pytest

from cellsmono.data.policy import keys

PAGE = (Path(__file__).parents[2] / "docs" / "s3.md").read_text()


@pytest.mark.parametrize("name", sorted(keys.known_names()))
def test_every_condition_key_has_a_line(name):
    assert f"`{name}`" in PAGE.lower().replace("/key`", "/`")
