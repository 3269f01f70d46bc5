import json

import pytest

from cellsmono.cli import progress as progress_module
from cellsmono.cli.describe import describe_datasource, describe_report
from cellsmono.cli.main import report_error
from cellsmono.cli.output import format_bytes, format_count, format_time, print_fields, print_json, print_table, tell
from cellsmono.cli.progress import describe_progress, format_duration, show_progress
from cellsmono.cli.ps import render_services
from cellsmono.cli.versions import describe_version
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.index import IndexStats
from cellsmono.interfaces.locks import GOVERNANCE, ObjectLock
from cellsmono.interfaces.node import Facts, Node, NodeMeta
from cellsmono.interfaces.objects import Skipped
from cellsmono.interfaces.operations import DatasourceInfo
from cellsmono.interfaces.sync import Progress, ResyncReport, SyncState, SyncStatus
from cellsmono.interfaces.version import Version
from cellsmono.kernel import errors
from cellsmono.kernel.registry import Kind, ServiceRow
from cellsmono.kernel.service import ServiceState


def test_tables_are_aligned_and_can_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "LONGER"), [("x\n\x1b[2J", 1), ("yy", "\udcff")])
    assert capsys.readouterr().out == "A             LONGER\nx\\x0a\\x1b[2J  1\nyy            \\udcff\n"
    print_table(("A",), [])
    assert capsys.readouterr().out == "A\n"
    print_fields([("name", "a\rb"), ("x", "")])
    assert capsys.readouterr().out == "name  a\\x0db\nx\n"


def test_messages_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    tell("one\ntwo\x07")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "one\ntwo\\x07\n"


def test_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([ServiceRow("a", "b", Kind.REST, ServiceState.READY)])
    assert json.loads(capsys.readouterr().out)[0]["kind"] == "rest"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**30, "3.0 GiB"), (2**50, "1.0 PiB")]
)
def test_sizes(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0s"), (59, "59s"), (200, "3m 20s"), (3720, "1h 02m")])
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_never_is_a_time() -> None:
    assert format_time(0) == "never"
    assert format_time(1_700_000_000).startswith("2023-11-1")


def test_services_stand_under_their_tags() -> None:
    rows = [
        ServiceRow("gateway.s3", "gateway", Kind.GENERIC, ServiceState.READY, "127.0.0.1:9000"),
        ServiceRow("data.index.abc", "datasource", Kind.GRPC, ServiceState.FAILED, "dam\naged"),
        ServiceRow("data.objects.local1", "datasource", Kind.GRPC, ServiceState.READY, "/srv", serves=("abc", "de\n")),
        ServiceRow("data.sync.abc", "datasource", Kind.GRPC, ServiceState.DEGRADED),
    ]
    assert render_services(rows) == [
        "GENERIC SERVICES",
        "# gateway",
        "gateway.s3           [X]  127.0.0.1:9000",
        "",
        "GRPC SERVICES",
        "# datasource",
        "data.index.abc       [-]  failed dam\\x0aaged",
        "data.objects.local1  [X]  /srv, serves abc, de\\x0a",
        "data.sync.abc        [!]  degraded",
    ]
    assert render_services([]) == []


PROGRESS = Progress(folders=5, folders_total=10, entries=70, rate=12.4, eta=65.0)


def test_progress_is_a_line_every_few_seconds_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)
    with show_progress("resync abc", is_terminal=False) as report:
        report(PROGRESS)
        now += 4
        report(PROGRESS)
        assert capsys.readouterr().err == ""
        now += 2
        report(PROGRESS)
        report(PROGRESS)
    assert capsys.readouterr().err == "resync abc: 5/10 folders, 70 entries, 12/s, 1m 05s left\n"


def test_progress_is_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("resync [abc]", is_terminal=True) as report:
        report(PROGRESS)
        report(Progress(folders=6, folders_total=0, entries=80, rate=1.0, eta=None))
    assert capsys.readouterr().out == ""


def test_unknown_totals_are_left_out() -> None:
    assert describe_progress(Progress(6, 0, 80, 1.0, None)) == "6 folders, 80 entries, 1/s"


def test_a_report_lists_what_was_skipped_up_to_a_point() -> None:
    skipped = tuple(Skipped(f"link{number}", "symlink") for number in range(30))
    fields = describe_report(ResyncReport("", created=1, skipped=skipped, skipped_total=30, cancelled=True))
    assert ("  symlink", "link19") in fields
    assert not any(value == "link20" for _, value in fields)
    assert any(name == "  ..." and str(value).startswith("10 more") for name, value in fields)
    assert fields[-1][0] == "cancelled"
    assert ("would be moved", 2) in describe_report(ResyncReport("", moved=2, dry_run=True))


def test_a_datasource_is_described_with_its_trouble() -> None:
    config = DatasourceConfig(name="abc", folder="/x")
    failed = DatasourceInfo(config, "config", "", ServiceState.FAILED, error="the disk is gone")
    assert ("error", "the disk is gone") in describe_datasource(failed)
    sync = SyncStatus(SyncState.HELD, "900 deletions", skipped={"symlink": 3}, last_error="no permission")
    fine = DatasourceInfo(
        config, "store", "o", ServiceState.DEGRADED, IndexStats(1, 2, 2048, 9, 4096), sync, "", 2**30, 2**31
    )
    fields = dict(describe_datasource(fine))
    assert fields["content"] == "1 folders, 2 files, 2.0 KiB"
    assert fields["sync"] == "held 900 deletions"
    assert fields["skipped symlink"] == 3
    assert fields["disk"] == "1.0 GiB free of 2.0 GiB"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Invalid("x"), 2),
        (errors.Locked("x"), 4),
        (errors.Conflict("x"), 4),
        (errors.NotFound("x"), 1),
        (errors.Unavailable("x"), 1),
        (ValueError("x"), 1),
    ],
)
def test_errors_have_their_exit_codes(error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert report_error(error, is_debug=False) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1


def test_a_version_says_what_keeps_it() -> None:
    meta = NodeMeta(lock=ObjectLock(GOVERNANCE, 1_700_000_000, "ON"))
    node = Node("a.txt", "u", Facts(size=3, mtime_ns=10**18), meta=meta)
    said = describe_version(Version("a.txt", "v1", node, 10**18, 1, is_latest=True))
    assert said[-1] == f"current, governance lock until {format_time(1_700_000_000)}, legal hold"
    assert describe_version(Version("a.txt", "", None, 10**18, 1, is_latest=True))[-1] == "deleted, current"


def test_one_is_no_plural() -> None:
    assert (format_count(1, "key"), format_count(2000, "key")) == ("1 key", "2,000 keys")
