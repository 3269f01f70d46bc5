import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsmono.app.folders import make_bucket_name, make_default_datasource, read_folder_arguments
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.kernel.errors import AlreadyExists, Invalid, NotFound


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("Documents", "documents"),
        ("My Photos (2024)", "my-photos-2024"),
        ("a", "a-files"),
        ("", "files"),
        ("Фото", "files"),
        ("Bücher", "b-cher"),
        ("--x--", "x-files"),
        ("a.b", "a-b"),
        ("x" * 100, "x" * 63),
    ],
)
def test_names_become_bucket_safe(folder: str, name: str) -> None:
    assert make_bucket_name(folder) == name


def test_names_become_unique() -> None:
    assert make_bucket_name("Files", ["files", "files-2"]) == "files-3"
    assert make_bucket_name("x" * 80, ["x" * 63]) == "x" * 61 + "-2"


@given(st.text(max_size=90), st.lists(st.text(max_size=5), max_size=3))
@settings(max_examples=200, deadline=None)
def test_every_name_is_a_bucket_name(folder: str, taken: list[str]) -> None:
    name = make_bucket_name(folder, taken)
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name)
    assert name not in taken


def test_arguments_become_datasources(tmp_path: Path) -> None:
    for name in ("Pics", "b", "c=d"):
        (tmp_path / name).mkdir()
    (tmp_path / "deep" / "Pics").mkdir(parents=True)
    found = read_folder_arguments(["Pics", "music=b", "c=d", "deep/Pics"], base=tmp_path)
    assert [(each.name, each.folder) for each in found] == [
        ("pics", str(tmp_path / "Pics")),
        ("music", str(tmp_path / "b")),
        ("c-d", str(tmp_path / "c=d")),
        ("pics-2", str(tmp_path / "deep/Pics")),
    ]


def test_what_is_configured_already_is_not_added_again(tmp_path: Path) -> None:
    known = [DatasourceConfig(name="abc", folder=str(tmp_path))]
    assert read_folder_arguments([str(tmp_path), f"abc={tmp_path}"], known) == []


def test_the_current_folder_has_a_name_too(tmp_path: Path) -> None:
    here = tmp_path / "Here"
    here.mkdir()
    assert read_folder_arguments(["."], base=here)[0].name == "here"


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "other").mkdir()
    known = [DatasourceConfig(name="abc", folder="/x")]
    with pytest.raises(Invalid, match=r"bad\\xff' is not valid UTF-8"):
        read_folder_arguments(["bad\udcff"], base=tmp_path)
    with pytest.raises(NotFound, match="does not exist"):
        read_folder_arguments(["missing"], base=tmp_path)
    with pytest.raises(Invalid, match="is not a folder"):
        read_folder_arguments(["file"], base=tmp_path)
    with pytest.raises(Invalid, match="'Bad_Name'"):
        read_folder_arguments(["Bad_Name=other"], base=tmp_path)
    for nothing in ("", "photos="):  # what a variable that is not set leaves; it must not become the current folder
        with pytest.raises(Invalid, match="names no folder"):
            read_folder_arguments([nothing], base=tmp_path)
    with pytest.raises(AlreadyExists, match="'abc'"):
        read_folder_arguments(["abc=other"], known, base=tmp_path)


def test_the_default_datasource_has_its_folder_made(tmp_path: Path) -> None:
    source = make_default_datasource(tmp_path / "data")
    assert source.name == "files"
    assert Path(source.folder).is_dir()
