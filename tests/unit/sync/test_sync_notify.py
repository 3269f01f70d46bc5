"""The pure parts of watching: which folder is to blame, and which folders can be watched."""

import os

import pytest

from cellsmono.datasource.sync.notify import find_culprit, open_notify, outermost
from cellsmono.datasource.sync.survey import find_latecomers, survey_folders
from cellsmono.datasource.sync.watcher import explain_exhausted


@pytest.mark.parametrize(
    ("told", "folder"),
    [
        (r'Unable to decode path "/w/bad\xFF/inner" to string', "/w"),
        (r'Unable to decode path "/w/a \"quoted\" \\ name/x\xC3" to string', '/w/a "quoted" \\ name'),
        (r'Unable to decode path "/w/\u{301}\n/b\xFE\xFF" to string', "/w/\u0301\n"),
        (r'Unable to decode path "/w/\\xFF/b" to string', ""),
        ("error in underlying watcher: no idea", ""),
        ("", ""),
    ],
)
def test_the_folder_that_holds_a_bad_name_is_read_from_the_message(told, folder):
    assert find_culprit(told) == folder


def test_outermost_folders():
    assert outermost(["/a/b", "/a", "/ab", "/a-b/c", "/a/b/c"]) == ["/a", "/a-b/c", "/ab"]
    assert outermost([]) == []


def test_a_survey_follows_no_links_and_leaves_bad_names_out(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("/")
    (tmp_path / ".cellsmono" / "x").mkdir(parents=True)
    bad = os.fsencode(tmp_path / "a") + b"/\xff"
    os.makedirs(bad + b"/below")
    survey = survey_folders([str(tmp_path)], lambda: False)
    assert sorted(survey.folders) == [str(tmp_path), f"{tmp_path}/a/b"]
    assert sorted(survey.unwatchable) == [f"{tmp_path}/a", os.fsdecode(bad), os.fsdecode(bad + b"/below")]


def test_latecomers_are_found_in_folders_that_changed(tmp_path):
    (tmp_path / "old").mkdir()
    survey = survey_folders([str(tmp_path)], lambda: False)
    (tmp_path / "late" / "deep").mkdir(parents=True)
    now = os.stat(tmp_path).st_mtime_ns
    assert find_latecomers(survey, now) == [f"{tmp_path}/late"]
    assert find_latecomers(survey, now + 10_000_000_000) == []


def test_folders_that_vanish_before_they_are_watched_do_no_harm(tmp_path):
    open_notify([str(tmp_path / "gone"), str(tmp_path)]).close()


def test_the_remedy_for_an_exhausted_limit_names_it(monkeypatch):
    assert "sysctl -w fs.inotify.max_user_watches=" in explain_exhausted("max_user_watches")
    assert "sysctl -w fs.inotify.max_user_instances=1024`" in explain_exhausted("max_user_instances")
