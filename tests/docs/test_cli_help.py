"""Every help text can be shown, every example in one can be parsed, and the static text tells the truth."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from cellsmono.cli.help import HELP
from cellsmono.cli.main import app

ROOT_COMMAND = typer.main.get_command(app)


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group below this one."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, (*path, name))


COMMANDS = dict(walk(ROOT_COMMAND))
LEAVES = [path for path, command in COMMANDS.items() if not hasattr(command, "commands")]
PROMISED = [
    ("serve",), ("ps",), ("doctor",),
    *((("ds", name)) for name in ("list", "show", "add", "remove", "resync", "check", "rehash", "snapshot", "migrate")),
    ("ds", "export"),
    *((("key", name)) for name in ("create", "list", "revoke")),
    *(
        ("user", name)
        for name in (
            *("create", "list", "show", "edit", "delete", "lock", "unlock"),
            *("set-password", "reset-link", "check-password", "set-profile"),
        )
    ),
    *(("role", name) for name in ("create", "list", "edit", "delete", "give", "take")),
    *(("policy", name) for name in ("list", "set", "delete", "restore")),
    *(("acl", name) for name in ("set", "list", "delete", "explain")),
    *(("workspace", name) for name in ("create", "list", "edit", "delete", "give", "take", "quota")),
    *(("workspace", "template", name) for name in ("set", "list", "delete")),
    *(("user", kind, name) for kind in ("token", "key") for name in ("create", "list", "revoke")),
    *(("user", "session", name) for name in ("list", "revoke")),
    *(("user", "totp", name) for name in ("enable", "disable", "show")),
    *(("group", name) for name in ("create", "list", "delete")),
    *((("file", name)) for name in ("ls", "stat", "mkdir", "meta", "cp", "mv", "rm", "restore")),
    *((("jobs", name)) for name in ("list", "show", "stop", "pause", "resume", "delete")),
    *((("lock", name)) for name in ("set", "list", "clear")),
    *((("encryption", name)) for name in ("list", "rotate", "export", "import")),
    *((("versions", name)) for name in ("list", "restore", "prune")),
    *((("config", name)) for name in ("show", "check", "init")),
]  # fmt: skip


def render_help(path: tuple[str, ...]) -> str:
    command = COMMANDS[path]
    context = command.make_context(" ".join(("cellsmono", *path)), [], resilient_parsing=True)
    return str(command.get_help(context))


def examples() -> list[str]:
    found = re.findall(r"(?m)^  (cellsmono .*?)(?:   .*)?$", HELP.split("Commands:")[0])
    for path in LEAVES:
        epilog = COMMANDS[path].epilog or ""
        assert "cellsmono " in epilog, f"{path} has no example"
        found += re.findall(r"(?m)^\s+(cellsmono .*)$", epilog)
    return found


def test_every_promised_command_is_there() -> None:
    assert sorted(LEAVES) == sorted(PROMISED)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_can_be_shown(path: tuple[str, ...]) -> None:
    text = render_help(path)
    assert text.startswith("Usage: cellsmono")
    assert "--help" in text
    assert not re.search(r"(?m)^  \w+ .*\.\.\.$", text), "a summary is cut short"


def test_examples_fit_into_a_line() -> None:
    assert [example for example in examples() if len(example) > 76] == []


@pytest.mark.parametrize("example", examples())
def test_examples_parse(example: str) -> None:
    words = shlex.split(example.split(" | ", maxsplit=1)[0])[1:]
    command: Any = ROOT_COMMAND
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    context = command.make_context("cellsmono", words)
    assert context.params


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_commands_that_touch_data_say_where(path: tuple[str, ...]) -> None:
    names = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    if path != ("config", "init"):
        assert {"--data-dir", "--config"} <= names


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_parameter_is_explained(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        assert parameter.help, (path, parameter.name)


def test_the_static_text_lists_what_typer_lists() -> None:
    """Commands with their summaries, and the options, word for word."""
    real = render_help(())
    mine, theirs = (sorted(squeeze(line) for line in part(text, "Commands:").splitlines()) for text in (HELP, real))
    assert mine == theirs
    assert set(re.findall(r"--[a-z-]+", part(HELP, "Options:"))) == set(
        re.findall(r"--[a-z-]+", part(real, "Options:"))
    )
    for line in part(real, "Options:").splitlines():
        name = re.search(r"--[a-z-]+", line)
        if name and name[0] != "--install-completion":
            assert squeeze(line.split("  ")[-1]) in squeeze(HELP)


def part(text: str, title: str) -> str:
    return text.split(title + "\n", 1)[1].split("\n\n", 1)[0].rstrip()


def squeeze(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
