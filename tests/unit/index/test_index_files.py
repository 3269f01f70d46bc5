"""What is set aside is never written over."""

from cellsmono.datasource.index.files import IndexFiles


def test_an_index_that_was_set_aside_stays_when_another_of_the_same_root_is(tmp_path):
    files = IndexFiles(tmp_path)
    for content in (b"first", b"second", b"third"):
        files.make_folder("photos")
        files.path("photos").write_bytes(content)
        files.mark("photos")
        files.set_aside("photos", "root")
    assert {each.read_bytes() for each in (tmp_path / "photos").iterdir()} == {b"first", b"second", b"third"}
    files.forget("photos")
    assert len([*(tmp_path / "photos").iterdir()]) == 3
    files.take_back("photos", "root")
    assert files.path("photos").read_bytes() == b"third"
