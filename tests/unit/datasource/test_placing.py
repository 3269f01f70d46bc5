from pathlib import Path

import pytest

from cellsmono.datasource.placing import check_place
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.kernel.errors import AlreadyExists, Conflict, Invalid


def config(name, folder):
    return DatasourceConfig(name=name, folder=str(folder))


def test_siblings_and_separate_trees_are_fine(tmp_path):
    others = [config("one", tmp_path / "one"), config("far", tmp_path / "x" / "far")]
    assert check_place(config("two", tmp_path / "two"), others, {}) == (tmp_path / "two").resolve()
    assert check_place(config("onemore", tmp_path / "onemore"), others, {})


@pytest.mark.parametrize("inner", ["one/in", "one/in/deep", "one"])
def test_a_tree_inside_another_is_refused_and_both_are_named(tmp_path, inner):
    with pytest.raises(Conflict) as caught:
        check_place(config("two", tmp_path / inner), [config("one", tmp_path / "one")], {})
    assert caught.value.reason == "nested"
    assert "'one'" in str(caught.value)


def test_a_tree_around_another_is_refused(tmp_path):
    with pytest.raises(Conflict, match="contains"):
        check_place(config("all", tmp_path), [config("one", tmp_path / "one")], {})


def test_a_link_does_not_hide_that_it_is_the_same_place(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(Conflict):
        check_place(config("two", tmp_path / "link"), [config("one", tmp_path / "real")], {})


def test_the_data_folder_is_never_served(tmp_path):
    with pytest.raises(Conflict, match="data folder"):
        check_place(config("one", tmp_path), [], {"The data folder": tmp_path / "data"})
    assert check_place(config("one", tmp_path / "data" / "buckets" / "b"), [], {"The data folder": tmp_path / "data"})


def test_bad_places_are_named():
    with pytest.raises(Invalid, match="absolute"):
        check_place(config("one", "relative"), [], {})
    with pytest.raises(Invalid, match="root of the file system"):
        check_place(config("one", Path("/")), [], {})
    with pytest.raises(AlreadyExists):
        check_place(config("one", "/srv/b"), [config("one", "/srv/a")], {})
