"""The unit file and the container file speak of commands, flags, variables and routes that exist."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cellsmono.app.config_sources import load_config
from cellsmono.cli.main import app

CONTRIB = Path(__file__).parents[2] / "contrib"
UNIT = (CONTRIB / "cellsmono.service").read_text(encoding="utf-8")
CONTAINER = (CONTRIB / "Containerfile").read_text(encoding="utf-8")


def commands() -> list[str]:
    found = re.findall(r"bin/cellsmono ([a-z][^&;\n]*)", UNIT)
    run = re.search(r"cellsmono \\\n#\s+(serve .*)", CONTAINER)
    assert run is not None
    return [*found, run[1]]


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line: str) -> None:
    words = shlex.split(line)
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    assert command.make_context("cellsmono", words).params


def test_all_commands_were_found() -> None:
    assert sorted(line.split()[0] for line in commands()) == ["config", "key", "serve", "serve"]


@pytest.mark.parametrize("text", [UNIT, CONTAINER], ids=["unit", "container"])
def test_variables_are_known(text: str, tmp_path: Path) -> None:
    names = set(re.findall(r"\b(CELLSMONO_[A-Z0-9_]+)", text))
    assert names
    secret = tmp_path / "secret"
    secret.write_text("12345678")
    for name in names:
        value = str(secret) if name.endswith("_FILE") else "127.0.0.1:1" if name.endswith("LISTEN") else "value"
        environ = {"HOME": "/h", "CELLSMONO_OWNER_ACCESS_KEY": "OWNER", "CELLSMONO_OWNER_SECRET_KEY": "12345678"}
        if "OWNER_SECRET" in name:
            del environ["CELLSMONO_OWNER_SECRET_KEY"]
        load_config(environ=environ | {name: value})


def test_the_container_is_careful() -> None:
    assert re.search(r"(?m)^USER 10001", CONTAINER)
    assert re.search(r"(?m)^VOLUME /data$", CONTAINER)
    assert "/readyz" in CONTAINER
    assert re.search(r'(?m)^CMD \["serve"\]$', CONTAINER)


def test_the_unit_waits_longer_than_the_server_does() -> None:
    from cellsmono.app.config import ServerConfig
    from cellsmono.app.run import LAST_RESORT_SECONDS

    stop = int(re.search(r"TimeoutStopSec=(\d+)", UNIT)[1])  # type: ignore[index]
    assert stop > ServerConfig().stop_timeout + LAST_RESORT_SECONDS
    assert "Type=notify" in UNIT
    assert "WatchdogSec=" in UNIT
