import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellsmono.interfaces.node import Facts, Node, derived_etag, new_uuid
from cellsmono.interfaces.paths import ancestors_of, is_below, is_folder, name_of, parent_of, rebase

segments = st.lists(st.text("ab.é", min_size=1, max_size=3), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("path", "parent", "name", "ancestors"),
    [
        ("", "", "", []),
        ("a", "", "a", []),
        ("a/", "", "a/", []),
        ("a/b", "a/", "b", ["a/"]),
        ("a/b/", "a/", "b/", ["a/"]),
        ("a/b/c", "a/b/", "c", ["a/", "a/b/"]),
        ("a/b/c/", "a/b/", "c/", ["a/", "a/b/"]),
    ],
)
def test_a_path_falls_into_its_parts(path, parent, name, ancestors):
    assert parent_of(path) == parent
    assert name_of(path) == name
    assert ancestors_of(path) == ancestors


@given(segments, st.booleans())
def test_parent_and_name_make_the_path(parts, folder):
    path = "/".join(parts) + ("/" if folder else "")
    assert parent_of(path) + name_of(path) == path
    assert is_folder(parent_of(path))
    assert ancestors_of(path)[-1:] == ([parent_of(path)] if len(parts) > 1 else [])


def test_a_sibling_with_the_same_beginning_is_not_below():
    assert is_below("ab/c", "ab/")
    assert not is_below("abc", "ab/")
    assert not is_below("abc/d", "ab/")
    assert rebase("ab/c/d", "ab/", "x/y/") == "x/y/c/d"


def test_a_uuid_is_version_7_and_ordered_by_time():
    uuids = [new_uuid() for _ in range(100)]
    assert len(set(uuids)) == 100
    assert all(u[14] == "7" and u[19] in "89ab" for u in uuids)
    assert [u[:13] for u in uuids] == sorted(u[:13] for u in uuids)


def test_an_unhashed_file_has_an_etag_that_is_no_md5_and_follows_its_facts():
    facts = Facts(size=3, mtime_ns=5, ino=7)
    node = Node(path="a", uuid=new_uuid(), facts=facts)
    assert node.effective_etag == derived_etag(facts)
    assert node.effective_etag.endswith("-1")
    assert len(node.effective_etag) == 34
    assert derived_etag(Facts(size=3, mtime_ns=6, ino=7)) != node.effective_etag
