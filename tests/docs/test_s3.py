"""docs/s3.md against the code: what policies can ask for, and what is refused."""

import re
from pathlib import Path

import pytest

from cellsmono.data.policy import keys
from cellsmono.gateway.s3 import operations, subresources

PAGE = (Path(__file__).parents[2] / "docs" / "s3.md").read_text()
MISSING = PAGE.partition("## What is not there")[2].partition("| Part of an operation")[0]


@pytest.mark.parametrize("name", sorted(keys.known_names()))
def test_every_condition_key_has_a_line(name):
    assert f"`{name}`" in PAGE.lower().replace("/key`", "/`")


def rows(handlers):
    return {(level, sub) for (_, level, sub), (_, handler) in operations._TABLE.items() if handler in handlers}


def test_every_sub_resource_that_is_refused_has_a_line_and_no_other_has():
    refused = rows({subresources.refuse_feature, subresources.refuse_setting, subresources.refuse_restore})
    assert refused, "the table was looked at"
    of_bucket, _, of_object = MISSING.partition("| Of an object |")
    listed = {
        (level, name)
        for level, part in (("bucket", of_bucket), ("object", of_object))
        for line in part.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([a-zA-Z-]+)`", line.split("|")[1])
    }
    assert listed == refused


def test_settings_that_can_be_read_and_not_set_are_told_apart():
    readable = {sub for _, sub in rows({subresources.refuse_setting})}
    assert readable == set(subresources.MISSING | subresources.EMPTY | subresources.LISTS)
    for name in readable:
        line = next(line for line in MISSING.splitlines() if f"`{name}`" in line)
        assert "204" in line
    for name in subresources.BUCKET_FEATURES:
        line = next(line for line in MISSING.splitlines() if f"`{name}`" in line)
        assert line.count("`NotImplemented`") == 3
