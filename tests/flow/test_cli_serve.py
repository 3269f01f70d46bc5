"""The real command in processes of its own: started, asked, interrupted, killed, asked offline."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

READY = "Ready. Stop with Ctrl-C.\n"
OWNER = {"CELLSMONO_OWNER_ACCESS_KEY": "OWNERKEY", "CELLSMONO_OWNER_SECRET_KEY": "owner-secret-key"}
Command = Callable[..., "subprocess.CompletedProcess[str]"]


class Server:
    """A ``cellsmono serve`` that is ready."""

    def __init__(self, process: "subprocess.Popen[str]", banner: str) -> None:
        self.process = process
        self.banner = banner

    @property
    def main_url(self) -> str:
        return re.search(r"Main\s+(http://\S+)", self.banner)[1]  # type: ignore[index]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A home of its own, and nothing configured."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CELLSMONO", "XDG"))}
    bare = {"CELLSMONO_SERVER__DEFAULT_DATASOURCES": "false"}
    return {**kept, **bare, "HOME": str(tmp_path / "home"), "CELLSMONO_DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def run(environ: dict[str, str], tmp_path: Path) -> Command:
    """Run a command to its end."""

    def run_it(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "cellsmono", *arguments]
        return subprocess.run(command, env=environ | more, capture_output=True, text=True, cwd=tmp_path, timeout=60)

    return run_it


@pytest.fixture
def serve(environ: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers on free ports; they are killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **more: str) -> Server:
        command = [sys.executable, "-m", "cellsmono", "serve", *arguments]
        command += ["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"]
        log = (tmp_path / f"log-{len(started)}").open("w")
        with log:
            process = subprocess.Popen(
                command, env=environ | more, stdout=subprocess.PIPE, stderr=log, text=True, cwd=tmp_path
            )
        started.append(process)
        return Server(process, read_banner(process, Path(log.name)))

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def read_banner(process: "subprocess.Popen[str]", log: Path) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line == READY:
            return "".join(lines)
    pytest.fail(f"the server did not become ready:\n{''.join(lines)}\n{log.read_text()}")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with something in it."""
    folder = tmp_path / "My Pictures"
    (folder / "2024").mkdir(parents=True)
    (folder / "2024" / "a.jpg").write_bytes(b"a" * 1000)
    (folder / "b.txt").write_text("b")
    return folder


def read_json(result: "subprocess.CompletedProcess[str]") -> Any:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_a_working_default_with_keys_that_are_shown_once(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve()
    assert re.search(r"access key   \S{20}\n  secret key   \S{40}\n", server.banner)
    assert f"Bucket         files  ->  {tmp_path}/data/files" in server.banner
    assert server.stop() == 0
    assert "secret key" not in (again := serve()).banner
    assert "Bucket         files" in again.banner
    secret = re.search(r"secret key   (\S{40})", server.banner)[1]  # type: ignore[index]
    assert again.stop() == 0
    assert secret not in (tmp_path / "log-0").read_text()


def test_a_start_that_fails_makes_no_keys_that_nobody_sees(serve: Callable[..., Server], run: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        failed = run("serve", "--listen", "127.0.0.1:0", "--s3-listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert failed.returncode == 1
    assert "Address already in use" in failed.stderr
    assert read_json(run("key", "list", "--output", "json")) == []
    assert "secret key" in serve().banner


def test_what_runs_is_told_and_probed(serve: Callable[..., Server], run: Command, pictures: Path) -> None:
    server = serve(str(pictures), **OWNER)
    assert "secret" not in server.banner
    assert f"Bucket         my-pictures  ->  {pictures}" in server.banner
    rows = {row["name"]: row for row in read_json(run("ps", "--output", "json"))}
    assert rows["data.index.my-pictures"]["tag"] == "datasource"
    assert rows["data.objects.local1"]["state"] == "ready"
    assert {row["kind"] for row in rows.values()} == {"generic", "grpc"}
    table = run("ps").stdout
    assert "GENERIC SERVICES\n# gateway\n" in table
    assert re.search(r"data\.sync\.my-pictures +\[X\]", table)
    with urllib.request.urlopen(server.main_url + "/readyz") as answer:
        assert json.load(answer)["ready"] is True
    with urllib.request.urlopen(server.main_url + "/metrics") as answer:
        figures = answer.read().decode()
        assert "cellsmono_build_info" in figures
        assert 'cellsmono_requests_in_flight{listener="gateway.main"} 1.0' in figures
    assert server.stop(signal.SIGINT) == 0


def test_a_second_server_is_refused_and_the_first_goes_on(
    serve: Callable[..., Server], run: Command, tmp_path: Path
) -> None:
    server = serve(**OWNER)
    second = run("serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0")
    assert second.returncode == 4
    assert second.stderr.splitlines()[-1] == (
        f"error: another cellsmono (pid {server.process.pid}) uses {tmp_path}/data; stop it, or give this one its own "
        "--data-dir"
    )
    assert run("ps").returncode == 0


def test_datasources_are_the_same_whether_the_server_runs_or_not(
    serve: Callable[..., Server], run: Command, pictures: Path, tmp_path: Path
) -> None:
    server = serve(**OWNER)
    added = read_json(run("ds", "add", f"pics={pictures}", "--durability", "relaxed", "-o", "json"))
    assert added["config"]["durability"] == "relaxed"
    assert run("ds", "add", str(pictures)).returncode == 4, "served already"
    assert run("ds", "resync", "pics").returncode == 0
    online = read_json(run("ds", "show", "pics", "-o", "json"))
    assert online["stats"]["files"] == 2
    assert server.stop() == 0
    offline = read_json(run("ds", "show", "pics", "-o", "json", **OWNER))
    assert offline["config"] == online["config"]
    assert offline["stats"]["files"] == 2
    (pictures / "c.txt").write_text("c")
    preview = read_json(run("ds", "resync", "pics", "--dry-run", "-o", "json", **OWNER))
    assert (preview["created"], preview["dry_run"]) == (1, True)
    assert read_json(run("ds", "resync", "pics", "-o", "json", **OWNER))["created"] == 1
    assert read_json(run("ds", "check", "pics", "-o", "json", **OWNER))["violations"] == []
    removed = run("ds", "remove", "pics", **OWNER)
    assert removed.returncode == 2, "without a terminal it wants --yes"
    assert run("ds", "remove", "pics", "--yes", **OWNER).returncode == 0
    assert (pictures / "c.txt").read_text() == "c"
    assert "pics" not in run("ds", "list", **OWNER).stdout


def test_snapshots_are_taken_and_loaded_whether_the_server_runs_or_not(
    serve: Callable[..., Server], run: Command, pictures: Path, tmp_path: Path
) -> None:
    server = serve(f"pics={pictures}", **OWNER)
    assert run("ds", "resync", "pics").returncode == 0
    snapshot = ("ds", "snapshot", "pics", "--operation")
    dumped = read_json(run(*snapshot, "dump", "--basename", "a.db", "-o", "json"))
    assert dumped["header"]["files"] == 2
    (pictures / "b.txt").unlink()
    assert run(*snapshot, "load", "--basename", "a.db").returncode == 2, "without a terminal it wants --yes"
    loaded = run(*snapshot, "load", "--basename", "a.db", "--yes")
    assert (loaded.returncode, loaded.stderr) == (5, "absent: b.txt\n")
    assert "before-load-" in loaded.stdout
    assert server.stop() == 0
    assert re.search(r"(?m)^a\.db +\S+ \S+ +manual +2 +\S+ \S+ +ok$", run(*snapshot, "list", **OWNER).stdout)
    assert run(*snapshot, "dump", **OWNER).returncode == 0
    assert read_json(run(*snapshot, "load", "--yes", "-o", "json", **OWNER))["absent_total"] == 0
    assert run(*snapshot, "load", "--basename", "none.db", "--yes", **OWNER).returncode == 1
    stored = next(tmp_path.rglob("a.db"))
    again = run("ds", "add", f"again={pictures}", "--from-snapshot", str(stored), "--data-dir", "other", **OWNER)
    assert again.returncode == 0, again.stderr
    stored.write_bytes(stored.read_bytes()[:-1])
    listed = run(*snapshot, "list", **OWNER)
    assert (listed.returncode, "cut short or altered" in listed.stdout) == (1, True)
    assert run(*snapshot, "delete", "--basename", "a.db", "--yes", **OWNER).returncode == 0
    assert not stored.exists()


@pytest.mark.parametrize("serves", [True, False])
def test_bits_that_changed_on_the_disk_are_found_and_taken_over_only_when_asked(
    serve: Callable[..., Server], run: Command, pictures: Path, serves: bool
) -> None:
    server = serve(f"pics={pictures}", **OWNER)
    assert run("ds", "resync", "pics").returncode == 0
    assert read_json(run("ds", "rehash", "pics", "-o", "json"))["counts"] == {}
    if not serves:
        assert server.stop() == 0
    victim = pictures / "2024" / "a.jpg"
    was = victim.stat()
    victim.write_bytes(b"a" * 500 + b"b" + b"a" * 499)
    os.utime(victim, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert read_json(run("ds", "rehash", "pics", "-o", "json", **OWNER))["files"] == 0
    found = run("ds", "rehash", "pics", "--verify", "-o", "json", **OWNER)
    assert found.returncode == 1
    report = json.loads(found.stdout)
    assert (report["files"], report["verified"], report["counts"]) == (2, 1, {"rot": 1})
    assert report["findings"][0]["path"] == "2024/a.jpg"
    told = run("ds", "rehash", "pics", "2024", "--verify", **OWNER)
    assert (told.returncode, "rot: 2024/a.jpg: recorded MD5" in told.stderr) == (1, True)
    assert "--force" in told.stderr
    taken = run("ds", "rehash", "pics", "2024/a.jpg", "--force", **OWNER)
    assert taken.returncode == 0
    assert re.search(r"(?m)^replaced +1$", taken.stdout)
    assert run("ds", "rehash", "pics", "--verify", **OWNER).returncode == 0
    assert run("ds", "rehash", "pics", "--after", "b", **OWNER).returncode == 2
    assert re.search(r"(?m)^hashes +complete$", run("ds", "show", "pics", **OWNER).stdout)


def test_skipped_entries_make_the_exit_code_5(run: Command, pictures: Path) -> None:
    assert run("ds", "add", f"pics={pictures}", **OWNER).returncode == 0
    (pictures / "link").symlink_to("/etc")
    result = run("ds", "resync", "pics", **OWNER)
    assert result.returncode == 5
    assert re.search(r"symlink +link", result.stdout)


def test_folders_of_the_command_line_are_known_offline(
    serve: Callable[..., Server], run: Command, pictures: Path
) -> None:
    assert serve(f"pics={pictures}", **OWNER).stop() == 0
    assert run("ds", "resync", "pics", **OWNER).returncode == 0, "the first scan may have been cut short"
    assert read_json(run("ds", "check", "pics", "-o", "json", **OWNER))["differences"]["created"] == 0


def test_keys_are_made_listed_and_revoked(serve: Callable[..., Server], run: Command) -> None:
    server = serve(**OWNER)
    made = read_json(run("key", "create", "--description", "laptop", "-o", "json"))
    assert len(made["secret"]) == 40
    listed = run("key", "list")
    assert "laptop" in listed.stdout
    assert made["secret"] not in listed.stdout
    assert run("key", "revoke", "OWNERKEY", "--yes").returncode == 2, "it is preset"
    assert run("key", "revoke", made["access_key"], "--yes").returncode == 0
    assert server.stop() == 0
    assert [key["access_key"] for key in read_json(run("key", "list", "-o", "json", **OWNER))] == ["OWNERKEY"]


def test_a_killed_server_leaves_nothing_in_the_way(serve: Callable[..., Server], run: Command, tmp_path: Path) -> None:
    server = serve(**OWNER)
    server.process.kill()
    server.process.wait()
    assert (tmp_path / "data" / "control.sock").exists()
    assert run("ps").returncode == 3
    assert run("ds", "list", **OWNER).returncode == 0
    again = serve(**OWNER)
    assert "the last run did not end cleanly" in (tmp_path / "log-1").read_text()
    assert again.stop() == 0
    assert serve(**OWNER).stop() == 0
    assert "did not end cleanly" not in (tmp_path / "log-2").read_text()


def test_an_address_in_use_is_one_clear_line(serve: Callable[..., Server], run: Command, tmp_path: Path) -> None:
    server = serve(**OWNER)
    taken = server.main_url.removeprefix("http://")
    result = run("serve", "--data-dir", str(tmp_path / "other"), "--listen", taken, "--s3-listen", "off", **OWNER)
    assert result.returncode == 1
    assert taken in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("ps",), 3, "error: no server runs on"),
        (("ds", "resync", "x", "--detach"), 3, "error: no server runs on"),
        (("ds", "show", "nope"), 1, "error: There is no datasource 'nope'"),
        (("ds", "frobnicate"), 2, "No such command"),
        (("serve", "--frobnicate"), 2, "No such option"),
        (("serve", "/does/not/exist"), 1, "error: the folder /does/not/exist does not exist"),
        (("config", "check", "--config", "/does/not/exist"), 2, "does not exist"),
        (("ps", "--data-dir", "/dev/null"), 3, "error: no server runs on"),
        (("ds", "list", "--data-dir", "/dev/null"), 2, "is a file"),
        (("ds", "list", "--data-dir", "/does/not/exist"), 1, "error: there is no data folder /does/not/exist"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_code(run: Command, arguments: tuple[str, ...], code: int, text: str) -> None:
    result = run(*arguments, **OWNER)
    assert result.returncode == code, result.stderr
    assert text in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_debug_shows_where(run: Command) -> None:
    result = run("ds", "show", "nope", "--debug", **OWNER)
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_configuration_is_shown_checked_and_begun(run: Command, tmp_path: Path) -> None:
    file = tmp_path / "conf" / "cellsmono.toml"
    assert run("config", "init", str(file)).returncode == 0
    assert run("config", "init", str(file)).returncode == 4, "it is not replaced"
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("config", "check", "--config", str(file)).returncode == 0
    shown = run("config", "show", "--origin", "--config", str(file), CELLSMONO_S3__REGION="here", **OWNER)
    assert re.search(r's3\.region +"here" +environment CELLSMONO_S3__REGION', shown.stdout)
    assert "owner-secret-key" not in shown.stdout
    values = read_json(run("config", "show", "-o", "json"))
    assert values["s3.listen"] == "127.0.0.1:9000"
    file.write_text("[s3]\nlisen = 3\n")
    wrong = run("config", "check", "--config", str(file))
    assert wrong.returncode == 2
    assert "did you mean 's3.listen'" in wrong.stderr


def test_doctor_finds_no_problem_here(run: Command, pictures: Path) -> None:
    result = run("doctor", str(pictures), "--output", "json")
    findings = read_json(result)
    assert {"sqlite", "inotify", "clock"} <= {finding["topic"] for finding in findings}
    assert run("doctor", "/does/not/exist").returncode == 1


def test_completion_scripts_are_there(run: Command) -> None:
    # The shell that the test runs under, or that there is none, must not matter.
    result = run("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_CELLSMONO_COMPLETE" in result.stdout, result.stderr


def test_version_and_help_are_quick(run: Command) -> None:
    import cellsmono

    assert run("--version").stdout == f"cellsmono {cellsmono.__version__}\n"
    assert run("--help").stdout.startswith("Usage: cellsmono")
    assert run().stdout == run("--help").stdout
    code = "import sys; sys.argv[1:] = ['--help']; import cellsmono.__main__ as m; m.main(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, env=path_to_source())
    loaded = modules.stdout.splitlines()[-1].split()
    ours = [name for name in loaded if name.startswith("cellsmono")]
    assert sorted(ours) == ["cellsmono", "cellsmono.__main__", "cellsmono.cli", "cellsmono.cli.help"], modules.stderr
    assert "typer" not in loaded


def path_to_source() -> dict[str, str]:
    import cellsmono

    return {"PYTHONPATH": str(Path(cellsmono.__file__).parents[1])}


def test_a_flat_datasource_is_added_shown_and_checked(
    serve: Callable[..., Server], run: Command, tmp_path: Path, pictures: Path
) -> None:
    (tmp_path / "blobs").mkdir()
    refused = run("ds", "add", f"photos={pictures}", "--format", "flat")
    assert refused.returncode == 1
    assert 'Serve these files with format = "structured"' in refused.stderr
    serve()
    assert run("ds", "add", "archive=blobs", "--format", "flat").returncode == 0
    listed = run("ds", "list").stdout.splitlines()
    assert listed[0].split() == ["NAME", "STATE", "FILES", "SIZE", "FORMAT", "OBJECTS", "FOLDER", "DETAIL"]
    (row,) = (line.split() for line in listed if line.startswith("archive"))
    assert row[4:7] == ["B", "flat", "data.objects.local2"]
    shown = run("ds", "show", "archive").stdout
    assert re.search(r"^format +flat$", shown, re.MULTILINE)
    assert "watch" not in shown
    for more in ((), ("--detach",)):
        asked = run("ds", "resync", "archive", *more)
        assert asked.returncode == 2
        assert "cellsmono ds check archive" in asked.stderr
    stray = tmp_path / "blobs" / "4f" / "01a211b7-4f66-748f-b310-f546d4bc218f"
    stray.parent.mkdir()
    stray.write_bytes(b"nobody's")
    os.utime(stray, (1, 1))
    found = run("ds", "check", "archive")
    assert found.returncode == 1
    assert f"lost: 4f/{stray.name}, 8 B, {stray.name}" in found.stderr
    assert run("ds", "check", "archive", "--repair").returncode == 0
    report = read_json(run("ds", "check", "archive", "--output", "json"))
    assert (report["blobs"]["blobs"], report["blobs"]["counts"]) == (1, {})
    assert re.search(r"data\.blobs\.archive +\[X\]", run("ps").stdout)
