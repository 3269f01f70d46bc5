"""What is kept in an object's own metadata, and what of it has to give way when there is too much."""

import pytest

from cellsmono.datasource.objects.s3.metadata import MOST_BYTES, PATH, PATH_64, read_metadata, write_metadata
from cellsmono.interfaces.node import Checksum, NodeAttributes, NodeMeta, PartInfo

ETAG = "9e107d9d372bb6826bd81d3542a419d6-10000"
PATHS = [
    "a/b",
    "a//b/../c",
    " a",
    "a ",
    "a  b",
    "é/🌅",
    "x" * 1024,
    "é" * 512,
    "\n",
    "\x00",
    "🌅" * 256,
    "=?utf-8?b?eA==?=",
]


def there_and_back(attributes):
    written = write_metadata(attributes.mtime_ns, attributes)
    sizes = {name: len(name) + len(value) for name, value in written["Metadata"].items()}
    assert sum(sizes.values()) <= MOST_BYTES
    for name, value in written["Metadata"].items():
        assert (name + value).isascii()
        assert (name + value).isprintable()
    return read_metadata({**written, "ContentLength": attributes.size})


@pytest.mark.parametrize("path", PATHS)
def test_every_path_that_a_key_can_be_is_kept(path):
    assert there_and_back(NodeAttributes(5, 10**18, ETAG, path=path)) == NodeAttributes(5, 10**18, ETAG, path=path)


@pytest.mark.parametrize("path", PATHS)
def test_the_path_and_the_etag_of_a_blob_matter_more_than_what_else_there_is(path):
    checksum = Checksum("SHA256", "x" * 44 + "-10000", "COMPOSITE")
    parts = tuple(PartInfo(number, 5 << 20) for number in range(1, 300))
    meta = NodeMeta(
        "text/plain", user={"k" * 40: "v" * 2000}, tags={"t" * 128: "é" * 256}, checksum=checksum, parts=parts
    )
    kept = there_and_back(NodeAttributes(5, 10**18, ETAG, meta, path))
    assert (kept.path, kept.etag, kept.mtime_ns) == (path, ETAG, 10**18)
    assert kept.meta.checksum == checksum
    few = NodeMeta("text/plain", user={"k": "v", "größe": "1"}, tags={"t": "1"})
    assert there_and_back(NodeAttributes(5, 10**18, ETAG, few, path)).meta == few


def test_user_metadata_of_a_file_that_has_its_own_name_stays_where_other_tools_see_it():
    user = {"k": "v" * 1900}
    written = write_metadata(5, NodeAttributes(5, 5, ETAG, NodeMeta(user=user, tags={"t": "1" * 200})))
    assert written["Metadata"].items() >= user.items()
    assert not {PATH, PATH_64} & set(written["Metadata"])


@pytest.mark.parametrize("value", ["not base64!", "////", "YQ=", "é"])
def test_what_somebody_else_wrote_there_is_no_path(value):
    head = {"Metadata": {"cellsmono-mtime": "5", PATH_64: value, "k": "v"}, "ContentLength": 1}
    kept = read_metadata(head)
    assert (kept.path, kept.meta.user) == ("", {"k": "v"})
